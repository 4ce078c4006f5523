package provider_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

func TestStopAndRestart(t *testing.T) {
	s := start(t, provider.Options{})
	url := s.URL()
	token, _ := signIn(t, s)
	if r := get(t, url+order); r.status != http.StatusOK {
		t.Fatalf("before: %d", r.status)
	}

	s.Stop()
	resp, err := send(t, http.MethodGet, url+order, "", "")
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("stopped: %v", err)
	}
	func() {
		defer func() {
			if v, _ := recover().(error); !errors.Is(v, http.ErrAbortHandler) {
				t.Errorf("recovered %v", v)
			}
		}()
		s.ServeHTTP(httptest.NewRecorder(), bare(t, "GET", order))
	}()

	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if s.URL() != url {
		t.Errorf("another address: %s", s.URL())
	}
	if got := query(t, s, token); got != "ok" {
		t.Errorf("the token after a restart: %s", got)
	}
	s.Close()
	s.Close()
}

func TestStartFails(t *testing.T) {
	s := start(t, provider.Options{})
	if err := s.Start("127.0.0.1:0"); err == nil {
		t.Error("started twice")
	}
	other := provider.New(provider.Options{})
	if err := other.Start(strings.TrimPrefix(s.URL(), "http://")); err == nil {
		t.Error("started on a port in use")
	}
	if err := other.Restart(); err == nil || other.URL() != "" {
		t.Errorf("restarted what was never started, at %q", other.URL())
	}
}

// Run with -race: everything at once, and no call is lost from the ledger.
func TestConcurrentCalls(t *testing.T) {
	s := provider.New(provider.Options{})
	token, refresh := signIn(t, s)
	inject(t, s, provider.Fault{Target: provider.API, Fault: "status", Times: 50})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 20 {
				r := bare(t, "GET", "/open/order/query?tel=13800138000")
				r.Header.Set("Authorization", "Bearer "+token)
				s.ServeHTTP(httptest.NewRecorder(), r)
				s.ServeHTTP(httptest.NewRecorder(), post(t, "/token/refresh", jsonType, `{"refresh_token":"`+refresh+`"}`))
			}
			if i%5 == 0 {
				s.SetLifetime(time.Hour)
				s.Ledger()
				s.Faults()
			}
		})
	}
	wg.Wait()
	all := s.Ledger()
	if n := all.Count(provider.TokenRefresh, "ok"); n != 1 {
		t.Errorf("%d refreshes with one token", n)
	}
	if n := all.Count(provider.API, "fault"); n != 50 {
		t.Errorf("%d faults of 50", n)
	}
	if len(all) != 801 || all.Last() != 801 || all.Count("", "") != 801 || all.Count("", "pending") != 0 {
		t.Errorf("%d entries, the last is %d", len(all), all.Last())
	}
}
