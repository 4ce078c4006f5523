package token

import (
	"sync"
	"testing"
	"time"
)

// Sixteen instances share one storage for seven days, each with a request
// a minute, at an API that kills the old token at once and takes each
// refresh token once (reliability, sections 4 and 9, T3 and T4).
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
				i, s := newIssuer(), newStorage()
				s.noLock = tt.noLock
				var fleet []*Keeper
				for n := range instances {
					k := newKeeper(testPolicy(), i).seeded(uint64(n))
					k.Attach(Env{Storage: s})
					t.Cleanup(func() { _ = k.Destruct() })
					fleet = append(fleet, k)
				}
				if tt.noLock { // they start one after the other, as in a rolling update
					must(t, fleet[0])
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
								k.Invalidate(tok.Generation, "status 401")
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
				time.Sleep(time.Minute)
			})
		})
	}
}

// T2 in one process, with a cold start: the lock's holder obtains, the others
// find the token while they wait for the lock.
func TestFleetColdStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newStorage()
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
			t.Errorf("%d calls", n)
		}
		if s.held() != 0 {
			t.Errorf("%d locks left", s.held())
		}
	})
}
