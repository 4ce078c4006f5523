package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestObtain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		in := start(t, newMemory())
		p, err := in.Obtain(t.Context(), signedNow(testSecret))
		if err != nil {
			t.Fatal(err)
		}
		if p.ExpiresIn != 7200 {
			t.Errorf("expires_in %d", p.ExpiresIn)
		}
		if p.AccessToken == p.RefreshToken {
			t.Error("both tokens are the same")
		}
		for _, token := range []string{p.AccessToken, p.RefreshToken} {
			if len(token) > 256 || strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
				t.Errorf("not short and URL-safe: %s", token)
			}
			if strings.Contains(token, testKey) {
				t.Errorf("shows the key: %s", token)
			}
		}
		if !in.takes(p.AccessToken) {
			t.Error("the token doesn't open")
		}
		if again := in.obtain(); again.AccessToken == p.AccessToken {
			t.Error("two sign-ins gave the same token")
		}
	})
}

func TestObtainWindow(t *testing.T) {
	for _, c := range []struct {
		name string
		off  time.Duration
		unit time.Duration
		ok   bool
	}{
		{"now ms", 0, time.Millisecond, true},
		{"now s", 0, time.Second, true},
		{"oldest ms", -300 * time.Second, time.Millisecond, true},
		{"too old ms", -300*time.Second - time.Millisecond, time.Millisecond, false},
		{"latest ms", 300 * time.Second, time.Millisecond, true},
		{"too late ms", 300*time.Second + time.Millisecond, time.Millisecond, false},
		{"oldest s", -300 * time.Second, time.Second, true},
		{"too old s", -301 * time.Second, time.Second, false},
		{"latest s", 300 * time.Second, time.Second, true},
		{"too late s", 301 * time.Second, time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inOurDays(t)
				in := start(t, newMemory())
				stamp := strconv.FormatInt(time.Now().Add(c.off).UnixNano()/int64(c.unit), 10)
				for _, as := range []any{stamp, json.Number(stamp)} { // the second is a replay
					params := signed(testKey, stamp, testSecret)
					params["timestamp"] = as
					_, err := in.Obtain(t.Context(), params)
					if _, first := as.(string); c.ok && first {
						if err != nil {
							t.Fatalf("refused: %s", in.lastReason())
						}
						continue
					}
					want := "wrong_time"
					if c.ok {
						want = "replayed"
					}
					if !errors.Is(err, ErrRefused) || in.lastReason() != want {
						t.Errorf("%v, %s; want a refusal, %s", err, in.lastReason(), want)
					}
				}
			})
		})
	}
}

func TestObtainNumber(t *testing.T) {
	in := start(t, newMemory())
	params := signedNow(testSecret)
	params["timestamp"] = json.Number(params["timestamp"].(string))
	if _, err := in.Obtain(t.Context(), params); err != nil {
		t.Errorf("a JSON number as it is written: %v (%s)", err, in.lastReason())
	}
}

func TestObtainRefusals(t *testing.T) {
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	seconds := now[:10]
	with := func(change string, value any) map[string]any {
		params := signed(testKey, now, testSecret)
		if value == nil {
			delete(params, change)
		} else {
			params[change] = value
		}
		return params
	}
	right := md5hex(testKey + now + testSecret)
	for _, c := range []struct {
		name   string
		params map[string]any
		reason string
	}{
		{"nothing", nil, "malformed"},
		{"no key", with("app_key", nil), "malformed"},
		{"no timestamp", with("timestamp", nil), "malformed"},
		{"no sign", with("sign", nil), "malformed"},
		{"key twice", with("app_key", []any{testKey, testKey}), "malformed"},
		{"key is a number", with("app_key", json.Number("1")), "malformed"},
		{"timestamp twice", with("timestamp", []any{now, now}), "malformed"},
		{"timestamp is true", with("timestamp", true), "malformed"},
		{"timestamp with a sign", signed(testKey, "+"+now, testSecret), "malformed"},
		{"timestamp with a blank", signed(testKey, " "+now, testSecret), "malformed"},
		{"timestamp with a fraction", signed(testKey, now+".0", testSecret), "malformed"},
		{"timestamp with an exponent", signed(testKey, seconds[:9]+"e3", testSecret), "malformed"},
		{"timestamp in hex", signed(testKey, "0x"+now[:11], testSecret), "malformed"},
		{"timestamp in other digits", signed(testKey, strings.Repeat("٣", 13), testSecret), "malformed"},
		{"timestamp of 9 digits", signed(testKey, now[:9], testSecret), "malformed"},
		{"timestamp of 11 digits", signed(testKey, now[:11], testSecret), "malformed"},
		{"timestamp of 12 digits", signed(testKey, now[:12], testSecret), "malformed"},
		{"timestamp in µs", signed(testKey, now+"000", testSecret), "malformed"},
		{"key with a dot", signed("partner.1", now, testSecret), "malformed"},
		{"key too long", signed(strings.Repeat("k", 65), now, testSecret), "malformed"},
		{"unknown key", signed("partner-3", now, testSecret), "unknown_client"},
		{"key in another case", signed("Partner-1", now, testSecret), "unknown_client"},
		{"wrong secret", signed(testKey, now, "wrong"), "wrong_sign"},
		{"another client's secret", signed(testKey, now, otherSec), "wrong_sign"},
		{"another client's key", func() map[string]any {
			p := signed(testKey, now, testSecret)
			p["app_key"] = otherKey
			return p
		}(), "wrong_sign"},
		{"upper case", with("sign", strings.ToUpper(right)), "wrong_sign"},
		{"one letter in upper case", with("sign", upperFirst(right)), "wrong_sign"},
		{"shortened", with("sign", right[:31]), "wrong_sign"},
		{"lengthened", with("sign", right+"0"), "wrong_sign"},
		{"empty sign", with("sign", ""), "wrong_sign"},
		{"base64", with("sign", "1B2M2Y8AsgTpgAmY7PhCfg=="), "wrong_sign"},
		{"signed in ms, sent in s", with("timestamp", seconds), "wrong_sign"},
		{"long ago", signed(testKey, "1000000000000", testSecret), "wrong_time"},
		{"year 2286", signed(testKey, "9999999999", testSecret), "wrong_time"},
		{"the epoch", signed(testKey, "0000000000", testSecret), "wrong_time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			storage := newMemory()
			in := start(t, storage)
			p, err := in.Obtain(t.Context(), c.params)
			if p != nil || !errors.Is(err, ErrRefused) || err.Error() != "refused" {
				t.Fatalf("%v, %v; want the one refusal", p, err)
			}
			if got := in.lastReason(); got != c.reason {
				t.Errorf("the log says %q, want %q", got, c.reason)
			}
			if storage.count("load")+storage.count("store") > 0 {
				t.Error("a refusal reached the storage")
			}
		})
	}
}

