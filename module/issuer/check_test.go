package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/certmagic"
)

func TestAuthenticateFindsTheToken(t *testing.T) {
	header := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	query := func(q string) func(*http.Request) {
		return func(r *http.Request) { r.URL.RawQuery = q }
	}
	in := start(t, newMemory())
	token := in.obtain().AccessToken
	for _, c := range []struct {
		name   string
		accept *Accept
		change func(*http.Request)
		ok     bool
	}{
		{"bearer", nil, header("Authorization", "Bearer "+token), true},
		{"bearer in lower case", nil, header("Authorization", "bearer "+token), true},
		{"nothing", nil, func(*http.Request) {}, false},
		{"no scheme", nil, header("Authorization", token), false},
		{"another scheme", nil, header("Authorization", "Basic "+token), false},
		{"scheme alone", nil, header("Authorization", "Bearer"), false},
		{"empty", nil, header("Authorization", "Bearer "), false},
		{"two headers", nil, header("Authorization", "Bearer "+token, "Bearer "+token), false},
		{"two tokens", nil, header("Authorization", "Bearer "+token+", Bearer "+token), false},
		{"token in upper case", nil, header("Authorization", "Bearer "+strings.ToUpper(token)), false},
		{"in the query", nil, query("access_token=" + token), false},
		{"raw Authorization", &Accept{In: "header", Template: "{token}"}, header("Authorization", token), true},
		{"own header", &Accept{In: "header", Name: "token"}, header("Token", token), true},
		{"own header, missing", &Accept{In: "header", Name: "token"}, header("Authorization", "Bearer "+token), false},
		{"prefix and suffix", &Accept{In: "header", Name: "x-t", Template: "t=<{token}>"}, header("X-T", "T=<"+token+">"), true},
		{"prefix without suffix", &Accept{In: "header", Name: "x-t", Template: "t=<{token}>"}, header("X-T", "T=<"+token), false},
		{"shorter than the template", &Accept{In: "header", Name: "x-t", Template: "t=<{token}>"}, header("X-T", "t="), false},
		{"query", &Accept{In: "query", Name: "access_token"}, query("a=b&access_token=" + token), true},
		{"query, missing", &Accept{In: "query", Name: "access_token"}, query("a=b"), false},
		{"query, twice", &Accept{In: "query", Name: "access_token"}, query("access_token=" + token + "&access_token=" + token), false},
		{"query, malformed", &Accept{In: "query", Name: "access_token"}, query("access_token=" + token + "&%zz"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := in.withAccept(t, c.accept)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			c.change(r)
			principal, ok := in.Authenticate(r)
			if ok != c.ok || ok && principal != testKey || !ok && principal != "" {
				t.Errorf("%q, %v; want %v", principal, ok, c.ok)
			}
		})
	}
}

// withAccept is the same issuer, which finds tokens elsewhere.
func (in *instance) withAccept(t *testing.T, a *Accept) *Issuer {
	t.Helper()
	i := &Issuer{Clients: in.Clients, Accept: a, logger: in.logger, storage: in.storage, state: in.state}
	if err := i.prepare(in.name); err != nil {
		t.Fatal(err)
	}
	return i
}

func TestAuthenticateRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		p := in.obtain()
		client := in.clients.byKey[testKey]
		parsed, _ := parseToken(p.AccessToken)
		of := parsed.lineage()
		in2h := time.Now().Add(2 * time.Hour)
		stranger, err := newSecret("partners", testKey, "not the secret")
		if err != nil {
			t.Fatal(err)
		}
		own := client.secrets[0]
		elsewhere := of
		elsewhere.family[15]++
		others := of
		others.client = in.clients.byKey[otherKey].id

		for _, c := range []struct {
			name, token, reason string
		}{
			{"empty", "", "malformed"},
			{"the refresh token", p.RefreshToken, "wrong_kind"},
			{"in standard base64", strings.Repeat("+", tokenLength), "malformed"},
			{"of no kind", mint(3, of, 1, in2h, own), "malformed"},
			{"of an unknown client", mint(accessToken, lineage{family: of.family}, 1, in2h, own), "unknown_client"},
			{"made with a wrong secret", mint(accessToken, of, 1, in2h, stranger), "forged"},
			{"past its time", mint(accessToken, of, 1, time.Now(), own), "expired"},
			// What a client could make with its own secret opens nothing either.
			{"of no family", mint(accessToken, elsewhere, 1, in2h, own), "unknown_family"},
			{"of another client's family", mint(accessToken, others, 1, in2h, in.clients.byKey[otherKey].secrets[0]), "unknown_family"},
			{"of generation 0", mint(accessToken, of, 0, in2h, own), "superseded"},
			{"of the next generation", mint(accessToken, of, 2, in2h, own), "superseded"},
			{"of the last generation", mint(accessToken, of, 1<<32-1, in2h, own), "superseded"},
		} {
			if in.takes(c.token) || in.lastReason() != c.reason {
				t.Errorf("%s: %s, want %s", c.name, in.lastReason(), c.reason)
			}
		}
		forever := mint(accessToken, of, 1, time.Now().Add(1000*time.Hour), own)
		time.Sleep(2 * time.Hour)
		if in.takes(forever) || in.lastReason() != "expired" {
			t.Errorf("a client's own lifetime counts: %s", in.lastReason())
		}
	})
}

