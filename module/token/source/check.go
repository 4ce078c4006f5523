package source

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// Expired is the configuration of which answer of an API tells that the token is
// dead. Either part is enough; a part that is not written says nothing.
type Expired struct {
	// Statuses from 300 to 599.
	Status []int `json:"status,omitempty"`
	// A predicate on the answer, with $status, $headers, $params and $request.
	Program string `json:"program,omitempty"`
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
	callTimeout          = 10 * time.Second
	maxCallTimeout       = time.Minute
	refusedPause         = 5 * time.Minute
	minRetryRefused      = time.Second
	maxRetryRefused      = time.Hour
	defaultRefreshBefore = 10 * time.Minute
	maxRefreshFraction   = 0.5
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
		return wrongf("expires_in", "%q is no unit; write s, ms or at", p.ExpiresInUnit)
	}
	if p.ExpiresInUnit != "" && p.ExpiresIn == "" {
		return wrongf("expires_in", "there is a unit, but no program")
	}
	return nil
}

// checkWindow checks the window as it is written; a dialect's gives way to a
// short lifetime instead.
func (s *Source) checkWindow() error {
	const setting = "refresh_before"
	window, lifetime := time.Duration(s.RefreshBefore), time.Duration(s.Lifetime)
	switch {
	case window != 0 && s.RefreshFraction != 0:
		return wrongf(setting, "a duration and a fraction are two windows; write one of them")
	case window < 0:
		return wrongf(setting, "%s is below 0; the window lies before the token's end, so write it without a sign", window)
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
			return wrongf("keep", "%q is no host; write it like api.example.com or *.example.com, in lower case and without scheme, port and path", host)
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
	for i, status := range p.expired.Status {
		if status < 300 || status > 599 {
			return wrongf("token_expired", "the status %d does not tell that a token is dead; write a program such as `.code == 40001` for what is in the answer", status)
		}
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