func upperFirst(hex string) string {
	n := strings.IndexAny(hex, "abcdef")
	return hex[:n] + strings.ToUpper(hex[n:n+1]) + hex[n+1:]
}

// md5("app1" + "1795435200" + s) is md5("app" + "11795435200" + s) too.
func TestSignatureHasOneReading(t *testing.T) {
	in := start(t, newMemory(), func(i *Issuer) {
		i.Clients = []Client{{"app", testSecret}, {"app1", testSecret}, {"app179", testSecret}}
	})
	ms := strconv.FormatInt(time.Now().UnixMilli(), 10)
	for _, c := range []struct{ key, stamp, otherKey, otherStamp, reason string }{
		{"app1", ms[:10], "app", "1" + ms[:10], "malformed"},
		{"app", ms, "app" + ms[:3], ms[3:], "unknown_client wrong_time"},
	} {
		params := signed(c.key, c.stamp, testSecret)
		if params["sign"] != md5hex(c.otherKey+c.otherStamp+testSecret) {
			t.Fatal("the two readings differ")
		}
		params["app_key"], params["timestamp"] = c.otherKey, c.otherStamp
		if _, err := in.Obtain(t.Context(), params); !errors.Is(err, ErrRefused) || !strings.Contains(c.reason, in.lastReason()) {
			t.Errorf("%s as %s: %v, %s", c.key, c.otherKey, err, in.lastReason())
		}
	}
}

func TestRefusalNamesOnlyKnownClients(t *testing.T) {
	in := start(t, newMemory())
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	_, _ = in.Obtain(t.Context(), signed("stranger", now, "x"))
	_, _ = in.Obtain(t.Context(), signed(testKey, now, "x"))
	all := in.logs.FilterMessage("obtain refused").All()
	if len(all) != 2 || all[0].ContextMap()["client"] != nil || all[1].ContextMap()["client"] != testKey {
		t.Errorf("logged: %v", all)
	}
}

func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		first, second := start(t, storage), start(t, storage)
		captured := signedNow(testSecret)
		if _, err := first.Obtain(t.Context(), captured); err != nil {
			t.Fatal(err)
		}
		replay := func(when string, in *instance) {
			t.Helper()
			if _, err := in.Obtain(t.Context(), captured); !errors.Is(err, ErrRefused) || in.lastReason() != "replayed" {
				t.Errorf("%s: %v, %s", when, err, in.lastReason())
			}
		}
		replay("at once", first)
		replay("elsewhere", second)
		replay("elsewhere, again", second)
		time.Sleep(299 * time.Second)
		replay("at the end of the window", first)
		replay("after a restart", start(t, storage))
		time.Sleep(2 * time.Second)
		if _, err := first.Obtain(t.Context(), captured); !errors.Is(err, ErrRefused) || first.lastReason() != "wrong_time" {
			t.Errorf("after the window: %v, %s", err, first.lastReason())
		}
	})
}

// A timestamp of tomorrow's side of the window is good for 600 s.
func TestReplayOfAnEarlyRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		captured := signed(testKey, strconv.FormatInt(time.Now().Add(window).UnixMilli(), 10), testSecret)
		if _, err := in.Obtain(t.Context(), captured); err != nil {
			t.Fatal(err)
		}
		storage.fault(fails) // memory alone has to know
		time.Sleep(2*window - time.Second)
		if _, err := in.Obtain(t.Context(), captured); !errors.Is(err, ErrRefused) || in.lastReason() != "replayed" {
			t.Errorf("%v, %s", err, in.lastReason())
		}
	})
}