func TestAuthenticateOtherIssuer(t *testing.T) {
	storage := newMemory()
	in, other := start(t, storage), start(t, storage)
	if err := other.prepare("others"); err != nil {
		t.Fatal(err)
	}
	if other.takes(in.obtain().AccessToken) {
		t.Error("a token opens at another issuer with the same clients")
	}
}

func TestAuthenticateAsksRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		minter, in := start(t, storage), start(t, storage)
		token := minter.obtain().AccessToken
		loads := storage.count("load")
		for range 600 { // a minute
			if !in.takes(token) {
				t.Fatal(in.lastReason())
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := storage.count("load") - loads; n > 30 {
			t.Errorf("%d reads a minute", n)
		}
	})
}

func TestAuthenticateFollowsARefreshElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		a, b := start(t, storage), start(t, storage)
		p := a.obtain()
		for range 10 {
			if !a.takes(p.AccessToken) || !b.takes(p.AccessToken) {
				t.Fatal("a token doesn't open everywhere at once")
			}
			a, b = b, a
			p = a.refreshed(p.RefreshToken)
		}
	})
}

// While the storage fails, tokens that are known go on.
func TestAuthenticateWithoutStorage(t *testing.T) {
	for name, fault := range map[string]func(context.Context) error{
		"fails":  fails,
		"hangs":  hangs,
		"panics": func(context.Context) error { panic("storage") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inOurDays(t)
				storage := newMemory()
				in := start(t, storage)
				p, unseen := in.obtain(), start(t, storage).obtain()
				storage.fault(fault)
				var slowest, waited time.Duration
				for range 700 { // 70 s and more
					began := time.Now()
					if !in.takes(p.AccessToken) {
						t.Fatalf("a known token is refused: %s", in.lastReason())
					}
					took := time.Since(began)
					slowest, waited = max(slowest, took), waited+took
					time.Sleep(100 * time.Millisecond)
				}
				if slowest > readWait || waited > readWait {
					t.Errorf("slowest check %s, all waits %s", slowest, waited)
				}
				began := time.Now()
				if in.takes(unseen.AccessToken) {
					t.Error("a token that nobody here has seen opens")
				}
				if took := time.Since(began); took > 2*readWait {
					t.Errorf("the refusal took %s", took)
				}
				storage.fault(nil)
				time.Sleep(2 * readLimit)
				if !in.takes(p.AccessToken) || !in.takes(unseen.AccessToken) {
					t.Errorf("refused after the storage is back: %s", in.lastReason())
				}
			})
		})
	}
}

// Of a token that is in use nobody waits for the storage, however slow it is.
func TestAuthenticateWithASlowStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		p := in.obtain()
		storage.fault(func(context.Context) error { time.Sleep(800 * time.Millisecond); return nil }, "load")
		for range 300 {
			began := time.Now()
			if !in.takes(p.AccessToken) {
				t.Fatal(in.lastReason())
			}
			if took := time.Since(began); took > 0 {
				t.Fatalf("a check took %s", took)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

func TestAuthenticateSharesOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		minter, in := start(t, storage), start(t, storage)
		token := minter.obtain().AccessToken
		loads := storage.count("load")
		storage.fault(func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }, "load")
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if !in.takes(token) {
					t.Error("refused")
				}
			})
		}
		wg.Wait()
		if n := storage.count("load") - loads; n != 1 {
			t.Errorf("%d reads", n)
		}
	})
}

func TestAuthenticateEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		token := start(t, storage).obtain().AccessToken
		storage.fault(hangs)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		began := time.Now()
		if _, ok := in.Authenticate(r); ok || time.Since(began) > 20*time.Millisecond {
			t.Errorf("%v after %s", ok, time.Since(began))
		}
		time.Sleep(readLimit)
	})
}

// Whoever deletes a record ends its family.
func TestAuthenticateWithoutARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inOurDays(t)
		storage := newMemory()
		in := start(t, storage)
		token := in.obtain().AccessToken
		for _, name := range storage.names() {
			if err := storage.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(staleAfter)
		if in.takes(token) || in.lastReason() != "unknown_family" {
			t.Errorf("it opens: %s", in.lastReason())
		}
		loads := storage.count("load")
		for range 10 {
			in.takes(token)
		}
		if n := storage.count("load") - loads; n > 0 {
			t.Errorf("%d reads for a family that isn't there", n)
		}
	})
}

