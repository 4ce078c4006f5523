// Package source holds the configuration of token sources and calls their endpoints.
//
// Configuration: source.go (settings), caddyfile.go, dialect.go, authorize.go (consents),
// plan.go (checks), programs.go (compiles), resolve.go (secrets), keys.go. A call:
// endpoint.go, request.go, answer.go, and exchange.go for what is shown of it.
package source

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/switchboard-ivr/switchboard/internal/connerr"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// Source is the configuration of a token source: how to sign in to an API, how
// to renew, and how the token travels. What a dialect sets, the source's own
// settings override.
//
// A source without Obtain, Refresh and Static holds credentials only, for APIs
// whose every request is signed; its Dialect is none or not set.
//
// Credentials, Static and the URLs may hold the placeholders `{env.*}` and
// `{file.*}`. They are resolved once, when the configuration is loaded, and never
// shown again.
type Source struct {
	// The name of the dialect that gives the settings that are missing here; see
	// `caddy switchboard dialects`. Default: `signed`; `none` starts empty.
	Dialect string `json:"dialect,omitempty"`

	// Definitions of jq functions for all programs of this source.
	Define string `json:"define,omitempty"`

	// The credentials by name. Programs see each as a variable: `$app_key`. The
	// name `refresh_token` is the first refresh token of a source that can't sign
	// in otherwise.
	CredentialValues map[string]string `json:"credentials,omitempty"`

	// Names of credentials that may be missing: their variables are null then.
	Optional []string `json:"optional,omitempty"`

	// How a person consents, for APIs that only give tokens to people. Obtain then
	// exchanges the code that comes of it.
	Authorize *Authorize `json:"authorize,omitempty"`

	// The request that signs in.
	Obtain *Request `json:"obtain,omitempty"`

	// The request that renews. Without it the source signs in again.
	Refresh *Request `json:"refresh,omitempty"`

	// A token that never changes, instead of Obtain and Refresh.
	Static string `json:"static,omitempty"`

	// A predicate on the token endpoint's answer: it gave a token. Default: the
	// status is below 400 and the token is not blank.
	Success string `json:"success,omitempty"`

	// The token in the answer.
	AccessToken string `json:"access_token,omitempty"`

	// The refresh token in the answer; null where it has none.
	RefreshToken string `json:"refresh_token,omitempty"`

	// How long the token lives: a number or a string with one; null where the
	// answer does not tell.
	ExpiresIn string `json:"expires_in,omitempty"`

	// The unit of ExpiresIn: `s`, `ms` or `at` (a point in time: Unix time in s or
	// ms, or RFC 3339). Default: `s`.
	ExpiresInUnit string `json:"expires_in_unit,omitempty"`

	// The shape of `$timestamp`: `ms`, `s` (numbers) or a Go layout (a string).
	// Default: `ms`.
	Timestamp string `json:"timestamp,omitempty"`

	// The time zone of a Go layout: a name or an offset. Default: UTC.
	TimestampZone string `json:"timestamp_zone,omitempty"`

	// How long a token lives when the answer states nothing, 30 s to 400 days.
	// Default: 2h are assumed, and less once a token has died before.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// How long before its end a token is renewed, at most half of its lifetime.
	// Default: 10m, or half of a shorter lifetime.
	RefreshBefore caddy.Duration `json:"refresh_before,omitempty"`

	// The same as a part of the lifetime, up to 0.5, instead of RefreshBefore.
	RefreshFraction float64 `json:"refresh_fraction,omitempty"`

	// Whether a renewal that gives the same token has failed. Default: false.
	MustDiffer *bool `json:"must_differ,omitempty"`

	// How the token travels to the API. Default: `Authorization: Bearer …`.
	Inject *Inject `json:"inject,omitempty"`

	// Which answers of the API mean that the token is dead. Default: status 401.
	TokenExpired *Expired `json:"token_expired,omitempty"`

	// A predicate on an API's answer: `success` of every route that names this
	// source and has none of its own.
	AnswerSuccess string `json:"api_success,omitempty"`

	// What to keep of the token endpoint's answer besides the token.
	Keep *Keep `json:"keep,omitempty"`

	// How long to wait after the endpoint has refused to sign us in, 1s to 1h. It
	// grows to 1h, because a wrong secret can lock an account. Default: 5m.
	RetryRefused caddy.Duration `json:"retry_refused,omitempty"`

	// How long one call of the token endpoint may take, up to 1m. Default: 10s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How to connect to the token endpoint: Caddy's `http` transport. Default: TLS
	// by the system's roots, a proxy from the environment.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	// Whether to sign in at start instead of with the first request. Default: true.
	Warm *bool `json:"warm,omitempty"`

	name         string
	plan         *plan
	values       map[string]string // CredentialValues, resolved
	authorizeURL *url.URL          // with all parameters that are the same each time
	redirect     string            // of Authorize, resolved
	issuer       string            // of Authorize, resolved
	obtainURL    *url.URL
	refreshURL   *url.URL
	token        string // Static, resolved
	identity     string
	sealKey      [32]byte
	roundTripper http.RoundTripper
}

