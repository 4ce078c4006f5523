package keeper

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// Sixteen instances share one storage for seven days, each with a request
// a minute, at an API that kills the old token at once and takes each
// refresh token once.
func TestFleetWeek(t *testing.T) {
	tests := map[string]struct {
		noLock bool
		most   int
	}{
		"lock":       {false, 92},
		"no-op lock": {true, 93},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const instances, week = 16, 7 * 24 * time.Hour
				i, s := newIssuer(), newMemory()
				s.noLock = tt.noLock
				delay := New(testPolicy(), nil).seeded(99).random
				s.hook = func(ctx context.Context, _ string) error {
					return pause(ctx, scale(20*time.Millisecond, delay()))
				}
				var fleet []*Keeper
				for n := range instances {
					k := New(testPolicy(), i).seeded(uint64(n))
					k.Attach(Env{Storage: s})
					t.Cleanup(func() { _ = k.Destruct() })
					fleet = append(fleet, k)
				}
				var mu sync.Mutex
				requests, dead := 0, 0
				var wg sync.WaitGroup
				end := time.Now().Add(week)
				for n, k := range fleet {
					k.Start()
					wg.Go(func() {
						time.Sleep(time.Duration(n) * 1777 * time.Millisecond)
						for ; time.Now().Before(end); time.Sleep(time.Minute) {
							tok, err := k.Token(t.Context())
							if err != nil {
								t.Error(err)
								return
							}
							ok := i.accepts(tok)
							if !ok {
								k.Invalidate(tok.Generation, 0, "status 401")
								if again := must(t, k); !i.accepts(again) {
									t.Errorf("generation %d after %d: dead too", again.Generation, tok.Generation)
								}
							}
							mu.Lock()
							requests++
							if !ok {
								dead++
							}
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				t.Logf("%d token calls, %d obtained, %d of %d requests with a dead token", i.calls(), i.calls(howObtain), dead, requests)
				if n := i.calls(); n < 90 || n > tt.most {
					t.Errorf("%d token calls for 91 cycles", n)
				}
				if dead*2000 > requests {
					t.Errorf("%d of %d requests with a dead token", dead, requests)
				}
				if again := i.resent(); again != nil && !tt.noLock {
					t.Errorf("refresh tokens sent twice: %v", again)
				}
				for _, k := range fleet {
					_ = k.Destruct()
				}
				time.Sleep(2 * time.Minute)
			})
		})
	}
}

// In one process, with a cold start: one obtains, the others find the token
// while they wait for the lock; or, where that is none, because of the mark.
func TestFleetColdStart(t *testing.T) {
	for _, noLock := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			i, s := newIssuer(), newMemory()
			s.noLock = noLock
			var wg sync.WaitGroup
			for n := range 16 {
				k, _ := keeping(t, testPolicy(), i, s)
				k.seeded(uint64(n))
				wg.Go(func() {
					began := time.Now()
					if tok := must(t, k); tok.Generation != 1 {
						t.Errorf("generation %d", tok.Generation)
					}
					if took := time.Since(began); took > time.Second {
						t.Errorf("took %v", took)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Minute)
			if n := i.calls(); n != 1 {
				t.Errorf("no lock: %v, %d calls", noLock, n)
			}
			if s.held() != 0 {
				t.Errorf("%d locks left", s.held())
			}
		})
	}
}

// A whole fleet finds out in the same instant that its token is dead.
func TestFleetInvalidatesTogether(t *testing.T) {
	for _, noLock := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			i, s := newIssuer(), newMemory()
			s.noLock = noLock
			s.hook = func(ctx context.Context, _ string) error { return pause(ctx, 5*time.Millisecond) }
			var fleet []*Keeper
			for n := range 16 {
				k, _ := keeping(t, testPolicy(), i, s)
				k.seeded(uint64(n)).Start()
				fleet = append(fleet, k)
			}
			time.Sleep(time.Hour)
			i.kill()
			var wg sync.WaitGroup
			for _, k := range fleet {
				wg.Go(func() {
					k.Invalidate(1, 0, "status 401")
					if tok := must(t, k); tok.Generation != 2 || !i.accepts(tok) {
						t.Errorf("generation %d", tok.Generation)
					}
				})
			}
			wg.Wait()
			if n := i.calls(); n != 2 {
				t.Errorf("no lock: %v, %d calls", noLock, n)
			}
		})
	}
}

