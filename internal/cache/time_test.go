package cache

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestEntriesEndInTime(t *testing.T) {
	for _, test := range []struct {
		name                 string
		fresh, stale, broken time.Duration
		want                 time.Duration
	}{
		{"fresh", 30 * time.Second, 0, 0, 30 * time.Second},
		{"stale", 30 * time.Second, 90 * time.Second, 0, 90 * time.Second},
		{"stale when the API fails", 30 * time.Second, 90 * time.Second, 24 * time.Hour, 24 * time.Hour},
		{"short", time.Nanosecond, 0, 0, time.Nanosecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, MinSize)
				now := time.Now()
				e := &Entry{Stored: now, Fresh: now.Add(test.fresh)}
				if test.stale > 0 {
					e.StaleWhileRevalidate = now.Add(test.stale)
				}
				if test.broken > 0 {
					e.StaleIfError = now.Add(test.broken)
				}
				k := c.key("a")
				c.Put("g", k, e)
				c.Wait()
				time.Sleep(test.want - time.Nanosecond)
				if _, ok := c.Get(k); !ok {
					t.Error("ends too early")
				}
				time.Sleep(time.Nanosecond)
				if _, ok := c.Get(k); ok {
					t.Error("is served when its time is over")
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if s := c.Stats(); s.Entries != 0 || s.Bytes != 0 || s.Evicted != 0 {
					t.Errorf("still in memory: %+v", s)
				}
				_ = c.Destruct()
			})
		})
	}
}
