package once

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// The record of an answered write is read once in five seconds, and not longer than it
// counts. Others are read each time.
func TestRecentRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newStore(m)
		r := newRecord("k", "a")
		s.mustClaim(t, r)
		reads := m.count("load")
		loads := func(want int) {
			t.Helper()
			if s.mustLoad(t, "k") == nil {
				t.Error("no record")
			}
			if got := m.count("load") - reads; got != want {
				t.Errorf("read %d times, want %d", got, want)
			}
		}
		loads(1)
		loads(2) // it is under way
		if err := s.Save(t.Context(), answered(r)); err != nil {
			t.Fatal(err)
		}
		loads(3)
		loads(3)
		time.Sleep(recentFor)
		loads(4)
		loads(4)

		// forgotten here, and in another instance
		if _, err := s.Forget(t.Context(), "k"); err != nil || s.mustLoad(t, "k") != nil {
			t.Errorf("forgotten: %v", err)
		}
		if err := s.Save(t.Context(), answered(r)); err != nil || s.mustLoad(t, "k") == nil {
			t.Fatal(err)
		}
		if _, err := NewStore(m, "ticket", sealKey, zap.NewNop()).Forget(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recentFor)
		if s.mustLoad(t, "k") != nil {
			t.Error("a record that was forgotten elsewhere is still there")
		}

		soon := answered(newRecord("soon", "a"))
		soon.Expires = time.Now().Add(time.Second)
		if err := s.Save(t.Context(), soon); err != nil || s.mustLoad(t, "soon") == nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s.mustLoad(t, "soon") != nil {
			t.Error("a record outlives its expiry in memory")
		}
	})
}

// What is kept in memory is bounded.
func TestRecentRecordsAreFew(t *testing.T) {
	var c recent
	now := time.Now()
	for i := range 2 * maxRecent {
		c.put(answered(newRecord(fmt.Sprint("k", i), "a")), now)
	}
	if len(c.kept) != maxRecent || c.get(fmt.Sprint("k", 2*maxRecent-1), now) == nil {
		t.Errorf("%d are kept", len(c.kept))
	}
	now = now.Add(recentFor)
	large := answered(newRecord("large", "a"))
	large.Answer = make([]byte, maxRecentAnswer+1)
	c.put(large, now)
	c.put(answered(newRecord("new", "a")), now)
	if c.get("large", now) != nil || c.get("new", now) == nil || len(c.kept) != maxRecent {
		t.Errorf("%d are kept", len(c.kept))
	}
}
