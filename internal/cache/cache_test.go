package cache

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newCache(tb testing.TB, size int64) *Cache {
	tb.Helper()
	c, err := New(cmp.Or(size, DefaultSize))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Destruct() })
	return c
}

func entry(text string) *Entry {
	now := time.Now()
	return &Entry{Outcome: "ok", Text: []byte(text), Stored: now, Fresh: now.Add(time.Hour)}
}

func (c *Cache) key(parts ...string) Key {
	var b []byte
	for _, part := range parts {
		b = AppendPart(b, part)
	}
	return c.Key(b)
}

// text is what a key gives, "" for nothing.
func (c *Cache) text(k Key) string {
	if e, ok := c.Get(k); ok {
		return string(e.Text)
	}
	return ""
}

func TestGetGivesWhatWasPut(t *testing.T) {
	c := newCache(t, 0)
	k := c.key("crm", "13800138000")
	if _, ok := c.Get(k); ok {
		t.Error("an empty cache has an entry")
	}
	in := entry(`{"nick":"Zhang"}`)
	in.StaleIfError, in.Note = in.Fresh.Add(time.Hour), "n"
	if !c.Put("crm", k, in) {
		t.Fatal("refused")
	}
	c.Wait()
	out, ok := c.Get(k)
	if !ok || out.Outcome != "ok" || string(out.Text) != `{"nick":"Zhang"}` || out.Note != "n" ||
		!out.Stored.Equal(in.Stored) || !out.Fresh.Equal(in.Fresh) || !out.StaleIfError.Equal(in.StaleIfError) {
		t.Errorf("got %+v, %v", out, ok)
	}
	if c.text(c.key("crm", "13800138001")) != "" {
		t.Error("another key has the entry")
	}
	if s := c.Stats(); s.Hits != 1 || s.Misses != 2 || s.Entries != 1 || s.Bytes < overhead {
		t.Errorf("%+v", s)
	}
	c.Delete(k)
	if c.text(k) != "" {
		t.Error("a deleted entry is served")
	}
	c.Wait()
	if s := c.Stats(); s.Entries != 0 || s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
}

// A text is often part of a pooled buffer, and its readers append to it.
func TestEntriesShareNoMemoryWithCallers(t *testing.T) {
	c := newCache(t, 0)
	k := c.key("a")
	in := entry("text")
	c.Put("g", k, in)
	c.Wait()
	copy(in.Text, "----")
	out, _ := c.Get(k)
	_ = append(out.Text, "more"...)
	if got := c.text(k); got != "text" || cap(out.Text) != len(out.Text) {
		t.Errorf("%q, capacity %d", got, cap(out.Text))
	}
}

