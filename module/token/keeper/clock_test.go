package keeper

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/module/token"
)

func TestLifetime(t *testing.T) {
	tests := map[string]struct {
		stated     time.Duration
		absolute   time.Duration
		configured time.Duration
		want       time.Duration
	}{
		"stated":     {stated: time.Hour, configured: 3 * time.Hour, want: time.Hour},
		"absolute":   {absolute: 30 * time.Minute, want: 30 * time.Minute},
		"configured": {configured: 3 * time.Hour, want: 3 * time.Hour},
		"assumed":    {want: 2 * time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := testPolicy()
				p.Lifetime = tt.configured
				i := newIssuer()
				i.lifetime = tt.stated
				i.grant = func(g *token.Grant) {
					if tt.absolute > 0 {
						g.Expires = time.Now().Add(tt.absolute - i.latency/2)
					}
				}
				k, _ := keeping(t, p, i, nil)
				tok := must(t, k)
				if got := tok.Expires.Sub(tok.Obtained); got != tt.want {
					t.Errorf("lifetime %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// A machine whose clock is wrong signs with the endpoint's time after one
// refusal, and goes on so after a restart.
func TestClockSkew(t *testing.T) {
	for _, off := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		t.Run(off.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				i, s := newIssuer(), newMemory()
				i.noRefresh = true
				i.before = func(_ context.Context, c tokenCall) error {
					if signed := c.at.Add(-off).Add(c.skew); signed.Sub(c.at).Abs() > time.Minute {
						return &token.Failure{Kind: token.Refused, Status: 401, Date: c.at.Truncate(time.Second)}
					}
					return nil
				}
				k, l := keeping(t, testPolicy(), i, s)
				k.clock = func() time.Time { return time.Now().Add(-off) }
				k.Start()
				tok, err := k.Token(within(t, 2*time.Second))
				if err != nil || tok.Generation != 1 || i.calls() != 2 {
					t.Fatalf("%v after %d calls", err, i.calls())
				}
				if n := l.count(zapcore.WarnLevel, "clock differs"); n != 1 {
					t.Errorf("%d warnings", n)
				}
				time.Sleep(3 * time.Hour)
				if i.calls() != 3 || k.Current() == nil {
					t.Errorf("%d calls: the skew was not kept", i.calls())
				}
				_ = k.Destruct()
				after, _ := keeping(t, testPolicy(), i, s)
				after.clock = k.clock
				after.Start()
				time.Sleep(2 * time.Hour)
				if i.calls() != 4 || after.Current() == nil {
					t.Errorf("%d calls: the skew was not kept over the restart", i.calls())
				}
			})
		})
	}
}

// A Date that is wrong must not spoil the signatures: the skew is kept only if
// it helped.
func TestClockSkewThatDidNotHelp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		i.before = func(_ context.Context, c tokenCall) error {
			return &token.Failure{Kind: token.Refused, Status: 401, Date: c.at.Add(time.Hour)}
		}
		k, _ := keeping(t, testPolicy(), i, newMemory())
		if _, err := k.Token(within(t, time.Second)); err == nil || i.calls() != 2 {
			t.Fatalf("%v after %d calls", err, i.calls())
		}
		i.set(func() { i.before = nil })
		time.Sleep(6 * time.Minute)
		must(t, k)
		if c := i.log()[2]; c.skew != 0 {
			t.Errorf("signed with a skew of %v", c.skew)
		}
	})
}

// A forward jump of the wall clock ends the token, a backward jump doesn't
// freeze the source.
func TestWallClockJumps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newIssuer()
		k, _ := keeping(t, testPolicy(), i, newMemory())
		var jump atomic.Int64
		k.clock = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
		first, err := k.Token(within(t, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the loop sleeps
		jump.Store(int64(3 * time.Hour))
		if k.Current() != nil {
			t.Error("served after its wall-clock expiry")
		}
		time.Sleep(longestSleep + time.Second)
		if now := k.Current(); now == nil || now == first {
			t.Fatal("not renewed after the jump")
		}
		i.set(func() { i.before = down })
		k.Invalidate(2, 0, "status 401")
		time.Sleep(10 * time.Minute)
		i.set(func() { i.before = nil })
		jump.Store(int64(-3 * time.Hour))
		time.Sleep(longestSleep + time.Second)
		if k.Current() == nil {
			t.Error("waiting for a time that is hours ahead")
		}
	})
}

// An absolute expiry is the endpoint's time.
func TestAbsoluteExpiryWithSkew(t *testing.T) {
	ours := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	theirs := ours.Add(10 * time.Minute)
	at, assumed := expiry(token.Grant{Expires: theirs.Add(time.Hour)}, &token.Policy{}, ours, 10*time.Minute)
	if !at.Equal(ours.Add(time.Hour)) || assumed {
		t.Errorf("expires %v, assumed %v", at, assumed)
	}
}
