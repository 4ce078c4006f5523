package jq

import "testing"

func TestReserve(t *testing.T) { // not parallel: there is one budget
	if _, ok := Reserve(11 << 20); ok {
		t.Error("a document that never fits has got its memory")
	}
	var releases []func()
	for range 10 {
		release, ok := Reserve(1 << 20)
		if !ok {
			t.Fatalf("no memory after %d MiB", len(releases))
		}
		releases = append(releases, release)
	}
	release, ok := Reserve(1 << 20)
	if ok {
		t.Error("11 documents of 1 MiB take more than 512 MiB")
	}
	release()
	if release, ok := Reserve(64<<10 - 1); !ok {
		t.Error("a small document is refused")
	} else {
		release()
	}
	releases[0]()
	release, ok = Reserve(1 << 20)
	if !ok {
		t.Error("no memory after a release")
	}
	releases[0] = release
	for _, release := range releases {
		release()
	}
	for range 3 { // all is back
		release, ok := Reserve(10 << 20)
		if !ok {
			t.Fatal("the budget has shrunk")
		}
		release()
	}
}

func TestReserveSmallIsFree(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		release, _ := Reserve(1024)
		release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
