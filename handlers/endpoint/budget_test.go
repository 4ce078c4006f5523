package endpoint

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := (&Budgets{Each: 2 * time.Second}).Start(t.Context())
		defer b.Stop()
		child, cancel := context.WithCancel(b)
		defer cancel()
		if at, ok := child.Deadline(); !ok || time.Until(at) != 2*time.Second {
			t.Errorf("deadline in %v", time.Until(at))
		}
		<-child.Done()
		if !b.Spent() || !errors.Is(context.Cause(child), errBudget) {
			t.Errorf("cause %v", context.Cause(child))
		}
	})
}

func TestALiftedBudgetLetsAStreamLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, hangUp := context.WithCancel(t.Context())
		b := (&Budgets{Each: 2 * time.Second}).Start(parent)
		defer b.Stop()
		b.Lift()
		time.Sleep(time.Hour)
		if b.Err() != nil {
			t.Errorf("the stream ended: %v", b.Err())
		}
		if _, ok := b.Deadline(); ok {
			t.Error("a lifted budget still has a deadline")
		}
		hangUp()
		<-b.Done()
		if b.Spent() {
			t.Error("hanging up counts as a spent budget")
		}
	})
}

// Calls that overlap end each in its own time, whatever the others do.
func TestOverlappingBudgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &Budgets{Each: 2 * time.Second}
		begin := time.Now()
		running := make(map[time.Duration]*Budget)
		for i := range 10 {
			running[time.Duration(i)*300*time.Millisecond] = all.Start(t.Context())
			if i == 0 || i == 4 || i == 5 {
				running[time.Duration(i)*300*time.Millisecond].Stop() // an answer came
				delete(running, time.Duration(i)*300*time.Millisecond)
			}
			time.Sleep(300 * time.Millisecond)
		}
		for at, b := range running {
			<-b.Done()
			if !b.Spent() {
				t.Errorf("the call of %v ended because of %v", at, context.Cause(b))
			}
		}
		if took := time.Since(begin); took != 4700*time.Millisecond {
			t.Errorf("the last call ended after %v", took)
		}
		synctest.Wait()
		// after a pause it restarts
		b := all.Start(t.Context())
		again := time.Now()
		<-b.Done()
		if took := time.Since(again); took != 2*time.Second {
			t.Errorf("a later call ended after %v", took)
		}
	})
}

func BenchmarkBudget(b *testing.B) {
	all := &Budgets{Each: 2 * time.Second}
	b.ReportAllocs()
	for b.Loop() {
		all.Start(b.Context()).Stop()
	}
}

// A budget that restarts ends later, also when it isn't the last to have begun,
// and none of the others does. One that has ended, or is lifted, stays as it is.
func TestARestartedBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &Budgets{Each: 2 * time.Second}
		begin := time.Now()
		upload, other := all.Start(t.Context()), all.Start(t.Context())
		defer upload.Stop()
		defer other.Stop()
		for range 3 {
			time.Sleep(time.Second)
			upload.Restart()
			if at, ok := upload.Deadline(); !ok || time.Until(at) != 2*time.Second {
				t.Errorf("deadline in %v", time.Until(at))
			}
		}
		if !other.Spent() || upload.Err() != nil {
			t.Errorf("the other: %v, the upload: %v", other.Err(), upload.Err())
		}
		<-upload.Done()
		if took := time.Since(begin); took != 5*time.Second || !upload.Spent() {
			t.Errorf("it ended after %v", took)
		}
		upload.Restart()
		lifted := all.Start(t.Context())
		defer lifted.Stop()
		lifted.Lift()
		lifted.Restart()
		time.Sleep(time.Hour)
		if lifted.Err() != nil {
			t.Error("a lifted budget has ended")
		}
	})
}
