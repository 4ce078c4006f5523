package keeper

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
)

// api is what an API makes of a call: it accepts the token that lives, save for
// records that it refuses whatever the token. A refused call is replayed once,
// as the transport does.
type api struct {
	t *testing.T
	k *Keeper
	i *issuer
	// signed: every request is another one, so none is known again.
	signed bool
	made   uint64
}

// call asks for a record and reports whether the API answered.
func (a *api) call(record uint64, bad bool) bool {
	a.t.Helper()
	for range 2 {
		tok, err := a.k.Token(within(a.t, 2*time.Second))
		if err != nil {
			a.t.Fatalf("a call without a token: %v", err)
		}
		if !bad && a.i.accepts(tok) {
			tok.Accept()
			return true
		}
		if a.made++; a.signed {
			record = 1000 + a.made
		}
		a.k.Invalidate(tok.Generation, record, "status 401")
		if now := a.k.Current(); now != nil && now.Generation == tok.Generation {
			return false
		}
	}
	return false
}

// One record that answers 401 for ever renewed the token every 30 s without end,
// and a token that really died meanwhile was noticed after 30 s.
func TestARecordThatIsRefusedForEver(t *testing.T) {
	// which of the calls, two a second, ask for a bad record
	random := rand.New(rand.NewPCG(1, 2))
	mixes := map[string]func(n int) (record uint64, bad bool){
		"every third":         func(n int) (uint64, bool) { return 1, n%3 == 0 },
		"every other":         func(n int) (uint64, bool) { return 1, n%2 == 0 },
		"five in a row":       func(n int) (uint64, bool) { return 1, n%10 < 5 },
		"now and then":        func(n int) (uint64, bool) { return 1, n%41 == 0 },
		"one of three":        func(int) (uint64, bool) { return 1, random.IntN(3) == 0 },
		"many records":        func(n int) (uint64, bool) { return uint64(n), n%5 == 0 },
		"nothing but refused": func(int) (uint64, bool) { return 1, true },
	}
	for name, mix := range mixes {
		for _, signed := range []bool{false, true} {
			if signed {
				name += ", signed"
			}
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					i := newIssuer()
					k, l := keeping(t, testPolicy(), i, newMemory())
					k.Start()
					must(t, k)
					time.Sleep(time.Hour)
					a := &api{t: t, k: k, i: i, signed: signed}
					before := i.calls()
					for n := range 1200 {
						record, bad := mix(n)
						if answered := a.call(record, bad); answered == bad {
							t.Fatalf("call %d: answered %v", n, answered)
						}
						time.Sleep(500 * time.Millisecond)
					}
					calls := i.log()[before:]
					if len(calls) == 0 {
						t.Error("no renewal")
					}
					for n := range calls {
						if n >= maxRenewals && calls[n].at.Sub(calls[n-maxRenewals].at) < refusalWindow-time.Second {
							t.Errorf("%d renewals within %v", maxRenewals+1, calls[n].at.Sub(calls[n-maxRenewals].at))
						}
					}
					if l.count(zapcore.ErrorLevel, "token_expired matches too much") == 0 {
						t.Error("no alarm")
					}
					if tok := must(t, k); tok.Expires.Sub(tok.Obtained) < time.Hour {
						t.Errorf("the lifetime was taken to be %v", tok.Expires.Sub(tok.Obtained))
					}
					if strings.HasPrefix(name, "nothing") || signed && (strings.HasPrefix(name, "five") || strings.HasPrefix(name, "one of")) {
						return // these look like a death all the time
					}
					// and a real death, at any time
					for range 2 {
						i.kill()
						died := time.Now()
						for n := 0; ; n++ {
							if a.call(999_999, false) {
								break
							}
							if time.Since(died) > 2*time.Second {
								t.Fatalf("still dead after %v", time.Since(died))
							}
							time.Sleep(500 * time.Millisecond)
						}
						for range 20 {
							a.call(mix(0))
							a.call(999_999, false)
							time.Sleep(30 * time.Second)
						}
					}
				})
			})
		}
	}
}

// A token that really dies right after a renewal that a bad record caused.
func TestARealDeathBesideABadRecord(t *testing.T) {
	for after := range 24 {
		bubble(t, func(t *testing.T) {
			i := newIssuer()
			k, _ := keeping(t, testPolicy(), i, newMemory())
			k.Start()
			must(t, k)
			a := &api{t: t, k: k, i: i}
			for n := range 2 + after*5 {
				a.call(1, n%2 == 0)
				time.Sleep(500 * time.Millisecond)
			}
			i.kill()
			died := time.Now()
			for n := 0; !a.call(2, false); n++ {
				if time.Since(died) > 2*time.Second {
					t.Fatalf("still dead after %v", time.Since(died))
				}
				time.Sleep(500 * time.Millisecond)
				a.call(1, true)
			}
		})
	}
}

// What an operator is told of a call that was refused after its replay.
func TestRefusalInWords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		k, _ := keeping(t, testPolicy(), i, newMemory())
		a := &api{t: t, k: k, i: i}
		if a.call(2, false); k.Refusal() != "" {
			t.Errorf("of a good token: %q", k.Refusal())
		}
		a.call(1, true)
		time.Sleep(12 * time.Second)
		const why = "renewed 12s ago and refused again; another system may sign in with the same credentials"
		if got := k.Refusal(); !strings.HasPrefix(got, why) {
			t.Errorf("got %q", got)
		}
		a.call(2, false)
		if got := k.Refusal(); !strings.Contains(got, "other requests are accepted with the same token") {
			t.Errorf("beside a good record: %q", got)
		}
		i.set(func() { i.before = down })
		k.Invalidate(must(t, k).Generation, 3, "status 401")
		time.Sleep(10 * time.Second)
		if got := k.Refusal(); !strings.Contains(got, "could not be renewed: no clear answer: connecting") {
			t.Errorf("with a dead endpoint: %q", got)
		}
		p := testPolicy()
		p.Static = "fixed"
		if got := New(p, nil).Refusal(); got != "the API refuses the static token" {
			t.Errorf("of a static token: %q", got)
		}
	})
}

// A request that no renewal helped causes no other for minutes. But the token that
// another instance has obtained meanwhile, such as with a person's new consent, is taken
// over within seconds.
func TestARefusedRequestTakesOverAnotherInstancesToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		one, _ := keeping(t, testPolicy(), i, s)
		other, _ := keeping(t, testPolicy(), i, s)
		const request = 7
		for range 2 { // the second time, the renewal hasn't helped
			other.Invalidate(must(t, other).Generation, request, "status 401")
		}
		held := must(t, other)
		for range 2 { // the first time, it takes over what is stored
			if err := one.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if now := other.Current(); now.Generation != held.Generation {
			t.Fatalf("generation %d is held before it is looked for", now.Generation)
		}
		calls := i.calls()
		other.Invalidate(held.Generation, request, "status 401")
		time.Sleep(2 * pollEvery)
		if got, want := other.Current(), one.Current(); got == nil || got.Generation != want.Generation {
			t.Errorf("the other instance holds %+v, want generation %d", got, want.Generation)
		}
		if i.calls() != calls {
			t.Error("the token endpoint was called for it")
		}
	})
}