// Provision resolves the secrets, merges the dialect, compiles the programs and
// checks everything. It uses no network. The name is for messages.
func (s *Source) Provision(ctx caddy.Context, name string) error {
	plan, err := s.newPlan("")
	if err != nil {
		return err
	}
	s.name, s.plan = name, plan
	if err := s.resolve(); err != nil {
		return err
	}
	if err := s.checkKeys(plan); err != nil {
		return err
	}
	if err := s.loadTransport(ctx); err != nil {
		return wrong("transport", err)
	}
	s.identity = s.identify()
	s.sealKey, err = s.deriveSealKey()
	return err
}

// loadTransport makes what carries requests to the token endpoint.
func (s *Source) loadTransport(ctx caddy.Context) error {
	if s.TransportRaw == nil {
		s.roundTripper = newTransport()
		return nil
	}
	mod, err := ctx.LoadModule(s, "TransportRaw")
	if err != nil {
		return err
	}
	rt, ok := mod.(http.RoundTripper)
	if !ok {
		return fmt.Errorf("%T is not an HTTP transport", mod)
	}
	if t, ok := mod.(*reverseproxy.HTTPTransport); ok {
		connerr.KeepCause(t.Transport)
	}
	s.roundTripper = caddyTransport{rt}
	return nil
}

// Identity is the hex SHA-256 of all that determines the token: the endpoint's
// URLs, the credentials and the programs. Secrets can't be read from it.
func (s *Source) Identity() string { return s.identity }

// HasToken reports whether there is a token at all: false for a source that holds
// credentials only.
func (s *Source) HasToken() bool { return s.plan.hasEndpoint || s.token != "" }

// NeedsConsent reports whether a person must consent before the source has a token.
func (s *Source) NeedsConsent() bool { return s.Authorize != nil }

// IsWarm reports whether the source signs in at start: a source with a token
// endpoint, unless `warm off` is written.
func (s *Source) IsWarm() bool { return s.plan.hasEndpoint && (s.plan.Warm == nil || *s.plan.Warm) }

// Injection returns how the token travels to the API.
func (s *Source) Injection() token.Injection { return s.plan.injection }

// ExpiredRule returns which answers of an API mean that the token is dead: one of
// the statuses, or one of which the program is true. The program may be nil; its
// variables are status, headers, params and request, in this order.
func (s *Source) ExpiredRule() (statuses []int, program *jq.Program) {
	return s.plan.expired.Status, s.plan.isExpired
}

// APISuccess is the text of the program that decides whether an API's answer is a
// success, with the source's own definitions before it, or "". Its variables are
// those of ExpiredRule.
func (s *Source) APISuccess() string {
	if s.plan.AnswerSuccess == "" {
		return ""
	}
	return s.plan.Define + s.plan.AnswerSuccess
}

// Credentials returns the resolved credentials for programs, sorted by name. An
// optional one that is not given is nil.
func (s *Source) Credentials() (names []string, values []any) {
	names = slices.Clone(s.plan.names)
	values = make([]any, len(names))
	for i, name := range names {
		if value, ok := s.values[name]; ok {
			values[i] = value
		}
	}
	return names, values
}

// Trial returns what programs of an API can be tried with when the configuration is
// loaded, by the variable's name: $timestamp, $nonce and the credentials. Before
// Provision, a credential that can't be resolved is left out; define precedes the programs.
func (s *Source) Trial(define string) map[string]any {
	p := s.plan
	if p == nil {
		var err error
		if p, err = s.newPlan(define); err != nil {
			return nil
		}
	}
	known := map[string]any{"timestamp": p.stamp.at(time.Now()), "nonce": Nonce()}
	for _, name := range p.names {
		if _, given := s.CredentialValues[name]; !given {
			known[name] = nil // optional
		} else if value := s.value(name); value != "" {
			known[name] = value
		}
	}
	return known
}

// KeepHosts are the hosts that a URL made of Token.Keep may name: host names, or
// "*." and the domain above them.
func (s *Source) KeepHosts() []string {
	if s.plan.Keep == nil {
		return nil
	}
	return slices.Clone(s.plan.Keep.Hosts)
}

// Stamp returns $timestamp in the source's format: a number for ms and s, a string
// for a layout.
func (s *Source) Stamp(now time.Time) any { return s.plan.stamp.at(now) }
