package token

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap/zapcore"
)

// A restart costs no token call, and the token is as it was.
func TestRestartKeepsTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newStorage()
		i.grant = func(g *Grant) { g.Keep = map[string]any{"base": "https://eu.example.com", "id": 9007199254740993} }
		k, _ := keeping(t, testPolicy(), i, s)
		first := must(t, k)
		_ = k.Destruct()
		time.Sleep(time.Hour)

		after, l := keeping(t, testPolicy(), i, s)
		after.Start()
		synctest.Wait()
		tok := after.Current()
		if tok == nil || tok.Access != first.Access || tok.Generation != 1 || !tok.Expires.Equal(first.Expires) || tok.refresh != first.refresh {
			t.Fatalf("token %+v, want %+v", tok, first)
		}
		if id := fmt.Sprint(tok.Keep["id"]); id != "9007199254740993" || tok.Keep["base"] != "https://eu.example.com" {
			t.Errorf("kept %v", tok.Keep)
		}
		if i.calls() != 1 {
			t.Errorf("%d calls", i.calls())
		}
		if renewed, _ := l.heard(); fmt.Sprint(renewed) != "[adopt]" {
			t.Errorf("observed %v", renewed)
		}
		time.Sleep(2 * time.Hour)
		if tok := must(t, after); tok.Generation != 2 || i.calls(howRefresh) != 1 {
			t.Errorf("generation %d", tok.Generation)
		}
	})
}

// T8: nobody is served a token that isn't stored yet.
func TestTokenIsStoredBeforeItIsServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newStorage()
		s.hook = func(ctx context.Context, op string) error {
			if op == "Store" {
				return pause(ctx, time.Second)
			}
			return nil
		}
		k, _ := keeping(t, testPolicy(), i, s)
		k.Start()
		for k.Current() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		if r := s.stored(t, testPolicy()); r == nil || r.Access != k.Current().Access {
			t.Errorf("served, but stored is %+v", r)
		}
	})
}

func TestNothingReadableIsStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newStorage()
		i.grant = func(g *Grant) { g.Keep = map[string]any{"base": "canary"} }
		p := testPolicy()
		p.identity = "../ü A B"
		k, _ := keeping(t, p, i, s)
		tok := must(t, k)
		for key, b := range s.data {
			for _, secret := range []string{tok.Access, tok.refresh, "canary", "crm"} {
				if bytes.Contains(b, []byte(secret)) || strings.Contains(key, secret) {
					t.Errorf("%q is in %s", secret, key)
				}
			}
		}
	})
}

func TestStorageNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, of := range []string{"a/b", "a-b", "A B", "a_b", "ü", "", "../esc", "lock\x00a/b"} {
		name := storageName(of)
		if hex, ok := strings.CutPrefix(name, "oauth/"); !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
			t.Errorf("name %q", name)
		}
		if seen[name] {
			t.Errorf("%q collides", of)
		}
		seen[name] = true
	}
}

// A record that can't be read is as good as none, and is replaced.
func TestUnreadableRecord(t *testing.T) {
	otherKey := testPolicy()
	otherKey.sealKey = [32]byte{9}
	tests := map[string]func(good []byte) []byte{
		"empty":           func([]byte) []byte { return nil },
		"not JSON":        func([]byte) []byte { return []byte("<html>") },
		"truncated":       func(good []byte) []byte { return good[:len(good)/2] },
		"two documents":   func(good []byte) []byte { return append(good, good...) },
		"another version": func(good []byte) []byte { return bytes.Replace(good, []byte(`"version":1`), []byte(`"version":2`), 1) },
		"damaged": func(good []byte) []byte {
			return bytes.Replace(good, []byte(`"sealed":"`), []byte(`"sealed":"AAAA`), 1)
		},
		"huge": func([]byte) []byte { return bytes.Repeat([]byte("x"), maxRecord+1) },
		"another key": func([]byte) []byte {
			b, _ := newSealer(otherKey.sealKey).seal(&record{Generation: 9}, storageName(otherKey.identity))
			return b
		},
		"of another source": func([]byte) []byte {
			p := testPolicy()
			b, _ := newSealer(p.sealKey).seal(&record{Generation: 9}, storageName("another"))
			return b
		},
		"sealed rubbish": func([]byte) []byte {
			p := testPolicy()
			v := newSealer(p.sealKey)
			sealed := v.aead.Seal(nil, nil, []byte(`{"version":1,"generation":"x"}`), []byte(storageName(p.identity)))
			return fmt.Appendf(nil, `{"version":1,"key":%q,"sealed":%q}`, v.fingerprint, base64of(sealed))
		},
		"sealed, another version": func([]byte) []byte {
			p := testPolicy()
			v := newSealer(p.sealKey)
			sealed := v.aead.Seal(nil, nil, []byte(`{"version":7}`), []byte(storageName(p.identity)))
			return fmt.Appendf(nil, `{"version":1,"key":%q,"sealed":%q}`, v.fingerprint, base64of(sealed))
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				i, s := newIssuer(), newStorage()
				k, _ := keeping(t, testPolicy(), i, s)
				must(t, k)
				_ = k.Destruct()
				key := storageName(testPolicy().identity)
				s.data[key] = spoil(bytes.Clone(s.data[key]))

				after, l := keeping(t, testPolicy(), i, s)
				after.Start()
				must(t, after)
				if n := i.calls(howObtain); n != 2 {
					t.Errorf("%d calls", n)
				}
				if n := l.count(zapcore.WarnLevel, "record not usable"); n != 1 && name != "empty" {
					t.Errorf("%d warnings", n)
				}
				if r := s.stored(t, testPolicy()); r.Access != after.Current().Access {
					t.Error("not replaced")
				}
			})
		})
	}
}

