package console

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// oddAPIs are directives of APIs that answer as APIs shouldn't.
func oddAPIs(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/no", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"code":"900001","msg":"bad sign"}`)
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		list := make([]string, 4000)
		for i := range list {
			list[i] = fmt.Sprintf("entry %04d of a list", i)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"list": list})
	})
	mux.HandleFunc("/line", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(strings.Repeat("one line ", 12_000))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return strings.NewReplacer("{ODD}", server.URL, "`", "`").Replace("api /refused refused {\n" +
		"	to {ODD}/no\n	auth none\n	query `{tel: .tel}`\n	success `.code == \"0\"`\n	default `{name: \"\"}`\n}\n" +
		"api /tokenless tokenless {\n	to {ODD}/no\n	auth none\n	token wrong\n	default `{name: \"\"}`\n}\n" +
		"api /long long {\n	to {ODD}/long\n	auth none\n}\n" +
		"api /line line {\n	to {ODD}/line\n	auth none\n}\n")
}

// front is what stands between the browser and Caddy, and can get lost.
type front struct {
	*httptest.Server
	mode atomic.Pointer[string]
}

// newFront runs one. Its modes are on, gone (connections end without an answer), hangs
// (nothing is ever answered) and proxy (a proxy's page instead of an answer).
func newFront(t *testing.T, to string) *front {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	caddy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = target.Host
	}}
	f := new(front)
	f.set("on")
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch *f.mode.Load() {
		case "on":
			caddy.ServeHTTP(w, r)
		case "hangs":
			<-r.Context().Done()
		case "proxy":
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<html><h1>502 Bad Gateway</h1></html>")
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *front) set(mode string) { f.mode.Store(&mode) }
