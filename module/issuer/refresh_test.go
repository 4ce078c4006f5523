package issuer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
)

func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		in := start(t, newMemory())
		seen := map[string]bool{}
		p := in.obtain()
		for range 20 {
			if seen[p.AccessToken] || seen[p.RefreshToken] {
				t.Fatal("a token came twice")
			}
			seen[p.AccessToken], seen[p.RefreshToken] = true, true
			if !in.takes(p.AccessToken) {
				t.Fatalf("the new token doesn't open: %s", in.lastReason())
			}
			if p.ExpiresIn != 7200 {
				t.Fatalf("expires_in %d", p.ExpiresIn)
			}
			time.Sleep(110 * time.Minute)
			p = in.refreshed(p.RefreshToken)
		}
	})
}

func TestRefreshRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		p := in.obtain()
		for _, c := range []struct {
			name   string
			value  any
			reason string
		}{
			{"nothing", nil, "malformed"},
			{"empty", "", "malformed"},
			{"a list", []any{p.RefreshToken}, "malformed"},
			{"the access token", p.AccessToken, "wrong_kind"},
			{"cut", p.RefreshToken[:len(p.RefreshToken)-1], "malformed"},
			{"with a line break", p.RefreshToken[:len(p.RefreshToken)-1] + "\n", "malformed"},
			{"longer", p.RefreshToken + "A", "malformed"},
			{"changed at its end", p.RefreshToken[:len(p.RefreshToken)-2] + "__", "forged"},
		} {
			_, err := in.Refresh(t.Context(), map[string]any{"refresh_token": c.value})
			if !errors.Is(err, ErrRefused) || in.lastReason() != c.reason {
				t.Errorf("%s: %v, %s; want %s", c.name, err, in.lastReason(), c.reason)
			}
		}
		if !in.takes(p.AccessToken) {
			t.Error("refusals ended the family")
		}
		time.Sleep(26*time.Hour - time.Millisecond)
		in.refreshed(p.RefreshToken)

		p = in.obtain()
		time.Sleep(26 * time.Hour)
		if _, err := in.refreshToken(p.RefreshToken); !errors.Is(err, ErrRefused) || in.lastReason() != "expired" {
			t.Errorf("after 26 hours: %v, %s", err, in.lastReason())
		}
	})
}

// What a client could make with its own secret leads nowhere either.
func TestRefreshOfOnesOwnMaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		in := start(t, newMemory())
		p, victim := in.obtain(), in.obtain()
		client := in.clients.byKey[testKey]
		other := in.clients.byKey[otherKey]
		parsed, _ := parseToken(p.RefreshToken)
		of := parsed.lineage()
		stolen, _ := parseToken(victim.RefreshToken)
		theirs := lineage{client: other.id, family: stolen.lineage().family}
		ever := time.Now().Add(1000 * time.Hour)
		for _, c := range []struct{ name, token, reason string }{
			{"a later generation", mint(refreshToken, of, 2, ever, client.secrets[0]), "unknown_generation"},
			{"the last generation", mint(refreshToken, of, 1<<32-1, ever, client.secrets[0]), "unknown_generation"},
			{"another family", mint(refreshToken, lineage{client: client.id}, 1, ever, client.secrets[0]), "unknown_family"},
			{"another client's family", mint(refreshToken, theirs, 0, ever, other.secrets[0]), "unknown_family"},
		} {
			if _, err := in.refreshToken(c.token); !errors.Is(err, ErrRefused) || in.lastReason() != c.reason {
				t.Errorf("%s: %v, %s; want %s", c.name, err, in.lastReason(), c.reason)
			}
		}
		if !in.takes(p.AccessToken) || !in.takes(victim.AccessToken) {
			t.Error("a family ended")
		}
		time.Sleep(26 * time.Hour)
		own := mint(refreshToken, of, 1, ever, client.secrets[0])
		if _, err := in.refreshToken(own); !errors.Is(err, ErrRefused) || in.lastReason() != "expired" {
			t.Errorf("a lifetime of one's own: %v, %s", err, in.lastReason())
		}
	})
}

func TestRefreshGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in, other := start(t, storage), start(t, storage)
		old := in.obtain()
		p := in.refreshed(old.RefreshToken)
		for _, wait := range []time.Duration{0, 10 * time.Second, 20 * time.Second} {
			time.Sleep(wait)
			for _, instance := range []*instance{in, other, start(t, storage)} {
				again := instance.refreshed(old.RefreshToken)
				if again.AccessToken != p.AccessToken || again.RefreshToken != p.RefreshToken {
					t.Fatalf("another pair after %s", wait)
				}
				if again.ExpiresIn > p.ExpiresIn || again.ExpiresIn < p.ExpiresIn-31 {
					t.Errorf("expires_in %d after %d", again.ExpiresIn, p.ExpiresIn)
				}
			}
		}
		if storage.count("store") != 2 {
			t.Errorf("%d records stored, want 2", storage.count("store"))
		}
		time.Sleep(time.Millisecond)
		if _, err := in.refreshToken(old.RefreshToken); !errors.Is(err, ErrRefused) || in.lastReason() != "reused" {
			t.Errorf("after 30 s: %v, %s", err, in.lastReason())
		}
	})
}

