package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBudget(t.Context(), 2*time.Second)
		defer b.stop()
		child, cancel := context.WithCancel(b)
		defer cancel()
		if at, ok := child.Deadline(); !ok || time.Until(at) != 2*time.Second {
			t.Errorf("deadline in %v", time.Until(at))
		}
		<-child.Done()
		if !b.spent() || !errors.Is(context.Cause(child), errBudget) {
			t.Errorf("cause %v", context.Cause(child))
		}
	})
}

func TestALiftedBudgetLetsAStreamLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, hangUp := context.WithCancel(t.Context())
		b := startBudget(parent, 2*time.Second)
		defer b.stop()
		b.lift()
		time.Sleep(time.Hour)
		if b.Err() != nil {
			t.Errorf("the stream ended: %v", b.Err())
		}
		if _, ok := b.Deadline(); ok {
			t.Error("a lifted budget still has a deadline")
		}
		hangUp()
		<-b.Done()
		if b.spent() {
			t.Error("hanging up counts as a spent budget")
		}
	})
}