// Without a lock, the mark in the record keeps an instance that is not in a
// hurry back while another is in the middle of its call.
func TestInstanceLeavesTheCallToAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		s.noLock = true
		k, _ := keeping(t, testPolicy(), i, s)
		k.Start()
		must(t, k)
		other, l := keeping(t, testPolicy(), i, s)
		other.seeded(2)
		other.Start()
		must(t, other)
		i.set(func() { i.latency = 8 * time.Second })
		for i.calls() == 1 {
			time.Sleep(time.Second)
		}
		// whoever didn't start falls due now
		for _, k := range []*Keeper{k, other} {
			k.mu.Lock()
			k.due = k.now()
			k.wakeLoop()
			k.mu.Unlock()
		}
		time.Sleep(20 * time.Second)
		if n := i.calls(); n != 2 {
			t.Errorf("%d calls", n)
		}
		if k.Current().Access != other.Current().Access {
			t.Error("two tokens")
		}
		if _, failed := l.heard(); len(failed) != 0 {
			t.Errorf("failed %v", failed)
		}
	})
}

// A refresh token that another instance has used: what that got is in the
// store, so nobody signs in.
func TestRefreshTokenUsedByAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		s.noLock = true
		k, _ := keeping(t, testPolicy(), i, s)
		first := must(t, k)
		late := make(chan struct{})
		i.set(func() {
			i.before = func(ctx context.Context, c tokenCall) error {
				if c.how == howRefresh {
					<-late
					return &token.Failure{Kind: token.Refused, Reason: "used"}
				}
				return nil
			}
		})
		k.Invalidate(first.Generation, 0, "status 401")
		time.Sleep(3 * time.Second) // longer than the mark holds others back
		other, _ := keeping(t, testPolicy(), i, s)
		other.Invalidate(1, 0, "") // unknown yet: nothing happens
		if err := other.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(late)
		if tok, err := k.Token(within(t, time.Second)); err != nil || tok.Access != other.Current().Access {
			t.Errorf("%v, %v", tok, err)
		}
		time.Sleep(time.Second)
		if n := i.calls(howObtain); n != 2 {
			t.Errorf("%d sign-ins", n)
		}
	})
}

// A token that was obtained while the store couldn't be read is later than
// what the store holds, whatever the numbers say.
func TestTokenObtainedBlind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		before, _ := keeping(t, testPolicy(), i, s)
		must(t, before)
		if err := before.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = before.Destruct()

		s.setHook(func(context.Context, string) error { return errDisk })
		k, _ := keeping(t, testPolicy(), i, s)
		tok, err := k.Token(within(t, lockErrorWait+time.Second))
		if err != nil || tok.Generation != 1 {
			t.Fatalf("%v, %v", tok, err)
		}
		s.setHook(nil)
		time.Sleep(time.Minute)
		if now := k.Current(); now.Access != tok.Access || now.Generation != 3 || !i.accepts(now) {
			t.Errorf("generation %d", now.Generation)
		}
		if r := s.stored(t, testPolicy()); r.Access != tok.Access || r.Generation != 3 {
			t.Errorf("stored is generation %d", r.Generation)
		}
	})
}

// The number of a dead record isn't given away a second time.
func TestGenerationsOnlyGrow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		k, _ := keeping(t, testPolicy(), i, s)
		k.Start()
		must(t, k)
		p := testPolicy()
		theirs := k.snapshot()
		theirs.Generation, theirs.Access, theirs.Dead = 9, "theirs", true
		if err := newStore(s, &p).save(t.Context(), &theirs); err != nil {
			t.Fatal(err)
		}
		for k.State().Phase != "due" {
			time.Sleep(time.Second)
		}
		time.Sleep(6 * time.Second) // the dead record is seen, and not taken for ours
		if tok := must(t, k); tok.Generation != 1 {
			t.Fatalf("generation %d", tok.Generation)
		}
		k.Invalidate(1, 0, "status 401")
		if tok := must(t, k); tok.Generation != 10 {
			t.Errorf("generation %d", tok.Generation)
		}
	})
}