func TestNew(t *testing.T) {
	for size, ok := range map[int64]bool{0: false, MinSize: true, MinSize - 1: false, -1: false, 100 << 20: true} {
		if _, err := New(size); (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestPutRefuses(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name  string
		entry *Entry
		ok    bool
	}{
		{"nothing", nil, false},
		{"no times", &Entry{}, false},
		{"expired", &Entry{Fresh: now.Add(-time.Second)}, false},
		{"expired now", &Entry{Fresh: now}, false},
		{"stale", &Entry{Fresh: now.Add(-time.Second), StaleWhileRevalidate: now.Add(time.Hour)}, true},
		{"stale for errors", &Entry{Fresh: now.Add(-time.Second), StaleIfError: now.Add(time.Hour)}, true},
		{"large", &Entry{Fresh: now.Add(time.Hour), Text: make([]byte, MinSize/16-overhead)}, true},
		{"too large", &Entry{Fresh: now.Add(time.Hour), Text: make([]byte, MinSize/16-overhead+1)}, false},
		{"too large a note", &Entry{Fresh: now.Add(time.Hour), Note: strings.Repeat("n", MinSize/16)}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCache(t, MinSize)
			k := c.key("a")
			if ok := c.Put("g", k, test.entry); ok != test.ok {
				t.Errorf("Put: %v", ok)
			}
			c.Wait()
			if _, ok := c.Get(k); ok != test.ok {
				t.Errorf("Get: %v", ok)
			}
			if test.ok || test.entry == nil {
				return
			}
			c.Put("g", k, entry("older"))
			c.Wait()
			if c.Put("g", k, test.entry) || c.text(k) != "" {
				t.Error("the older answer outlives the one that is refused")
			}
		})
	}
}

// Ristretto keeps the first of two values that are set in quick succession,
// for as long as it lives.
func TestAnOlderEntryNeverWins(t *testing.T) {
	c := newCache(t, 0)
	k := c.key("a")
	for i := range 2000 {
		want := fmt.Sprint(i)
		c.Put("g", k, entry("older than "+want))
		ok := c.Put("g", k, entry(want))
		if got := c.text(k); got != "" && got != want {
			t.Fatalf("%d: at once %q", i, got)
		}
		if i%3 == 0 {
			c.Wait()
			if got := c.text(k); ok && got != want {
				t.Fatalf("%d: %q", i, got)
			}
		}
	}
	c.Put("g", k, entry("deleted"))
	c.Delete(k)
	if c.text(k) != "" {
		t.Error("an entry that was deleted at once is served")
	}
	c.Wait()
	if c.text(k) != "" {
		t.Error("an entry appears after it was deleted")
	}
}

// Each reader sees the entries of a key in the order in which they were put,
// and none that is older than one whose Put had returned.
func TestOrderHoldsUnderLoad(t *testing.T) {
	c := newCache(t, MinSize)
	keys := []Key{c.key("a"), c.key("b"), c.key("c")}
	var done sync.WaitGroup
	for _, k := range keys {
		stop := make(chan struct{})
		var mu sync.Mutex
		returned := 0
		done.Go(func() {
			defer close(stop)
			for i := 1; i <= 3000; i++ {
				c.Put("g", k, entry(fmt.Sprint(i)))
				mu.Lock()
				returned = i
				mu.Unlock()
			}
		})
		for range 2 {
			done.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					mu.Lock()
					low := returned
					mu.Unlock()
					if e, ok := c.Get(k); ok {
						var got int
						_, _ = fmt.Sscan(string(e.Text), &got)
						if got < low {
							t.Errorf("%d after %d", got, low)
							return
						}
					}
				}
			})
		}
	}
	done.Wait()
}

func TestPurgeGroup(t *testing.T) {
	c := newCache(t, 0)
	crm, other := c.key("crm", "1"), c.key("other", "1")
	c.PurgeGroup("crm") // nothing there
	c.Put("crm", crm, entry("crm"))
	c.Put("other", other, entry("other"))
	c.PurgeGroup("crm") // before the cache has taken them in
	if c.text(crm) != "" {
		t.Error("a purged entry is served")
	}
	c.Wait()
	if c.text(crm) != "" || c.text(other) != "other" {
		t.Errorf("%q and %q", c.text(crm), c.text(other))
	}
	if s := c.Stats(); s.Entries != 1 {
		t.Errorf("%d entries", s.Entries)
	}
	if !c.Put("crm", crm, entry("new")) {
		t.Error("refused after the purge")
	}
	c.Wait()
	if c.text(crm) != "new" {
		t.Error("not kept after the purge")
	}
}

func TestPurge(t *testing.T) {
	c := newCache(t, 0)
	c.Purge()
	k, waiting := c.key("1"), c.key("2")
	c.Put("g", k, entry("text"))
	c.Wait()
	c.Put("g", waiting, entry("text"))
	c.Purge()
	if c.text(k) != "" || c.text(waiting) != "" {
		t.Error("a purged entry is served")
	}
	if s := c.Stats(); s.Entries != 0 || s.Bytes != 0 || s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
	c.Put("g", k, entry("new"))
	c.Wait()
	if c.text(k) != "new" {
		t.Error("not kept after the purge")
	}
}

// A call that began before a purge brings what the purge was to remove.
func TestPutFromBeforeAPurge(t *testing.T) {
	for name, purge := range map[string]func(*Cache){
		"group": func(c *Cache) { c.PurgeGroup("g") },
		"all":   (*Cache).Purge,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t, 0)
			k := c.key("1")
			old := entry("old")
			old.Stored = old.Stored.Add(-time.Second)
			purge(c)
			c.Put("g", k, entry("new"))
			if c.Put("g", k, old) {
				t.Error("taken")
			}
			c.Wait()
			if got := c.text(k); got != "new" {
				t.Errorf("%q", got)
			}
			undated := entry("undated")
			undated.Stored = time.Time{}
			if !c.Put("g", k, undated) {
				t.Error("an entry without a time is refused")
			}
		})
	}
}