// What a token call gave is stored although the renewal's time is over.
func TestSaveOutlivesTheRenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p := newStorage(), testPolicy()
		s.hook = func(ctx context.Context, _ string) error { return ctx.Err() }
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := newVault(s, &p).save(ctx, &record{Generation: 4}); err != nil {
			t.Fatal(err)
		}
		if r := s.stored(t, p); r == nil || r.Generation != 4 {
			t.Errorf("stored %+v", r)
		}
	})
}

// T9: a storage that can't be written costs nobody a token.
func TestStoreFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newStorage()
		s.hook = func(_ context.Context, op string) error {
			if op == "Store" {
				return errDisk
			}
			return nil
		}
		k, l := keeping(t, testPolicy(), i, s)
		k.Start()
		tok := must(t, k)
		time.Sleep(5 * time.Minute)
		if must(t, k) != tok || i.calls() != 1 {
			t.Error("the token was dropped")
		}
		if n := l.count(zapcore.ErrorLevel, "token not stored"); n != 1 {
			t.Errorf("%d alarms", n)
		}
		s.setHook(nil)
		time.Sleep(time.Minute)
		if r := s.stored(t, testPolicy()); r == nil || r.Access != tok.Access {
			t.Error("not stored when that was possible again")
		}
		if l.count(zapcore.InfoLevel, "stored at last") != 1 {
			t.Error("nobody was told")
		}
	})
}

// While a token couldn't be stored, somebody stored a later one that is dead
// by now. Ours isn't put in its place, and nobody tries again and again.
func TestLateRecordIsNotStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newStorage()
		k, _ := keeping(t, testPolicy(), i, s)
		must(t, k)
		time.Sleep(time.Second)
		s.setHook(func(_ context.Context, op string) error {
			if op == "Store" {
				return errDisk
			}
			return nil
		})
		if err := k.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.setHook(nil)
		p := testPolicy()
		theirs := k.snapshot()
		theirs.Generation, theirs.Access, theirs.Dead = 9, "theirs", true
		if err := newVault(s, &p).save(t.Context(), &theirs); err != nil {
			t.Fatal(err)
		}
		before := s.count("Load")
		time.Sleep(10 * time.Minute)
		if n := s.count("Load") - before; n > 2 {
			t.Errorf("%d loads in 10 minutes", n)
		}
		if r := s.stored(t, p); r.Generation != 9 {
			t.Errorf("generation %d was stored over 9", r.Generation)
		}
	})
}

// Whatever a storage does, there are tokens, within the time that it may take.
func TestBadStorage(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	tests := map[string]struct {
		hook   func(release chan struct{}) func(context.Context, string) error
		within time.Duration
	}{
		"every operation fails": {func(chan struct{}) func(context.Context, string) error {
			return func(context.Context, string) error { return errDisk }
		}, lockErrorPatience + time.Second},
		"every operation panics": {func(chan struct{}) func(context.Context, string) error {
			return func(context.Context, string) error { panic("storage") }
		}, lockErrorPatience + time.Second},
		"every operation hangs": {func(chan struct{}) func(context.Context, string) error {
			return func(ctx context.Context, _ string) error { return hang(ctx) }
		}, storageLimit + time.Second},
		"every operation hangs and ignores its context": {func(release chan struct{}) func(context.Context, string) error {
			return func(context.Context, string) error { <-release; return errDisk }
		}, storageLimit + time.Second},
		"the lock hangs": {func(chan struct{}) func(context.Context, string) error {
			return func(ctx context.Context, op string) error {
				if op == "Lock" {
					return hang(ctx)
				}
				return nil
			}
		}, lockPatience + time.Second},
		"the lock hangs and ignores its context": {func(release chan struct{}) func(context.Context, string) error {
			return func(_ context.Context, op string) error {
				if op == "Lock" {
					<-release
				}
				return nil
			}
		}, lockPatience + time.Second},
		"unlocking hangs": {func(chan struct{}) func(context.Context, string) error {
			return func(ctx context.Context, op string) error {
				if op == "Unlock" {
					return hang(ctx)
				}
				return nil
			}
		}, time.Second},
		"slow": {func(chan struct{}) func(context.Context, string) error {
			return func(ctx context.Context, _ string) error { return pause(ctx, 500*time.Millisecond) }
		}, 4 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				i, s := newIssuer(), newStorage()
				s.hook = tt.hook(release)
				k, _ := keeping(t, testPolicy(), i, s)
				t.Cleanup(func() { close(release) })
				k.Start()
				tok, err := k.Token(within(t, tt.within))
				if err != nil {
					t.Fatal(err)
				}
				// a day, and nobody waits
				for end := time.Now().Add(24 * time.Hour); time.Now().Before(end); time.Sleep(time.Minute) {
					if k.Current() == nil {
						t.Fatalf("no token %v before the next", time.Since(tok.Expires))
					}
				}
				if n := i.calls(); n > 20 {
					t.Errorf("%d token calls in a day", n)
				}
				if n := s.count("Lock"); n > 200 {
					t.Errorf("%d locks in a day", n)
				}
				if n := k.around.Load().vault.queueing.Load(); n > 2 || n > 0 && !strings.Contains(name, "ignores") {
					t.Errorf("%d abandoned waits", n)
				}
			})
		})
	}
}

