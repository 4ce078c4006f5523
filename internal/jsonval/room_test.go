package jsonval

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const mib = 1 << 20

// reserving is what must be, whatever happens: nothing is left when all is given back.
func reserving(t *testing.T) {
	t.Helper()
	if memory.used != [ForBody + 1]int64{} || memory.last != nil || memory.waiting != 0 {
		t.Errorf("left over: %v, %v, %d wait", memory.used, memory.last, memory.waiting)
	}
}

// A test that waits for room uses memory of its own.
func ownMemory(t *testing.T) {
	t.Helper()
	reserving(t)
	memory.freed = nil
	t.Cleanup(func() { reserving(t) })
}

func TestRoomLimits(t *testing.T) { // not parallel: there is one memory
	for _, tc := range []struct {
		name    string
		purpose Purpose
		n       int64
		want    error
	}{
		{"the largest body", ForBody, maxBodies, nil},
		{"a body that never fits", ForBody, maxBodies + 1, ErrTooMuch},
		{"the largest request", ForRequest, maxRequest, nil},
		{"a request that never fits", ForRequest, maxRequest + 1, ErrTooMuch},
		{"the largest answer", ForText, maxLast, nil},
		{"the largest document", ForAnswer, maxLast, nil},
		{"an answer that never fits", ForAnswer, maxLast + 1, ErrTooMuch},
		{"nothing to speak of", ForAnswer, uncounted, nil},
	} {
		ownMemory(t)
		room := Room{Context: t.Context()}
		if err := room.Reserve(tc.purpose, tc.n); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if tc.n == uncounted && room.taken != nil {
			t.Errorf("%s is counted", tc.name)
		}
		room.Release()
	}
	if !errors.Is(ErrTooMuch, ErrTooLarge) {
		t.Error("what takes too much memory isn't too large")
	}
}

// A call whose answer came in parts may hold no more than one that came whole.
func TestRoomOfOneCall(t *testing.T) {
	ownMemory(t)
	room := Room{Context: t.Context()}
	defer room.Release()
	if err := room.Reserve(ForText, maxLast/2); err != nil {
		t.Fatal(err)
	}
	if err := room.Reserve(ForAnswer, maxLast/2+1); !errors.Is(err, ErrTooMuch) {
		t.Errorf("%v, want %v", err, ErrTooMuch)
	}
	room.Return(ForText, maxLast/2)
	if err := room.Reserve(ForAnswer, maxLast); err != nil {
		t.Error(err)
	}
}

func TestRoomWaits(t *testing.T) {
	ownMemory(t)
	synctest.Test(t, func(t *testing.T) {
		first, second := Room{Context: t.Context()}, Room{Context: t.Context()}
		if err := first.Reserve(ForBody, maxBodies); err != nil {
			t.Fatal(err)
		}
		before := Crowded()
		go func() {
			time.Sleep(time.Second)
			first.Release()
		}()
		begin := time.Now()
		if err := second.Reserve(ForBody, mib); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("waited %v", took)
		}
		if crowded := Crowded() - before; crowded != time.Second {
			t.Errorf("crowded for %v", crowded)
		}
		second.Release()
	})
}

func TestRoomEndsWithTheContext(t *testing.T) {
	ownMemory(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first, second := Room{Context: t.Context()}, Room{Context: ctx}
		if err := first.Reserve(ForRequest, maxRequest); err != nil {
			t.Fatal(err)
		}
		if err := second.Reserve(ForRequest, maxRequest); !errors.Is(err, ErrNoRoom) {
			t.Errorf("%v, want %v", err, ErrNoRoom)
		}
		second.Release()
		first.Release()
	})
}

// Calls that hold what they have and wait for more end all the same, whatever each
// takes: requests leave room for answers, and one call at a time may go on.
func TestRoomHasNoDeadlock(t *testing.T) {
	ownMemory(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var wg sync.WaitGroup
		var done, running, most atomic.Int64
		for i := range 200 {
			wg.Go(func() {
				room := Room{Context: ctx}
				defer room.Release()
				held := int64(0)
				for _, step := range []struct {
					purpose Purpose
					n       int64
				}{
					{ForBody, mib}, {ForRequest, int64(i%10+1) * mib}, {ForText, 64 << 10}, {ForText, mib}, {ForText, 4 * mib}, {ForAnswer, int64(i%60+1) * mib},
				} {
					if err := room.Reserve(step.purpose, step.n); err != nil {
						t.Errorf("call %d: %v", i, err)
						return
					}
					held += step.n
					if now := running.Add(step.n); now > most.Load() {
						most.Store(now)
					}
					time.Sleep(time.Millisecond)
				}
				running.Add(-held)
				done.Add(1)
			})
		}
		wg.Wait()
		if done.Load() != 200 {
			t.Errorf("%d of 200 calls ended", done.Load())
		}
		if most.Load() > maxShared+maxLast {
			t.Errorf("%d MiB were reserved at once", most.Load()>>20)
		}
	})
}

func TestRoomIsFreeForLittle(t *testing.T) {
	doc := []byte(`{"a":{"b":[1,2,3]}}`)
	room := &Room{Context: t.Context()}
	with := testing.AllocsPerRun(100, func() { _, _ = Decode(doc, Limits{Room: room}) })
	without := testing.AllocsPerRun(100, func() { _, _ = Decode(doc, Limits{}) })
	if with != without {
		t.Errorf("%v allocations with a room, %v without", with, without)
	}
	if n := testing.AllocsPerRun(100, func() {
		_ = room.Reserve(ForAnswer, 1024)
		room.Return(ForAnswer, 1024)
		room.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