// Ristretto knows a key by 64 bits only.
func TestKeysOfOneSlot(t *testing.T) {
	c := newCache(t, 0)
	a, b := c.key("tenant a"), c.key("tenant b")
	copy(b[:8], a[:8])
	c.Put("g", a, entry("a"))
	c.Wait()
	if got := c.text(b); got != "" {
		t.Errorf("b gets %q", got)
	}
	c.Put("g", b, entry("b"))
	c.Wait()
	if got := c.text(a); got != "" {
		t.Errorf("a gets %q", got)
	}
	if got := c.text(b); got != "b" {
		t.Errorf("b gets %q", got)
	}
}

// A full cache answers right, only from less.
func TestFull(t *testing.T) {
	c := newCache(t, MinSize)
	text := strings.Repeat("x", 100)
	for i := range 10_000 {
		k := fmt.Sprint(i)
		c.Put("g", c.key(k), entry(k+text))
		if i%100 == 99 {
			c.Wait()
		}
	}
	found := 0
	for i := range 10_000 {
		k := fmt.Sprint(i)
		switch c.text(c.key(k)) {
		case k + text:
			found++
		case "":
		default:
			t.Fatalf("%s has another's answer", k)
		}
	}
	if s := c.Stats(); found < 500 || int64(found) != s.Entries || s.Bytes > MinSize || s.Evicted+s.Dropped+uint64(found) != 10_000 {
		t.Errorf("%d found, %+v", found, s)
	}
}

func TestDestruct(t *testing.T) {
	c := newCache(t, 0)
	k := c.key("1")
	c.Put("g", k, entry("text"))
	for range 2 {
		if err := c.Destruct(); err != nil {
			t.Error(err)
		}
	}
	if c.Put("g", k, entry("text")) || c.text(k) != "" {
		t.Error("lives on")
	}
	c.Delete(k)
	c.PurgeGroup("g")
	c.Purge()
	c.Wait()
	if c.Put("g", k, entry("text")) {
		t.Error("a purge opens it again")
	}
	if s := c.Stats(); s.Entries != 0 {
		t.Errorf("%+v", s)
	}
}

// Ristretto's Close panics or hangs when anything else runs.
func TestDestructRaces(t *testing.T) {
	for round := range 300 {
		c := newCache(t, MinSize)
		var done sync.WaitGroup
		begin := make(chan struct{})
		for _, work := range []func(Key){
			func(k Key) { c.Put("g", k, entry("text")) },
			func(k Key) { c.Get(k) },
			c.Delete,
			func(Key) { c.Wait() },
			func(Key) { c.PurgeGroup("g") },
			func(Key) { c.Stats() },
		} {
			done.Go(func() {
				<-begin
				for i := range 30 {
					work(c.key(fmt.Sprint(i % 5)))
				}
			})
		}
		done.Go(func() {
			<-begin
			if round%2 == 0 {
				c.Purge()
			}
			_ = c.Destruct()
		})
		close(begin)
		done.Wait()
	}
}

func FuzzParts(f *testing.F) {
	f.Add("a", "bc", "ab", "c")
	f.Add("", "\x01", "\x00", "")
	f.Add("\x00\x01", strings.Repeat("x", 200), "", "y")
	c, err := New(DefaultSize)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b, x, y string) {
		one, two := AppendPart(AppendPart(nil, a), b), AppendPart(AppendPart(nil, x), y)
		same := a == x && b == y
		if bytes.Equal(one, two) != same || (c.Key(one) == c.Key(two)) != same {
			t.Errorf("%q %q and %q %q run together, or not always", a, b, x, y)
		}
		if bytes.Equal(AppendPart(nil, a), one) {
			t.Error("a part vanishes")
		}
	})
}

func TestKeysOfAnotherCache(t *testing.T) {
	a, b := newCache(t, 0), newCache(t, 0)
	if a.key("1") == b.key("1") {
		t.Error("a key can be made without the cache")
	}
	for _, n := range []int{0, 1, 255, 256, 257, 100_000} {
		one, two := bytes.Repeat([]byte("x"), n), append(bytes.Repeat([]byte("x"), n), 'y')
		if k := a.Key(one); k != a.Key(bytes.Clone(one)) || k == a.Key(two) {
			t.Errorf("%d bytes", n)
		}
	}
}
