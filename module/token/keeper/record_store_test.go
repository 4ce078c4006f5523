package keeper

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap/zapcore"

	"github.com/switchboard-ivr/switchboard/module/storage"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// A restart costs no token call, and the token is as it was.
func TestRestartKeepsTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		i.grant = func(g *token.Grant) {
			g.Keep = map[string]any{"base": "https://eu.example.com", "id": 9007199254740993}
		}
		k, _ := keeping(t, testPolicy(), i, s)
		first := must(t, k)
		_ = k.Destruct()
		time.Sleep(time.Hour)

		after, l := keeping(t, testPolicy(), i, s)
		after.Start()
		synctest.Wait()
		tok := after.Current()
		if tok == nil || tok.Access != first.Access || tok.Generation != 1 || !tok.Expires.Equal(first.Expires) || after.snapshot().Refresh != k.snapshot().Refresh {
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

// A request that waits out a back-off takes what another instance stores.
func TestWaitingRequestAdopts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		k, _ := keeping(t, testPolicy(), i, s)
		i.set(func() { i.before = down })
		for time.Until(k.State().NextAttempt) < 20*time.Second {
			time.Sleep(time.Second)
			k.Start()
		}
		i.set(func() { i.before = nil })
		other, _ := keeping(t, testPolicy(), i, s)
		if _, err := other.Token(within(t, 3*time.Second)); err != nil { // it waits for k's mark first
			t.Fatal(err)
		}
		began := time.Now()
		tok, err := k.Token(t.Context())
		if err != nil || tok.Access != other.Current().Access || time.Since(began) > pollEvery {
			t.Errorf("%v, %v after %v", tok, err, time.Since(began))
		}
	})
}

// Nobody is served a token that isn't stored yet.
func TestTokenIsStoredBeforeItIsServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
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
		i, s := newIssuer(), newMemory()
		i.grant = func(g *token.Grant) { g.Keep = map[string]any{"base": "canary"} }
		p := testPolicy()
		p.Identity = "../ü A B"
		k, _ := keeping(t, p, i, s)
		tok := must(t, k)
		for key, b := range s.data {
			for _, secret := range []string{tok.Access, k.snapshot().Refresh, "canary", "crm"} {
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

// sealed gives a record as it lies in the storage.
func sealed(key [32]byte, record, identity string) []byte {
	b, err := storage.NewSealer(key).Seal([]byte(record), storageName(identity))
	if err != nil {
		panic(err)
	}
	return b
}

// A record that can't be read is as good as none, and is replaced.
func TestUnreadableRecord(t *testing.T) {
	otherKey := testPolicy()
	otherKey.SealKey = [32]byte{9}
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
			return sealed(otherKey.SealKey, `{"version":1,"generation":9}`, otherKey.Identity)
		},
		"of another source": func([]byte) []byte {
			return sealed(testPolicy().SealKey, `{"version":1,"generation":9}`, "another")
		},
		"sealed rubbish": func([]byte) []byte {
			return sealed(testPolicy().SealKey, `{"version":1,"generation":"x"}`, testPolicy().Identity)
		},
		"sealed, another version": func([]byte) []byte {
			return sealed(testPolicy().SealKey, `{"version":7}`, testPolicy().Identity)
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				i, s := newIssuer(), newMemory()
				k, _ := keeping(t, testPolicy(), i, s)
				must(t, k)
				_ = k.Destruct()
				key := storageName(testPolicy().Identity)
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

// The real FileStorage, in real time: four instances, one call; and the files.
func TestFileStorage(t *testing.T) {
	i, s := newIssuer(), &certmagic.FileStorage{Path: t.TempDir()}
	var fleet []*Keeper
	var wg sync.WaitGroup
	for range 4 {
		k := New(testPolicy(), i)
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
	k := New(testPolicy(), i)
	k.Attach(Env{Storage: s})
	defer func() { _ = k.Destruct() }()
	if tok, err := k.Token(within(t, 10*time.Second)); err != nil || tok.Generation != 1 || i.calls() != 1 {
		t.Errorf("after a restart: %v, %v", tok, err)
	}
}