func TestDamagedRecords(t *testing.T) {
	for name, content := range map[string]string{
		"not JSON":        "{",
		"empty":           "",
		"too large":       strings.Repeat(" ", maxRecord+1),
		"another version": `{"version":2,"generation":1}`,
		"no generation":   `{"version":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			storage := newMemory()
			p := start(t, storage).obtain()
			in := start(t, storage)
			for _, record := range storage.names() {
				if err := storage.Store(t.Context(), record, []byte(content)); err != nil {
					t.Fatal(err)
				}
			}
			if in.takes(p.AccessToken) {
				t.Error("the access token opens")
			}
			if got, err := in.refreshToken(p.RefreshToken); got != nil || err == nil {
				t.Error("the refresh token is taken")
			}
		})
	}
}

func TestFamiliesAreBounded(t *testing.T) {
	storage := newMemory()
	in := start(t, storage)
	token := in.obtain().AccessToken
	over := in.state.family(lineage{})
	over.update(nil, time.Now())
	for n := range 2 * maxFamilies {
		var of lineage
		of.family[0], of.family[1], of.family[2] = 1, byte(n), byte(n>>8)
		in.state.family(of)
	}
	if n := len(in.state.families); n > maxFamilies {
		t.Errorf("%d families kept", n)
	}
	if !in.takes(token) {
		t.Error("a token whose family was forgotten doesn't open")
	}
}

func TestLearnNeverGoesBack(t *testing.T) {
	now := time.Now()
	second := &record{Version: 1, Generation: 2, Expires: now.Add(time.Hour).UnixMilli()}
	first := &record{Version: 1, Generation: 1}
	for _, c := range []struct {
		name  string
		rec   *record
		after time.Duration
		want  *record
	}{
		{"an older read", first, -time.Second, second},
		{"an older read of nothing", nil, -time.Second, second},
		{"an earlier generation", first, time.Second, second},
		{"a deletion", nil, time.Second, nil},
		{"a later generation", &record{Generation: 3}, time.Second, &record{Generation: 3}},
	} {
		f := newState().family(lineage{})
		f.update(second, now)
		got := f.update(c.rec, now.Add(c.after))
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func FuzzToken(f *testing.F) {
	storage := newMemory()
	clients := []Client{{testKey, testSecret}, {otherKey, otherSec}}
	i := &Issuer{Clients: clients, storage: func() certmagic.Storage { return storage }, state: newState()}
	i.logger = nop
	if err := i.prepare("partners"); err != nil {
		f.Fatal(err)
	}
	p, err := i.Obtain(context.Background(), signedNow(testSecret))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.AccessToken)
	f.Add(p.RefreshToken)
	f.Add(p.AccessToken[:91] + "=")
	f.Add(strings.Repeat("A", tokenLength))
	f.Add("")
	f.Add("AQ\r\n" + strings.Repeat("_", tokenLength-4))
	f.Fuzz(func(t *testing.T, raw string) {
		if t, ok := parseToken(raw); ok && len(t.body())+len(t.code()) != tokenSize {
			panic("a token's parts don't make the whole")
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Header["Authorization"] = []string{"Bearer " + raw}
		if _, ok := i.Authenticate(r); ok && raw != p.AccessToken {
			t.Fatalf("%q opens", raw)
		}
		if raw == p.RefreshToken {
			return
		}
		if _, err := i.Refresh(t.Context(), map[string]any{"refresh_token": raw}); !errors.Is(err, ErrRefused) {
			t.Fatalf("%q refreshes: %v", raw, err)
		}
	})
}

// The token that opens doesn't reach the handlers behind, and the same issuer needs it
// only once.
func TestAdmit(t *testing.T) {
	for name, test := range map[string]struct {
		accept *Accept
		put    func(r *http.Request, token string)
	}{
		"a header": {nil, func(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) }},
		"the query": {&Accept{In: "query", Name: "key"}, func(r *http.Request, token string) {
			r.URL.RawQuery = "a=1&%6Bey=" + token
		}},
	} {
		t.Run(name, func(t *testing.T) {
			in := start(t, newMemory(), func(i *Issuer) { i.Accept = test.accept })
			ctx := context.WithValue(t.Context(), caddyhttp.VarsCtxKey, make(map[string]any))
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/path", http.NoBody)
			if _, ok := in.Admit(r); ok {
				t.Fatal("admitted without a token")
			}
			token := in.obtain().AccessToken
			test.put(r, token)
			for range 2 {
				if principal, ok := in.Admit(r); !ok || principal != testKey {
					t.Fatalf("%q, %v: %s", principal, ok, in.lastReason())
				}
				if strings.Contains(r.RequestURI+r.URL.String()+fmt.Sprint(r.Header), token) {
					t.Errorf("the token goes on: %s, %v", r.URL, r.Header)
				}
			}
		})
	}
}
