package keeper

import (
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

func TestWindowStart(t *testing.T) {
	tests := map[string]struct {
		lifetime, before time.Duration
		fraction         float64
		want             time.Duration // before the expiry
	}{
		"as written":       {lifetime: 2 * time.Hour, before: 5 * time.Minute, want: 5 * time.Minute},
		"default":          {lifetime: 2 * time.Hour, want: 10 * time.Minute},
		"a fraction":       {lifetime: 2 * time.Hour, fraction: 0.25, want: 30 * time.Minute},
		"at most half":     {lifetime: 10 * time.Minute, before: 9 * time.Minute, want: 5 * time.Minute},
		"default, clipped": {lifetime: 10 * time.Minute, want: 5 * time.Minute},
		"fraction clipped": {lifetime: 10 * time.Minute, fraction: 0.9, want: 5 * time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			obtained := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
			expires := obtained.Add(tt.lifetime)
			p := token.Policy{RefreshBefore: tt.before, RefreshFraction: tt.fraction}
			if got := expires.Sub(windowStart(obtained, expires, &p)); got != tt.want {
				t.Errorf("%v before the expiry, want %v", got, tt.want)
			}
		})
	}
}

func TestStartWithin(t *testing.T) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	expires := start.Add(10 * time.Minute)
	tests := map[string]struct {
		now       time.Duration // after start
		low, high time.Duration
	}{
		"before the window":  {-time.Hour, 0, 8 * time.Minute},
		"inside":             {4 * time.Minute, 4 * time.Minute, 8 * time.Minute},
		"at 80 %":            {8 * time.Minute, 8 * time.Minute, 8*time.Minute + 24*time.Second},
		"shortly before end": {590 * time.Second, 590 * time.Second, 592 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, end := range []struct {
				r    float64
				want time.Duration
			}{{0, tt.low}, {1, tt.high}} {
				if got := startWithin(start, expires, start.Add(tt.now), end.r).Sub(start); got != end.want {
					t.Errorf("r = %v: %v, want %v", end.r, got, end.want)
				}
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int][2]time.Duration{
		1:    {time.Second, 2 * time.Second},
		2:    {time.Second, 4 * time.Second},
		4:    {4 * time.Second, 16 * time.Second},
		6:    {15 * time.Second, time.Minute},
		1000: {15 * time.Second, time.Minute},
	} {
		if got := [2]time.Duration{backoffAfter(n, 0), backoffAfter(n, 1)}; got != want {
			t.Errorf("after %d failures: %v, want %v", n, got, want)
		}
	}
}

func TestRefusal(t *testing.T) {
	tests := []struct {
		n          int
		base, want time.Duration
	}{
		{1, 5 * time.Minute, 5 * time.Minute},
		{3, 5 * time.Minute, 20 * time.Minute},
		{5, 5 * time.Minute, time.Hour},
		{1 << 40, 5 * time.Minute, time.Hour},
		{3, time.Second, 4 * time.Second},
		{2, time.Hour, time.Hour},
	}
	for _, tt := range tests {
		if got := refusalWait(tt.n, tt.base); got != tt.want {
			t.Errorf("refusal %d from %v: %v, want %v", tt.n, tt.base, got, tt.want)
		}
	}
}

func TestUnchangedPause(t *testing.T) {
	if got := unchangedPause(10*time.Minute, 0); got != 150*time.Second {
		t.Errorf("%v", got)
	}
	if got := unchangedPause(10*time.Minute, 1); got != 5*time.Minute {
		t.Errorf("%v", got)
	}
	if got := unchangedPause(-time.Hour, 1); got != 10*time.Second {
		t.Errorf("%v", got)
	}
}
