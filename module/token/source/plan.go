package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/program"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// plan is a source merged with its dialect, checked and compiled. It holds no
// resolved secret, so that it can be made while a Caddyfile is parsed.
type plan struct {
	*Source         // merged
	dialect *Source // its part of it

	injection   token.Injection
	expired     Expired
	stamp       stamp
	names       []string // the credentials that programs see, sorted
	hasEndpoint bool

	authorizeQuery *jq.Program

	obtainCall   *requestPrograms
	refreshCall  *requestPrograms
	success      *jq.Program
	accessToken  *jq.Program
	refreshToken *jq.Program
	expiresIn    *jq.Program
	keep         *jq.Program
	isExpired    *jq.Program
}

// settingError says which setting is wrong: "obtain", "obtain json".
type settingError struct {
	setting string
	err     error
}

func (e *settingError) Error() string { return e.setting + ": " + e.err.Error() }
func (e *settingError) Unwrap() error { return e.err }

func wrong(setting string, err error) error {
	if err == nil {
		return nil
	}
	return &settingError{setting, err}
}

func wrongf(setting, format string, args ...any) error {
	return &settingError{setting, fmt.Errorf(format, args...)}
}

// reserved are the variables of programs, which no credential may shadow.
var reserved = []string{
	"access_token", "body", "headers", "nonce", "params", "query", "refresh_token",
	"refused", "request", "status", "timestamp", "token", "url", "ENV", "__loc__", "__prog_args",
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// seedName is the credential that is not a variable of its own: the first
// $refresh_token of a source without obtain.
const seedName = "refresh_token"

// newPlan merges s with its dialect and checks everything that needs neither
// secrets nor a network. An error about one setting is a *settingError.
func (s *Source) newPlan(define string) (*plan, error) {
	base, err := dialect(s.Dialect)
	if err != nil {
		return nil, wrong("dialect", err)
	}
	p := &plan{Source: s.over(base), dialect: base}
	if err := checkDefinitions(p.Define, define); err != nil {
		return nil, err
	}
	p.hasEndpoint = s.Obtain != nil || s.Refresh != nil
	p.Define = program.Join(define, p.Define)
	if p.Authorize != nil {
		if err := p.checkConsent(); err != nil {
			return nil, err
		}
	}
	for _, check := range []func() error{
		p.checkCredentials,
		s.checkKind,
		p.checkTimes,
		s.checkWindow,
		p.checkKeep,
		p.checkAnswers,
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if p.stamp, err = newStamp(p.Timestamp, p.TimestampZone); err != nil {
		return nil, wrong("timestamp", err)
	}
	if p.injection, err = p.Inject.resolve(); err != nil {
		return nil, wrong("inject", err)
	}
	return p, p.compile()
}

// CredentialNames are the names of all credentials that programs may use, before
// the source is provisioned; nil for a source that can't be.
func (s *Source) CredentialNames(define string) []string {
	p, err := s.newPlan(define)
	if err != nil {
		return nil
	}
	return p.names
}

// checkCredentials collects the names of all credentials.
func (p *plan) checkCredentials() error {
	for _, name := range slices.Sorted(maps.Keys(p.CredentialValues)) {
		setting := "credential " + name
		switch {
		case p.CredentialValues[name] == "":
			return wrongf(setting, "the value is blank; leave the line out, or name the credential in `optional`")
		case name == seedName && p.Obtain != nil:
			return wrongf(setting, "with `obtain` a first refresh token is never used; leave out one of the two")
		case name == seedName && p.Refresh == nil:
			return wrongf(setting, "a first refresh token needs `refresh URL` to be sent to")
		case name == seedName:
			continue
		}
		if err := checkName(name); err != nil {
			return wrong(setting, err)
		}
		p.names = append(p.names, name)
	}
	for _, name := range p.Optional {
		if err := checkName(name); err != nil {
			return wrong("optional", err)
		}
		p.names = append(p.names, name)
	}
	slices.Sort(p.names)
	p.names = slices.Compact(p.names)
	return nil
}

func checkName(name string) error {
	if !variableName.MatchString(name) {
		return fmt.Errorf("%q can't be a variable of a program; use letters, digits and `_`, such as app_key", name)
	}
	if slices.Contains(reserved, name) {
		return fmt.Errorf("$%s is already a variable of programs; give the credential another name, such as my_%s", name, strings.ToLower(name))
	}
	return nil
}

// checkKind checks a source by its kind, of which there are four: one with an endpoint, a static
// one, one with credentials only, and none at all.
func (s *Source) checkKind() error {
	switch {
	case s.Static != "" && s.Obtain != nil:
		return wrongf("static", "a static token needs no `obtain`; leave out one of the two")
	case s.Static != "" && s.Refresh != nil:
		return wrongf("static", "a static token needs no `refresh`; leave out one of the two")
	case s.Refresh != nil && s.Obtain == nil && s.CredentialValues[seedName] == "":
		return wrongf("refresh", "there is no refresh token to begin with; write `obtain URL`, or `credential refresh_token VALUE`")
	case s.Obtain != nil || s.Refresh != nil:
		return nil
	case s.Static == "" && len(s.CredentialValues) == 0:
		return errors.New("there is nothing to send; write `obtain URL`, `static VALUE` or a `credential`")
	case s.Static == "" && s.Dialect != "" && s.Dialect != "none":
		return wrongf("dialect", "%s signs in at a token endpoint, and none is written; write `obtain URL`, or `dialect none` for credentials only", s.Dialect)
	}
	for _, setting := range []struct {
		name    string
		written bool
	}{
		{"success", s.Success != ""},
		{"access_token", s.AccessToken != ""},
		{"refresh_token", s.RefreshToken != ""},
		{"expires_in", s.ExpiresIn != ""},
		{"lifetime", s.Lifetime != 0},
		{"refresh_before", s.RefreshBefore != 0 || s.RefreshFraction != 0},
		{"must_differ", s.MustDiffer != nil},
		{"keep", s.Keep != nil},
		{"retry_refused", s.RetryRefused != 0},
		{"timeout", s.Timeout != 0},
		{"transport", s.TransportRaw != nil},
		{"warm", s.Warm != nil},
	} {
		if setting.written {
			return wrongf(setting.name, "there is no token endpoint to which this applies; write `obtain URL`, or leave it out")
		}
	}
	if s.Static == "" {
		if s.Inject != nil && s.Inject.In != token.InNone {
			return wrongf("inject", "there is no token to inject; write `obtain URL` or `static VALUE`")
		}
		if s.TokenExpired != nil {
			return wrongf("token_expired", "there is no token that could expire; write `obtain URL` or `static VALUE`")
		}
	}
	return nil
}

// Expired configures which answers of an API mean that the token is dead. Either part
// is enough; a part that is not set is not considered.
type Expired struct {
	// Statuses from 300 to 599.
	Status []int `json:"status,omitempty"`
	// A predicate on the answer, with $status, $headers, $params and $request.
	Program string `json:"program,omitempty"`
}

// CheckStatus reports what is wrong with the statuses.
func (e *Expired) CheckStatus() error {
	for _, status := range e.Status {
		if status < 300 || status > 599 {
			return fmt.Errorf("the status %d does not mean that a token has expired; write a program such as `.code == 40001` for what is in the answer", status)
		}
	}
	return nil
}

// Keep is the configuration of what stays with the token besides it, such as the
// base URL that the token endpoint names.
type Keep struct {
	// Yields an object from the token endpoint's answer.
	Program string `json:"program,omitempty"`
	// The hosts that a URL made of the object may name: `api.example.com`, or
	// `*.example.com` for all below it. At least one.
	Hosts []string `json:"hosts,omitempty"`
}

// The bounds of what can be configured, and the defaults.
const (
	callTimeout        = 10 * time.Second
	maxCallTimeout     = time.Minute
	refusedPause       = 5 * time.Minute
	minRetryRefused    = time.Second
	maxRetryRefused    = time.Hour
	maxRefreshFraction = 0.5
)

func (p *plan) checkTimes() error {
	for _, setting := range []struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"lifetime", time.Duration(p.Lifetime), token.MinLifetime, maxLifetime},
		{"retry_refused", time.Duration(p.RetryRefused), minRetryRefused, maxRetryRefused},
		{"timeout", time.Duration(p.Timeout), 100 * time.Millisecond, maxCallTimeout},
	} {
		if setting.value != 0 && (setting.value < setting.min || setting.value > setting.max) {
			return wrongf(setting.name, "%s is out of %s to %s", setting.value, setting.min, setting.max)
		}
	}
	switch p.ExpiresInUnit {
	case "", unitSeconds, unitMilliseconds, unitAt:
	default:
		return wrongf("expires_in", "%q is not a valid unit; write s, ms or at", p.ExpiresInUnit)
	}
	if p.ExpiresInUnit != "" && p.ExpiresIn == "" {
		return wrongf("expires_in", "there is a unit, but no program")
	}
	return nil
}

