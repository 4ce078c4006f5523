package issuer

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/certmagic"
)

// benchmarked is an issuer over files, as most have it, and a pair of it.
func benchmarked(b *testing.B) (*Issuer, *Pair) {
	b.Helper()
	storage := &certmagic.FileStorage{Path: b.TempDir()}
	i := &Issuer{
		Clients: []Client{{testKey, testSecret}, {testKey, nextSecret}},
		storage: func() certmagic.Storage { return storage },
		state:   newState(),
		logger:  nop,
	}
	if err := i.prepare("partners"); err != nil {
		b.Fatal(err)
	}
	p, err := i.Obtain(b.Context(), signedNow(testSecret))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return i, p
}

func BenchmarkAuthenticate(b *testing.B) {
	i, p := benchmarked(b)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+p.AccessToken)
	for b.Loop() {
		if _, ok := i.Authenticate(r); !ok {
			b.Fatal("refused")
		}
	}
}

func BenchmarkAuthenticateForged(b *testing.B) {
	i, p := benchmarked(b)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+p.AccessToken[:90]+"__")
	for b.Loop() {
		if _, ok := i.Authenticate(r); ok {
			b.Fatal("a forged token opens")
		}
	}
}

func BenchmarkRefresh(b *testing.B) {
	i, p := benchmarked(b)
	for b.Loop() {
		next, err := i.Refresh(b.Context(), map[string]any{"refresh_token": p.RefreshToken})
		if err != nil {
			b.Fatal(err)
		}
		p = next
	}
}

func BenchmarkObtainRefused(b *testing.B) {
	i, _ := benchmarked(b)
	params := signedNow("wrong")
	for b.Loop() {
		if _, err := i.Obtain(b.Context(), params); err == nil {
			b.Fatal("signed in with a wrong secret")
		}
	}
}
