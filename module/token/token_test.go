package token

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestFailureText(t *testing.T) {
	for want, failure := range map[string]*Failure{
		"refused (status 401, code 40013): the endpoint said no":                  {Kind: Refused, Status: 401, Code: "40013", Reason: "the endpoint said no"},
		`refused (status 400, code e): the endpoint says "nf"`:                    {Kind: Refused, Status: 400, Code: "e", Reason: SaidNo, Message: "nf"},
		`refused (status 200): the answer holds no token; the endpoint says "nf"`: {Kind: Refused, Status: 200, Reason: "the answer holds no token", Message: "nf"},
		"no clear answer: no whole answer in time":                                {Kind: Ambiguous, Reason: "no whole answer in time"},
		"invalid (status 200): the token is blank":                                {Kind: Invalid, Status: 200, Reason: "the token is blank"},
		"unknown (code 1)": {Code: "1"},
	} {
		if got := failure.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestToken(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for name, test := range map[string]struct {
		token *Token
		valid bool
	}{
		"none":         {nil, false},
		"blank":        {&Token{Expires: now.Add(time.Hour)}, false},
		"live":         {&Token{Access: "a", Expires: now.Add(time.Second)}, true},
		"at its end":   {&Token{Access: "a", Expires: now}, false},
		"without end":  {&Token{Access: "a"}, true},
		"beyond limit": {&Token{Access: "a", Expires: now.Add(-time.Second)}, false},
	} {
		if got := test.token.Valid(now); got != test.valid {
			t.Errorf("%s: valid is %v", name, got)
		}
	}
	tok := &Token{Access: "canary"}
	if f := tok.Fingerprint(); len(f) != 8 || strings.Contains(f, "canary") {
		t.Errorf("fingerprint %q", f)
	}
	if tok.Refuse() || tok.Accepted() {
		t.Error("a token that was never sent was accepted")
	}
	tok.Accept()
	if !tok.Accepted() || !tok.Refuse() || tok.Refuse() || tok.Accepted() {
		t.Error("acceptance doesn't end with a refusal")
	}
}

func TestNoTokenError(t *testing.T) {
	cause := &Failure{Kind: Busy, Reason: "the endpoint asks to come again later"}
	err := error(&NoTokenError{Source: "crm", RetryAfter: time.Second, Cause: cause})
	if failure, ok := errors.AsType[*Failure](err); !ok || failure != cause || err.Error() != "no token from crm: busy: the endpoint asks to come again later" {
		t.Errorf("got %v", err)
	}
}

func TestHeaderInjection(t *testing.T) {
	for name, test := range map[string]struct {
		header, template string
		want             Injection
		err              string
	}{
		"default":          {"", "", Injection{Where: InHeader, Name: "Authorization", Prefix: "Bearer "}, ""},
		"another header":   {"x-key", "", Injection{Where: InHeader, Name: "X-Key"}, ""},
		"a template":       {"x-key", "k={token};", Injection{Where: InHeader, Name: "X-Key", Prefix: "k=", Suffix: ";"}, ""},
		"not a header":     {"x key", "", Injection{}, "not the name of a header"},
		"no token in it":   {"", "Bearer", Injection{}, "must hold {token} once"},
		"two tokens in it": {"", "{token}{token}", Injection{}, "must hold {token} once"},
	} {
		got, err := HeaderInjection(test.header, test.template)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "crm-2_b.c", strings.Repeat("x", 64)} {
		if err := CheckName("a token source", name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "-a", "a/b", "../a", "a b", "ü", strings.Repeat("x", 65)} {
		if err := CheckName("a token source", name); err == nil || !strings.Contains(err.Error(), "the name of a token source") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A secret with braces in it must not be quoted.
func TestResolve(t *testing.T) {
	t.Setenv("TEST_SECRET", "s3cret")
	for value, want := range map[string]string{"plain": "plain", "": "", "{env.TEST_SECRET}": "s3cret", `a\{b\}`: "a{b}"} {
		if got, err := Resolve(caddy.NewReplacer(), value); err != nil || got != want {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
	for value, want := range map[string]string{"{env.TEST_UNSET}": "{env.TEST_UNSET} is not set", "canary{x}": "a placeholder that is unknown"} {
		if got, err := Resolve(caddy.NewReplacer(), value); err == nil || got != "" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
}
