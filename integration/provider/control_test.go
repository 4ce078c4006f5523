package provider_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/integration/provider"
)

func TestControl(t *testing.T) {
	s := provider.New(provider.Options{})
	do := func(method, target, body string) reply {
		return serve(t, s, httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body)))
	}
	faults := func() string { return strings.TrimSpace(do("GET", "/_control", "").body) }

	if faults() != "[]" {
		t.Errorf("at first: %s", faults())
	}
	for _, body := range []string{
		`[{"target":"api","fault":"hang","times":1,"delay":"30s"},{"target":"oauth2","fault":"html"}]`,
		` {"target":"token-get","fault":"empty"}`,
	} {
		if r := do("POST", "/_control", body); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	want := `[{"target":"api","fault":"hang","times":1,"delay":"30s"},{"target":"oauth2","fault":"html"},{"target":"token-get","fault":"empty"}]`
	if faults() != want {
		t.Errorf("injected: %s", faults())
	}
	if do("POST", "/_control/reset", ""); faults() != "[]" {
		t.Errorf("after a reset: %s", faults())
	}

	access, _ := signIn(t, s)
	if do("POST", "/_expire", ""); query(t, s, access) != "dead_token" {
		t.Error("the token survived /_expire")
	}
	do("POST", "/_lifetime?d=1ns", "")
	if access, _ := signIn(t, s); query(t, s, access) != "dead_token" {
		t.Error("the token outlived its nanosecond")
	}

	for _, tc := range [][3]string{
		{"POST", "/_control", `{"target":"api","fault":"nothing"}`},
		{"POST", "/_control", `[{"target":"api","fault":"hang","delay":30}]`},
		{"POST", "/_control", `{"target":"api","fault":"hang","tiems":1}`},
		{"POST", "/_control", strings.Repeat("x", 2<<20)},
		{"POST", "/_lifetime?d=soon", ""},
		{"POST", "/_lifetime?d=-1s", ""},
		{"GET", "/_ledger?since=x", ""},
	} {
		if r := do(tc[0], tc[1], tc[2]); r.status != http.StatusBadRequest || r.at(t, "error") == "" {
			t.Errorf("%s %s %.60s: %d %s", tc[0], tc[1], tc[2], r.status, r.body)
		}
	}
}

func TestLedgerOverHTTP(t *testing.T) {
	s := provider.New(provider.Options{})
	access, _ := signIn(t, s)
	query(t, s, access)
	query(t, s, access)
	for target, want := range map[string]int{
		"/_ledger": 3, "/_ledger?kind=api": 2, "/_ledger?since=2": 1, "/_ledger?kind=token-get&since=1": 0,
	} {
		r := serve(t, s, bare(t, "GET", target))
		var es provider.Entries
		if err := json.Unmarshal([]byte(r.body), &es); err != nil || len(es) != want || es == nil {
			t.Errorf("%s: %s, %v", target, r.body, err)
		}
		for _, e := range es {
			if e.Kind == provider.API && e.Token != access {
				t.Errorf("%s: token %q", target, e.Token)
			}
		}
	}
}
