package keeper

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
)

// The lock of an instance that is gone and never goes stale.
func TestGhostLock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		p := testPolicy()
		if err := s.Lock(t.Context(), newStore(s, &p).lockName); err != nil {
			t.Fatal(err)
		}
		k, l := keeping(t, p, i, s)
		began := time.Now()
		if _, err := k.Token(within(t, 20*time.Second)); err != nil {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		if n := l.count(zapcore.WarnLevel, "held for too long"); n != 1 {
			t.Errorf("%d warnings", n)
		}
		// what the holder stores while we wait is taken at once
		other, _ := keeping(t, p, i, s)
		began = time.Now()
		if tok := must(t, other); tok.Generation != 1 || time.Since(began) > time.Second {
			t.Errorf("generation %d after %v", tok.Generation, time.Since(began))
		}
	})
}

// A lock that excludes nobody is reported, once.
func TestLockSelfTest(t *testing.T) {
	tests := map[string]struct {
		spoil func(s *memory)
		want  string
	}{
		"lock":  {func(*memory) {}, ""},
		"no-op": {func(s *memory) { s.noLock = true }, "excludes nobody"},
		"error": {func(s *memory) {
			s.hook = func(_ context.Context, op string) error {
				if op == "Lock" {
					return errDisk
				}
				return nil
			}
		}, "doesn't work"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				i, s := newIssuer(), newMemory()
				tt.spoil(s)
				k, l := keeping(t, testPolicy(), i, s)
				for range 3 {
					k.Start()
					time.Sleep(time.Minute)
					k.Attach(Env{Storage: s, Logger: l.logger})
				}
				want := 0
				if tt.want != "" {
					want = 1
				}
				if n := l.count(zapcore.WarnLevel, "storage's lock "+tt.want); n != want && name != "error" || n < want {
					t.Errorf("%d warnings, want %d", n, want)
				}
				if s.held() != 0 {
					t.Errorf("%d locks left", s.held())
				}
			})
		})
	}
}

// Two instances without a lock made the same generation. The one that was
// stored counts, and the other isn't mistaken for it.
func TestSameGenerationTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		k, _ := keeping(t, testPolicy(), i, s)
		mine := must(t, k)
		other, _ := keeping(t, testPolicy(), i, newMemory())
		theirs := must(t, other)
		p := testPolicy()
		r := other.snapshot()
		if err := newStore(s, &p).save(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		k.Invalidate(mine.Generation, 0, "status 401")
		tok := must(t, k)
		if tok.Access != theirs.Access || tok.Generation == mine.Generation || i.calls() != 2 {
			t.Errorf("generation %d after %d calls", tok.Generation, i.calls())
		}
		k.Invalidate(mine.Generation, 0, "status 401")
		if k.Current() != tok {
			t.Error("a straggler killed the other's token")
		}
	})
}
