package switchboard

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

// The last hour, minute by minute: what is older is gone, and what is counted
// from many goroutines at the turn of a minute is all there.
func TestTheLastHour(t *testing.T) {
	var tr traffic
	start := time.Unix(1_800_000_000, 0).Truncate(time.Minute)
	for i := range 90 {
		at := start.Add(time.Duration(i) * time.Minute)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				tr.count(at, call.OK, 10*time.Millisecond)
				tr.count(at, call.Timeout, 2*time.Second)
				tr.count(at, "no such outcome", time.Second)
			})
		}
		wg.Wait()
	}
	now := start.Add(89*time.Minute + 30*time.Second)
	hour := tr.hourAt(now)
	if hour.Calls != 1200 || hour.Outcomes["ok"] != 600 || hour.Outcomes["timeout"] != 600 || len(hour.Outcomes) != 2 {
		t.Errorf("%d calls, %v", hour.Calls, hour.Outcomes)
	}
	if len(hour.Minutes) != 60 || hour.Minutes[0].Start != start.Unix()+30*60 || hour.Minutes[59].Start != start.Unix()+89*60 {
		t.Errorf("%d minutes, %+v", len(hour.Minutes), hour.Minutes[0])
	}
	for _, m := range hour.Minutes {
		if m.Calls != 20 || m.Outcomes["ok"] != 10 {
			t.Fatalf("%+v", m)
		}
	}
	later := tr.hourAt(now.Add(59 * time.Minute))
	if later.Calls != 20 || later.Minutes[0].Calls != 20 || later.Minutes[1].Calls != 0 || later.Minutes[1].P99 != 0 {
		t.Errorf("an hour later: %d", later.Calls)
	}
	if later = tr.hourAt(now.Add(2 * time.Hour)); later.Calls != 0 || later.P50 != 0 || len(later.Outcomes) != 0 {
		t.Errorf("two hours later: %+v", later)
	}
}

func TestTimesAreWithinTenPercent(t *testing.T) {
	now := time.Now()
	for took := 100 * time.Microsecond; took < time.Minute; took = took * 11 / 10 {
		var tr traffic
		tr.count(now, call.OK, took)
		if got, want := tr.hourAt(now).P99, took.Seconds()*1e3; math.Abs(got-want) > want/10 {
			t.Errorf("%s is told as %v ms", took, got)
		}
	}
	var tr traffic
	for _, took := range []time.Duration{-1, 0, time.Nanosecond, time.Hour, math.MaxInt64} {
		tr.count(now, call.OK, took)
	}
	if h := tr.hourAt(now); h.Calls != 5 || h.P50 > 0.1 || h.P99 < 50_000 {
		t.Errorf("p50 %v, p99 %v", h.P50, h.P99)
	}
}

// 98 fast calls and 2 slow ones: the slow ones are the 99th percentile.
func TestPercentiles(t *testing.T) {
	var tr traffic
	now := time.Now()
	for i := range 100 {
		took := 10 * time.Millisecond
		if i < 2 {
			took = time.Second
		}
		tr.count(now, call.OK, took)
	}
	if h := tr.hourAt(now); h.P50 < 9 || h.P50 > 11 || h.P99 < 900 || h.P99 > 1100 {
		t.Errorf("p50 %v, p99 %v", h.P50, h.P99)
	}
}

func BenchmarkCount(b *testing.B) {
	var tr traffic
	now := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			tr.count(now, call.OK, 3*time.Millisecond)
		}
	})
}