// Within the grace of one generation the one before that is a reuse already.
func TestRefreshGraceIsForTheLastOne(t *testing.T) {
	in := start(t, newMemory())
	first := in.obtain()
	second := in.refreshed(first.RefreshToken)
	third := in.refreshed(second.RefreshToken)
	if _, err := in.refreshToken(first.RefreshToken); !errors.Is(err, ErrRefused) || in.lastReason() != "reused" {
		t.Errorf("%v, %s", err, in.lastReason())
	}
	if in.takes(third.AccessToken) {
		t.Error("the family lives on")
	}
}

func TestReuseRevokesTheFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in, other := start(t, storage), start(t, storage)
		stranger := in.obtain() // another family of the same client
		first := in.obtain()
		second := in.refreshed(first.RefreshToken)
		if !other.takes(second.AccessToken) || !other.takes(first.AccessToken) {
			t.Fatal("the tokens don't open elsewhere")
		}
		time.Sleep(31 * time.Second)
		if !other.takes(second.AccessToken) {
			t.Fatal("the token doesn't open elsewhere")
		}
		if _, err := in.refreshToken(first.RefreshToken); !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
		if in.takes(first.AccessToken) || in.takes(second.AccessToken) {
			t.Error("a token of a revoked family opens")
		}
		if in.lastReason() != "revoked" {
			t.Errorf("because of %s", in.lastReason())
		}
		began := time.Now()
		for other.takes(second.AccessToken) {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took > staleAfter {
			t.Errorf("elsewhere it opened for %s more", took)
		}
		for _, instance := range []*instance{in, other, start(t, storage)} {
			if _, err := instance.refreshToken(second.RefreshToken); !errors.Is(err, ErrRefused) || instance.lastReason() != "revoked" {
				t.Errorf("the family goes on: %v, %s", err, instance.lastReason())
			}
		}
		if !in.takes(stranger.AccessToken) || !other.takes(stranger.AccessToken) {
			t.Error("another family is revoked too")
		}
		in.obtain()
	})
}

func TestOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in, other := start(t, storage), start(t, storage)
		old := in.obtain()
		time.Sleep(time.Hour)
		in.refreshed(old.RefreshToken)
		time.Sleep(overlap - time.Millisecond)
		if !in.takes(old.AccessToken) || !other.takes(old.AccessToken) {
			t.Error("the old token is dead within the overlap")
		}
		time.Sleep(time.Millisecond)
		if in.takes(old.AccessToken) || in.lastReason() != "superseded" {
			t.Errorf("the old token lives on after the overlap: %s", in.lastReason())
		}
		if other.takes(old.AccessToken) {
			t.Error("the old token lives on elsewhere")
		}
	})
}

func TestOverlapEndsWithTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		in := start(t, newMemory())
		old := in.obtain()
		time.Sleep(2*time.Hour - time.Second)
		in.refreshed(old.RefreshToken)
		time.Sleep(time.Second)
		if in.takes(old.AccessToken) || in.lastReason() != "expired" {
			t.Errorf("it opens after its time: %s", in.lastReason())
		}
	})
}

func TestParallelRefreshes(t *testing.T) {
	for _, c := range []struct {
		name    string
		storage func(t *testing.T) certmagic.Storage
	}{
		{"memory", func(*testing.T) certmagic.Storage { return newMemory() }},
		{"files", func(t *testing.T) certmagic.Storage {
			t.Helper()
			return &certmagic.FileStorage{Path: t.TempDir()}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			storage := c.storage(t)
			fleet := []*instance{start(t, storage), start(t, storage)}
			old := fleet[0].obtain()
			pairs := make([]*Pair, 50)
			var wg sync.WaitGroup
			for n := range pairs {
				wg.Go(func() {
					p, err := fleet[n%2].refreshToken(old.RefreshToken)
					if err != nil {
						t.Error(err)
						return
					}
					pairs[n] = fleet[n%2].note(p)
				})
			}
			wg.Wait()
			for _, p := range pairs {
				if p == nil || p.AccessToken != pairs[0].AccessToken || p.RefreshToken != pairs[0].RefreshToken {
					t.Fatal("the pairs differ")
				}
			}
			if !fleet[0].takes(pairs[0].AccessToken) || !fleet[1].takes(pairs[0].AccessToken) {
				t.Error("the new token doesn't open")
			}
		})
	}
}

// One storage's lock excludes nobody, and both instances have read the record
// before one writes it. Both answers must work.
func TestParallelRefreshesWithoutALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		storage.noLock = true
		fleet := []*instance{start(t, storage), start(t, storage)}
		old := fleet[0].obtain()
		pairs := make([]*Pair, 2)
		var wg sync.WaitGroup
		for n, in := range fleet {
			wg.Go(func() {
				delay := time.Duration(n+1) * 10 * time.Millisecond
				storage.fault(func(context.Context) error { time.Sleep(delay); return nil }, "store")
				pairs[n] = in.refreshed(old.RefreshToken)
			})
		}
		wg.Wait()
		storage.fault(nil)
		for _, in := range fleet {
			for _, p := range pairs {
				if !in.takes(p.AccessToken) {
					t.Errorf("a pair's access token doesn't open: %s", in.lastReason())
				}
			}
		}
		next := fleet[0].refreshed(pairs[1].RefreshToken)
		if again := fleet[1].refreshed(pairs[0].RefreshToken); again.AccessToken != next.AccessToken {
			t.Error("the two pairs led to different ones")
		}
	})
}