// checkWindow checks the window as it is written; a dialect's yields to a
// short lifetime instead.
func (s *Source) checkWindow() error {
	const setting = "refresh_before"
	window, lifetime := time.Duration(s.RefreshBefore), time.Duration(s.Lifetime)
	switch {
	case window != 0 && s.RefreshFraction != 0:
		return wrongf(setting, "a duration and a fraction are two windows; write one of them")
	case window < 0:
		return wrongf(setting, "durations must not be negative: %s; the window lies before the token's end, so write it without a sign", window)
	case s.RefreshFraction != 0 && !(s.RefreshFraction > 0 && s.RefreshFraction <= maxRefreshFraction): // NaN, too
		return wrongf(setting, "%g is out of 0 to 0.5; the window is at most half of the lifetime", s.RefreshFraction)
	case lifetime > 0 && window > lifetime/2:
		return wrongf(setting, "the window of %s is more than half of the lifetime of %s; write at most %s", window, lifetime, lifetime/2)
	default:
		return nil
	}
}

// hostPattern is a host name of at least two labels, perhaps with "*." before it,
// or an address.
var hostPattern = regexp.MustCompile(`^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+$`)

func (p *plan) checkKeep() error {
	if p.Keep == nil {
		return nil
	}
	if p.Keep.Program == "" {
		return wrongf("keep", "the program is missing; it yields an object, such as `{url: .instance_url}`")
	}
	if len(p.Keep.Hosts) == 0 {
		return wrongf("keep", "the hosts are missing; write `keep <jq> hosts *.example.com`, or the endpoint could send tokens anywhere")
	}
	for _, host := range p.Keep.Hosts {
		if !hostPattern.MatchString(host) {
			return wrongf("keep", "%q is not a valid host; write it like api.example.com or *.example.com, in lower case and without scheme, port and path", host)
		}
	}
	return nil
}

// checkAnswers checks what is asked of an API's answers, and the transport.
func (p *plan) checkAnswers() error {
	p.expired = Expired{Status: []int{401}}
	if p.TokenExpired != nil {
		p.expired = *p.TokenExpired
		if len(p.expired.Status) == 0 && p.expired.Program == "" {
			return wrongf("token_expired", "neither a status nor a program is written; leave it out for 401")
		}
	}
	if err := p.expired.CheckStatus(); err != nil {
		return wrong("token_expired", err)
	}
	for i, status := range p.expired.Status {
		if slices.Contains(p.expired.Status[:i], status) {
			return wrongf("token_expired", "the status %d is written twice", status)
		}
	}
	if p.TransportRaw != nil {
		var transport struct {
			Protocol string `json:"protocol"`
		}
		if err := json.Unmarshal(p.TransportRaw, &transport); err != nil || !strings.EqualFold(transport.Protocol, "http") {
			return wrongf("transport", "the token endpoint is called by the transport `http` only")
		}
	}
	return nil
}