// T5: the lock of an instance that is gone and never goes stale.
func TestGhostLock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newStorage()
		p := testPolicy()
		if err := s.Lock(t.Context(), newVault(s, &p).mutex); err != nil {
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

// A lock that is gained after nobody waits any more is given back.
func TestAbandonedLockIsFreed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStorage()
		release := make(chan struct{})
		s.hook = func(_ context.Context, op string) error {
			if op == "Lock" {
				<-release
			}
			return nil
		}
		p := testPolicy()
		v := newVault(s, &p)
		l := v.lock(v.mutex)
		l.abandon()
		if err := <-v.lock(v.mutex).got; !errors.Is(err, errQueueing) {
			t.Errorf("queueing: %v", err)
		}
		close(release)
		synctest.Wait()
		if s.held() != 0 || v.queueing.Load() != 0 {
			t.Errorf("%d locks held", s.held())
		}
		again := v.lock(v.mutex)
		synctest.Wait()
		again.abandon() // it had come already
		if s.held() != 0 {
			t.Error("not freed")
		}
	})
}

// T17: a lock that is none is told, once.
func TestLockSelfTest(t *testing.T) {
	tests := map[string]struct {
		spoil func(s *storage)
		want  string
	}{
		"lock":  {func(*storage) {}, ""},
		"no-op": {func(s *storage) { s.noLock = true }, "excludes nobody"},
		"error": {func(s *storage) {
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
				i, s := newIssuer(), newStorage()
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

func TestStorageThatKeepsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newStorage()
		s.noop, s.noLock = true, true
		k, _ := keeping(t, testPolicy(), i, s)
		k.Start()
		must(t, k)
		time.Sleep(24 * time.Hour)
		if k.Current() == nil || i.calls() > 14 || i.calls(howObtain) != 1 {
			t.Errorf("%d calls", i.calls())
		}
	})
}

// Two instances without a lock made the same generation. The one that was
// stored counts, and the other isn't mistaken for it.
func TestSameGenerationTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newStorage()
		k, _ := keeping(t, testPolicy(), i, s)
		mine := must(t, k)
		other, _ := keeping(t, testPolicy(), i, newStorage())
		theirs := must(t, other)
		p := testPolicy()
		r := other.snapshot()
		if err := newVault(s, &p).save(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		k.Invalidate(mine.Generation, "status 401")
		tok := must(t, k)
		if tok.Access != theirs.Access || tok.Generation == mine.Generation || i.calls() != 2 {
			t.Errorf("generation %d after %d calls", tok.Generation, i.calls())
		}
		k.Invalidate(mine.Generation, "status 401")
		if k.Current() != tok {
			t.Error("a straggler killed the other's token")
		}
	})
}

// The real FileStorage, in real time: four instances, one call; and the files.
func TestFileStorage(t *testing.T) {
	i, s := newIssuer(), &certmagic.FileStorage{Path: t.TempDir()}
	var fleet []*Keeper
	var wg sync.WaitGroup
	for range 4 {
		k := newKeeper(testPolicy(), i)
		k.Attach(Env{Storage: s})
		fleet = append(fleet, k)
		wg.Go(func() {
			if tok, err := k.Token(within(t, 10*time.Second)); err != nil || tok.Generation != 1 {
				t.Errorf("%v, %v", tok, err)
			}
		})
	}
	wg.Wait()
	for _, k := range fleet {
		_ = k.Destruct()
	}
	if n := i.calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
	k := newKeeper(testPolicy(), i)
	k.Attach(Env{Storage: s})
	defer func() { _ = k.Destruct() }()
	if tok, err := k.Token(within(t, 10*time.Second)); err != nil || tok.Generation != 1 || i.calls() != 1 {
		t.Errorf("after a restart: %v, %v", tok, err)
	}
}
