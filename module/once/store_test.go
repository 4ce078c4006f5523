package once

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/storage"
)

// Of many who claim a write at the same time, in several instances, one gets it.
func TestClaimUnderContention(t *testing.T) {
	m := newMemory()
	for round := range 50 {
		key := fmt.Sprint("k", round)
		var won atomic.Int32
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				found, err := newStore(m).Claim(t.Context(), newRecord(key, fmt.Sprint(i)), 5*time.Second, never)
				switch {
				case err != nil:
					t.Error(err)
				case found == nil:
					won.Add(1)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d have claimed %s", won.Load(), key)
		}
	}
}

// A record is replaced if the caller says so.
func TestClaimReplaces(t *testing.T) {
	s := newStore(newMemory())
	s.mustClaim(t, newRecord("k", "a"))
	asked := 0
	found, err := s.Claim(t.Context(), newRecord("k", "b"), time.Second, func(r *Record, err error) bool {
		asked++
		return r.Attempt == "a" && err == nil
	})
	if found != nil || err != nil || asked != 1 {
		t.Errorf("%+v, %v, asked %d times", found, err, asked)
	}
	if r := s.mustLoad(t, "k"); r.Attempt != "b" {
		t.Errorf("it is that of attempt %s", r.Attempt)
	}
}

// A claim costs the storage one look, one store and a lock.
func TestTheCostOfAClaim(t *testing.T) {
	m := newMemory()
	newStore(m).mustClaim(t, newRecord("k", "a"))
	if m.count("load") != 1 || m.count("store") != 1 || m.count("lock") != 1 {
		t.Errorf("%v", m.ops)
	}
}

// A storage that fails or hangs ends a claim in time. The write isn't sent then, and
// what was stored nevertheless is deleted before the next one gets the lock.
func TestAClaimThatFails(t *testing.T) {
	for name, tc := range map[string]struct {
		fault func(ctx context.Context) error
		op    string
		in    time.Duration
		want  string
	}{
		"a lock that fails":        {fails, "lock", 0, "locking the record: no space left"},
		"a lock that hangs":        {hangs, "lock", time.Second, "locking the record: context deadline exceeded"},
		"a load that fails":        {fails, "load", 0, "loading the record: no space left"},
		"a load that hangs":        {hangs, "load", time.Second, "storing the record: context deadline exceeded"},
		"a store that fails":       {fails, "store", 0, "storing the record: no space left"},
		"a store that hangs":       {hangs, "store", time.Second, "storing the record: context deadline exceeded"},
		"a store that panics":      {func(context.Context) error { panic("secret") }, "store", 0, "storing the record: panic (string)"},
		"a store that is slow":     {func(context.Context) error { time.Sleep(2 * time.Second); return nil }, "store", time.Second, "storing the record: context deadline exceeded"},
		"a store without an end":   {func(context.Context) error { time.Sleep(time.Minute); return errDisk }, "store", time.Second, "storing the record: context deadline exceeded"},
		"an unlock that never end": {hangs, "unlock", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				s := newStore(m)
				m.fault(tc.fault, tc.op)
				begin := time.Now()
				found, err := s.Claim(t.Context(), newRecord("k", "a"), time.Second, never)
				if took := time.Since(begin); took != tc.in {
					t.Errorf("took %v, want %v", took, tc.in)
				}
				if found != nil || fmt.Sprint(err) == "<nil>" != (tc.want == "") || err != nil && !strings.HasPrefix(err.Error(), tc.want) {
					t.Errorf("%+v, %v", found, err)
				}
				m.fault(nil)
				time.Sleep(2 * time.Minute) // the storage has recovered
				if tc.want == "" {
					return
				}
				if names := m.names(); len(names) > 0 {
					t.Errorf("left in the storage: %v", names)
				}
				s.mustClaim(t, newRecord("k", "b"))
			})
		})
	}
}

// A caller who has left gets no write, however late the storage answers.
func TestAClaimWhoseCallerHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newStore(m)
		m.fault(func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }, "store")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := s.Claim(ctx, newRecord("k", "a"), time.Second, never); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		// the next one waits for the lock until the first record is gone
		m.fault(nil)
		s.mustClaim(t, newRecord("k", "b"))
		if m.count("delete") != 1 || s.mustLoad(t, "k").Attempt != "b" {
			t.Errorf("%v", m.ops)
		}
	})
}

// A process that was killed leaves its lock. Claims end in time until it is gone.
func TestAGhostLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newStore(m)
		if err := m.Lock(t.Context(), s.lockOf("k")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Claim(t.Context(), newRecord("k", "a"), time.Second, never); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if err := m.Unlock(t.Context(), s.lockOf("k")); err != nil {
			t.Fatal(err)
		}
		s.mustClaim(t, newRecord("k", "b"))
	})
}