func TestRefreshWithoutStorage(t *testing.T) {
	for _, op := range []string{"load", "store"} {
		t.Run(op, func(t *testing.T) {
			storage := newMemory()
			in := start(t, storage)
			old := in.obtain()
			storage.fault(fails, op)
			if p, err := in.refreshToken(old.RefreshToken); p != nil || !errors.Is(err, ErrUnavailable) {
				t.Fatalf("%v, %v; want ErrUnavailable", p, err)
			}
			if !in.takes(old.AccessToken) {
				t.Error("the failed refresh ended the token")
			}
			storage.fault(nil)
			if p := in.refreshed(old.RefreshToken); !in.takes(p.AccessToken) {
				t.Error("the new token doesn't open")
			}
		})
	}
}

// The write succeeds, but the storage says it failed: the client comes again.
func TestRefreshAfterAnAmbiguousWrite(t *testing.T) {
	storage := newMemory()
	in := start(t, storage)
	old := in.obtain()
	lying := &liar{memory: storage}
	in.storage = func() certmagic.Storage { return lying }
	if _, err := in.refreshToken(old.RefreshToken); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	in.storage = func() certmagic.Storage { return storage }
	p := in.refreshed(old.RefreshToken)
	if !in.takes(p.AccessToken) || storage.count("store") != 2 {
		t.Errorf("%d stores, %s", storage.count("store"), in.lastReason())
	}
}

type liar struct{ *memory }

func (l *liar) Store(ctx context.Context, key string, value []byte) error {
	return errors.Join(errDisk, l.memory.Store(ctx, key, value))
}

// A thief's reuse must not pass for nothing because the storage is full.
func TestRevocationThatIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		first := in.obtain()
		second := in.refreshed(first.RefreshToken)
		time.Sleep(time.Minute)
		storage.fault(fails, "store")
		if _, err := in.refreshToken(first.RefreshToken); !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
		storage.fault(nil)
		for range 3 {
			time.Sleep(10 * time.Second)
			if in.takes(second.AccessToken) {
				t.Error("the token opens")
			}
			if _, err := in.refreshToken(second.RefreshToken); !errors.Is(err, ErrRefused) {
				t.Error("the family goes on")
			}
		}
		if in.logs.FilterMessageSnippet("revocation not stored").Len() != 1 {
			t.Error("nobody was told")
		}
	})
}

func TestRotationOfSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		with := func(secrets ...string) func(*Issuer) {
			return func(i *Issuer) {
				i.Clients = nil
				for _, s := range secrets {
					i.Clients = append(i.Clients, Client{testKey, s})
				}
			}
		}
		before := start(t, storage, with(testSecret))
		during := start(t, storage, with(testSecret, nextSecret))
		after := start(t, storage, with(nextSecret))

		old := before.obtain()
		if !during.takes(old.AccessToken) {
			t.Error("the second secret ended the first one's tokens")
		}
		old = during.refreshed(old.RefreshToken)
		if !before.takes(old.AccessToken) || !during.takes(old.AccessToken) {
			t.Error("a refreshed token doesn't open on an instance that isn't reloaded yet")
		}
		still := during.obtainWith(testSecret)
		fresh := during.obtainWith(nextSecret)
		if !during.takes(still.AccessToken) || !during.takes(fresh.AccessToken) || !after.takes(fresh.AccessToken) {
			t.Error("a token of one of the two secrets doesn't open")
		}
		if fresh = after.refreshed(fresh.RefreshToken); !after.takes(fresh.AccessToken) {
			t.Error("the new secret's family ended with the old secret")
		}
		if after.takes(old.AccessToken) || after.lastReason() != "forged" {
			t.Errorf("a token of the removed secret opens: %s", after.lastReason())
		}
		if _, err := after.refreshToken(old.RefreshToken); !errors.Is(err, ErrRefused) {
			t.Error("a family of the removed secret goes on")
		}
		if _, err := after.Obtain(t.Context(), signedNow(testSecret)); !errors.Is(err, ErrRefused) {
			t.Error("the removed secret signs in")
		}
	})
}

func TestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		in := start(t, newMemory(), func(i *Issuer) { i.Lifetime = caddy.Duration(30 * time.Second) })
		p := in.obtain()
		if p.ExpiresIn != 30 {
			t.Errorf("expires_in %d", p.ExpiresIn)
		}
		time.Sleep(30*time.Second - time.Millisecond)
		if !in.takes(p.AccessToken) {
			t.Errorf("dead too early: %s", in.lastReason())
		}
		time.Sleep(time.Millisecond)
		if in.takes(p.AccessToken) || in.lastReason() != "expired" {
			t.Errorf("alive after its time: %s", in.lastReason())
		}
	})
}
