package keeper

import (
	"testing"
	"time"
)

func benchKeeper(b *testing.B) *Keeper {
	b.Helper()
	i := newIssuer()
	i.latency = 0
	k := New(testPolicy(), i)
	k.Attach(Env{})
	if _, err := k.Token(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = k.Destruct() })
	return k
}

// What each request pays: nothing but this, while a valid token is held.
func BenchmarkToken(b *testing.B) {
	k, ctx := benchKeeper(b), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Token(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTokenParallel(b *testing.B) {
	k, ctx := benchKeeper(b), b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := k.Token(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkClock is the part of BenchmarkToken that is the clock's.
func BenchmarkClock(b *testing.B) {
	var now time.Time
	for b.Loop() {
		now = time.Now()
	}
	_ = now
}

func TestTokenAllocatesNothing(t *testing.T) {
	i := newIssuer()
	i.latency = 0
	k := New(testPolicy(), i)
	k.Attach(Env{})
	defer func() { _ = k.Destruct() }()
	ctx := t.Context()
	if _, err := k.Token(ctx); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = k.Token(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