func TestDrop(t *testing.T) {
	s := newStore(newMemory())
	first, second := newRecord("k", "a"), newRecord("k", "b")
	s.mustClaim(t, first)
	if err := s.Drop(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if s.mustLoad(t, "k") == nil {
		t.Error("the record of another attempt was dropped")
	}
	for range 2 { // the second time there is none
		if err := s.Drop(t.Context(), first); err != nil {
			t.Fatal(err)
		}
	}
	if s.mustLoad(t, "k") != nil {
		t.Error("not dropped")
	}
}

func TestForget(t *testing.T) {
	m := newMemory()
	s := newStore(m)
	if existed, err := s.Forget(t.Context(), "k"); existed || err != nil {
		t.Errorf("without a record: %v, %v", existed, err)
	}
	r := newRecord("k", "a")
	s.mustClaim(t, r)
	if existed, err := s.Forget(t.Context(), "k"); existed || !errors.Is(err, ErrUnderWay) {
		t.Errorf("while it is under way: %v, %v", existed, err)
	}
	if err := s.Save(t.Context(), answered(r)); err != nil {
		t.Fatal(err)
	}
	m.fault(fails, "load")
	if existed, err := s.Forget(t.Context(), "k"); existed || !errors.Is(err, errDisk) {
		t.Errorf("a storage that fails: %v, %v", existed, err)
	}
	m.fault(nil)
	if existed, err := s.Forget(t.Context(), "k"); !existed || err != nil || s.mustLoad(t, "k") != nil {
		t.Errorf("%v, %v", existed, err)
	}
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newStore(m)
		if all, unreadable, more, err := s.List(t.Context(), 10); all != nil || unreadable != 0 || more || err != nil {
			t.Errorf("of nothing: %v %d %v %v", all, unreadable, more, err)
		}
		for i := range 5 {
			time.Sleep(time.Second)
			if err := s.Save(t.Context(), answered(newRecord(fmt.Sprint("k", i), "a"))); err != nil {
				t.Fatal(err)
			}
		}
		old := newRecord("old", "a")
		old.Expires = time.Now().Add(time.Second)
		s.mustClaim(t, old)
		time.Sleep(time.Second)
		m.put(s.nameOf("damaged"), []byte("{"))
		NewStore(m, "ticket", [32]byte{9}, zap.NewNop()).mustClaim(t, newRecord("foreign", "a"))
		NewStore(m, "order", sealKey, zap.NewNop()).mustClaim(t, newRecord("k9", "a"))

		for _, tc := range []struct {
			limit int
			want  string
			more  bool
		}{{10, "k4 k3 k2 k1 k0", false}, {5, "k4 k3 k2 k1 k0", false}, {2, "k4 k3", true}} {
			all, unreadable, more, err := s.List(t.Context(), tc.limit)
			keys := make([]string, len(all))
			for i, r := range all {
				if keys[i] = r.Key; r.Answer != nil {
					t.Error("a list holds the answers")
				}
			}
			if got := strings.Join(keys, " "); got != tc.want || unreadable != 2 || more != tc.more || err != nil {
				t.Errorf("%d: %s, %d unreadable, more %v, %v", tc.limit, got, unreadable, more, err)
			}
		}
		m.fault(fails, "list")
		if _, _, _, err := s.List(t.Context(), 10); !errors.Is(err, errDisk) {
			t.Errorf("%v", err)
		}
		m.fault(hangs, "load")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, _, err := s.List(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestALockThatExcludesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for noLock, want := range map[bool]int{true: 1, false: 0} {
			m := newMemory()
			m.noLock = noLock
			s, logs := observed(m)
			s.TestLock()
			s.TestLock()
			time.Sleep(time.Second)
			if got := logs.FilterMessageSnippet("the lock of Caddy's storage excludes nobody").Len(); got != want {
				t.Errorf("no lock %v: warned %d times", noLock, got)
			}
		}
	})
}

// swept runs the sweeper for as long as it takes to visit every folder, and then some.
func swept(s *Store) {
	for range 4000 {
		s.Sweep()
		time.Sleep(sweepEvery)
	}
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s, logs := observed(m)
		keep := newRecord("keep", "a")
		keep.Expires = time.Now().Add(MaxTTL)
		s.mustClaim(t, keep)
		other := NewStore(m, "no longer configured", [32]byte{9}, zap.NewNop())
		for i := range 10 {
			s.mustClaim(t, newRecord(fmt.Sprint("k", i), "a"))
			other.mustClaim(t, newRecord(fmt.Sprint("k", i), "a"))
		}
		m.put(s.nameOf("damaged"), []byte("{"))
		m.put(s.nameOf("too large"), make([]byte, maxRecord+1))
		swept(s)
		if names := m.names(); len(names) != 3 {
			t.Errorf("left: %v", names)
		}
		if s.mustLoad(t, "keep") == nil {
			t.Error("a record that counts was deleted")
		}
		// those that can't be read are deleted when they are older than any record
		time.Sleep(MaxTTL)
		swept(s)
		if names := m.names(); len(names) != 0 {
			t.Errorf("left after all: %v", names)
		}
		if logs.Len() > 0 {
			t.Errorf("warned: %v", logs.All())
		}

		s.mustClaim(t, newRecord("k", "a"))
		time.Sleep(2 * time.Hour)
		for _, op := range []string{"list", "load", "delete", "stat"} {
			m.fault(fails, op)
			swept(s)
			if len(m.names()) != 1 && op != "stat" {
				t.Errorf("%s fails: %v", op, m.names())
			}
		}
		if logs.FilterMessageSnippet("sweeping").Len() == 0 {
			t.Error("a storage that fails is not warned of")
		}
	})
}

// A sweep is begun once a minute, however many writes there are.
func TestSweepIsRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newStore(m)
		for range 120 {
			s.Sweep()
			time.Sleep(time.Second)
		}
		if n := m.count("list"); n != 2 {
			t.Errorf("%d lists in two minutes", n)
		}
	})
}

// A storage that hangs is left alone for a while.
func TestAStorageThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := newStore(m)
		m.fault(hangs, "load")
		if _, err := s.Load(t.Context(), "k"); err == nil {
			t.Error("no error")
		}
		begin := time.Now()
		if _, err := s.Load(t.Context(), "k"); !errors.Is(err, storage.ErrDown) || time.Since(begin) > 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		m.fault(nil)
		time.Sleep(storagePause)
		if s.mustLoad(t, "k") != nil {
			t.Error("a record")
		}
	})
}