func TestParallelReplays(t *testing.T) {
	storage := newMemory()
	fleet := []*instance{start(t, storage), start(t, storage)}
	captured := signedNow(testSecret)
	var granted atomic.Int32
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			if _, err := fleet[n%2].Obtain(t.Context(), captured); err == nil {
				granted.Add(1)
			}
		})
	}
	wg.Wait()
	if granted.Load() != 1 {
		t.Errorf("%d sign-ins with one signature", granted.Load())
	}
}

func TestObtainWithoutStorage(t *testing.T) {
	for _, op := range []string{"load", "store"} {
		t.Run(op, func(t *testing.T) {
			storage := newMemory()
			in := start(t, storage)
			storage.fault(fails, op)
			params := signedNow(testSecret)
			if p, err := in.Obtain(t.Context(), params); p != nil || !errors.Is(err, ErrUnavailable) {
				t.Fatalf("%v, %v; want ErrUnavailable", p, err)
			}
			storage.fault(nil)
			if _, err := in.Obtain(t.Context(), params); err != nil {
				t.Errorf("the same request a moment later: %v (%s)", err, in.lastReason())
			}
		})
	}
}

func TestObtainGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		storage.fault(hangs)
		began := time.Now()
		if _, err := in.Obtain(t.Context(), signedNow(testSecret)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > workLimit {
			t.Errorf("took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := in.Obtain(ctx, signedNow(testSecret)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller who leaves: %v", err)
		}
		time.Sleep(time.Minute)
	})
}

// A storage module is other people's code.
func TestObtainSurvivesPanics(t *testing.T) {
	for _, op := range []string{"lock", "load", "store", "unlock", "list"} {
		t.Run(op, func(t *testing.T) {
			storage := newMemory()
			in := start(t, storage)
			storage.fault(func(context.Context) error { panic("storage") }, op)
			_, err := in.Obtain(t.Context(), signedNow(testSecret))
			if want := op == "load" || op == "store"; errors.Is(err, ErrUnavailable) != want {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestObtainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		free := make(chan struct{})
		storage.fault(func(context.Context) error { <-free; return errDisk }, "load")
		var wg sync.WaitGroup
		var busy atomic.Int32
		for range maxRunning + 10 {
			wg.Go(func() {
				if _, err := in.Obtain(t.Context(), signedNow(testSecret)); !errors.Is(err, ErrUnavailable) {
					busy.Add(1)
				}
			})
		}
		wg.Wait()
		if busy.Load() > 0 {
			t.Errorf("%d got another answer than ErrUnavailable", busy.Load())
		}
		if n := storage.count("load"); n != maxRunning {
			t.Errorf("%d goroutines hang in the storage, want %d", n, maxRunning)
		}
		close(free)
	})
}

func TestGuardForgetsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		var g guard
		sign := func(n int) (l lineage) {
			l.family = newFamily(time.Now(), strconv.Itoa(n))
			return l
		}
		for n := range maxSigns + 10 {
			if !g.first(sign(n)) {
				t.Fatalf("sign-in %d is taken for a replay", n)
			}
		}
		if g.first(sign(0)) || g.first(sign(maxSigns+5)) {
			t.Error("a replay is taken for a sign-in")
		}
		if len(g.current)+len(g.previous) > 2*maxSigns {
			t.Errorf("%d signs kept", len(g.current)+len(g.previous))
		}
		time.Sleep(4 * window)
		g.first(sign(-1))
		if len(g.current)+len(g.previous) != 1 {
			t.Errorf("%d signs kept after their time", len(g.current)+len(g.previous))
		}
	})
}

func FuzzObtain(f *testing.F) {
	f.Add(testKey, "1795435200000", "d41d8cd98f00b204e9800998ecf8427e", false)
	f.Add(testKey, "1795435200", strings.Repeat("0", 32), true)
	f.Add("", "", "", false)
	f.Add("a\x00b", "99999999999999999999", "\xff", true)
	f.Add(strings.Repeat("k", 64), "-795435200000", strings.Repeat("F", 32), true)
	core := &Issuer{Clients: []Client{{testKey, testSecret}}}
	f.Fuzz(func(t *testing.T, key, timestamp, sign string, number bool) {
		in := start(t, newMemory(), func(i *Issuer) { i.Clients = core.Clients })
		params := map[string]any{"app_key": key, "timestamp": timestamp, "sign": sign}
		if number {
			params["timestamp"] = json.Number(timestamp)
		}
		if _, err := in.Obtain(t.Context(), params); !errors.Is(err, ErrRefused) {
			t.Fatalf("%q, %q, %q: %v", key, timestamp, sign, err)
		}
		params["sign"] = md5hex(key + timestamp + testSecret)
		_, err := in.Obtain(t.Context(), params)
		_, at, ok := parseTimestamp(params["timestamp"])
		off := time.Since(at).Abs()
		if err == nil && (key != testKey || !ok || off > window) {
			t.Fatalf("signed in: %q, %q", key, timestamp)
		}
	})
}
