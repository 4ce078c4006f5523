package source

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/switchboard-ivr/switchboard/module/token"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// plan is a source merged with its dialect, checked and compiled. It holds no
// resolved secret, so that it can be made while a Caddyfile is parsed.
type plan struct {
	*Source // merged

	injection    token.Injection
	expired      Expired
	stamp        stamp
	names        []string // the credentials that programs see, sorted
	hasEndpoint  bool
	obtainCall   *requestPrograms
	refreshCall  *requestPrograms
	success      *jq.Program
	accessToken  *jq.Program
	refreshToken *jq.Program
	expiresIn    *jq.Program
	keep         *jq.Program
	isExpired    *jq.Program
}

// settingError tells which setting is wrong: "obtain", "obtain json".
type settingError struct {
	setting string
	err     error
}

func (e *settingError) Error() string { return e.setting + ": " + e.err.Error() }
func (e *settingError) Unwrap() error { return e.err }

// parent is the setting whose block holds this one.
func (e *settingError) parent() string {
	block, _, _ := strings.Cut(e.setting, " ")
	return block
}

func wrong(setting string, err error) error {
	if err == nil {
		return nil
	}
	return &settingError{setting, err}
}

func wrongf(setting, format string, args ...any) error {
	return &settingError{setting, fmt.Errorf(format, args...)}
}

// reserved are the variables of programs, which no credential may hide. The
// value says what each holds.
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
	p := &plan{Source: s.over(base)}
	if err := checkDefinitions(p.Define, define); err != nil {
		return nil, err
	}
	p.hasEndpoint = s.Obtain != nil || s.Refresh != nil
	p.Define = program.Join(define, p.Define)
	for _, check := range []func() error{
		p.checkCredentials,
		func() error { return s.checkKind() },
		p.checkTimes,
		func() error { return s.checkWindow() },
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

// checkCredentials collects the names of all credentials.
func (p *plan) checkCredentials() error {
	for _, name := range slices.Sorted(maps.Keys(p.CredentialValues)) {
		setting := "credential " + name
		if p.CredentialValues[name] == "" {
			return wrongf(setting, "the value is blank; leave the line out, or name the credential in `optional`")
		}
		if name == seedName && p.Obtain == nil {
			if p.Refresh == nil {
				return wrongf(setting, "a first refresh token needs `refresh URL` to be sent to")
			}
			continue
		}
		if name == seedName {
			return wrongf(setting, "with `obtain` a first refresh token is never used; leave out one of the two")
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

// checkKind tells the four kinds of source apart: one with an endpoint, a static
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
