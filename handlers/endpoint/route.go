// Package endpoint is what all answering handlers have in common: authorization,
// the phone system's request, the budget, the cache, and how the answer is
// written.
package endpoint

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	switchboard "github.com/switchboard-ivr/switchboard/module"
)

// Settings are the subdirectives that every answering handler has.
type Settings struct {
	// Who may call.
	Auth *Auth `json:"auth,omitempty"`

	// The phone system that calls, e.g. `asterisk`. It sets defaults that fit the
	// phone system's limits and conventions; other lines override them.
	For string `json:"for,omitempty"`

	// json (default), flat, form or text.
	Format string `json:"format,omitempty"`

	// The response of a call without an answer: `default` or `error` (an HTTP
	// error status).
	OnFailure string `json:"on_failure,omitempty"`

	// Time limit of the whole call. For a stream, only until the first byte.
	Budget caddy.Duration `json:"budget,omitempty"`

	// Caches answers. Default: no cache.
	Cache *Cache `json:"cache,omitempty"`

	// jq: params → the id of the phone call, for logs. Default: the first of
	// CallSid, ContactId, uniqueid, call_id, X-Request-Id and traceparent.
	CallID string `json:"call_id,omitempty"`

	// Name of the answer's field that holds the outcome, or `off`.
	StatusField string `json:"status_field,omitempty"`
}

// Defaults are a handler's values for what isn't configured.
type Defaults struct {
	Subject     string // what answers, for messages: "the API"
	Budget      time.Duration
	StatusField string // or "off"
	// HasDefault reports that the handler has a default answer.
	HasDefault bool
	// Error makes a failure an error, even with a default answer.
	Error bool
	// MaxBody is the largest body of a request, in bytes. Default: 1 MiB.
	MaxBody int64
}

// Route is a handler's provisioned Settings. It is immutable.
type Route struct {
	Name        string
	Subject     string // what answers, for messages: "the API"
	Gate        *Gate
	Style       answer.Style // how answers are written
	StatusField string       // "" for none
	Voice       bool         // a caller is on the line, according to `for`
	OnError     bool         // respond to a failure with an error, not the default
	CallID      *jq.Program
	MaxBody     int64 // of a request, in bytes; 0 for 1 MiB
	Metrics     *switchboard.APIMetrics
	State       *switchboard.APIState
	Logger      *zap.Logger

	// Contract, if set, applies to every answer.
	Contract *answer.Contract
	// Defaults returns the answer of a call that failed. If it is nil, the
	// contract's defaults are the answer.
	Defaults func() any
	// Checks replaces, for some outcomes, the advice of [Check].
	Checks map[call.Outcome]string

	app     *switchboard.App
	errors  answer.Style // how errors are written
	budgets *Budgets
	cache   *responseCache // nil without a cache
	once    *writes        // nil unless writes happen once
}

// Budget returns the time limit of a call.
func (r *Route) Budget() time.Duration { return r.budgets.Each }

// New validates the settings and makes a route of them. It opens nothing.
func (s *Settings) New(ctx caddy.Context, app *switchboard.App, name string, d Defaults) (*Route, error) {
	r := &Route{Name: name, Subject: d.Subject, MaxBody: d.MaxBody, Logger: ctx.Logger(), Metrics: app.Metrics().API(name), State: app.APIState(name), app: app}
	switch {
	case s.Budget < 0:
		return nil, errors.New("budget must be more than 0, e.g. `budget 2s`")
	case s.OnFailure != "" && s.OnFailure != "default" && s.OnFailure != "error":
		return nil, fmt.Errorf("on_failure %q is unknown; write default or error", s.OnFailure)
	case s.OnFailure == "default" && !d.HasDefault:
		return nil, errors.New("on_failure default needs a default; write `default `{…}``")
	}
	system, err := s.system(app)
	if err != nil {
		return nil, err
	}
	if r.Style, err = s.style(system); err != nil {
		return nil, err
	}
	r.errors, r.Voice = r.Style.Errors(), system.Voice
	if r.Gate, err = s.Auth.Gate(app); err != nil {
		return nil, err
	}
	app.MaskNames(r.Gate.CredentialName())
	if s.CallID != "" {
		if r.CallID, err = s.callID(app.Define); err != nil {
			return nil, err
		}
	}
	r.budgets = &Budgets{Each: cmp.Or(time.Duration(s.Budget), system.Budget, d.Budget)}
	r.StatusField = s.statusField(d.StatusField)
	switch {
	case s.OnFailure != "":
		r.OnError = s.OnFailure == "error"
	case s.For != "":
		r.OnError = system.OnError || !d.HasDefault
	default:
		r.OnError = d.Error || !d.HasDefault
	}
	s.Auth.Warn(r.Logger, name)
	s.warn(r, system, d)
	return r, nil
}

// warn warns of settings that conflict with the phone system.
func (s *Settings) warn(r *Route, system *answer.System, d Defaults) {
	if system.Wait > 0 && r.budgets.Each >= system.Wait {
		r.Logger.Warn("the phone system gives up before the budget ends; write a shorter budget, or none",
			zap.String("api", r.Name), zap.String("for", s.For), zap.Duration("waits", system.Wait), zap.Duration("budget", r.budgets.Each))
	}
	if s.For != "" && s.OnFailure == "" && !system.OnError && !d.HasDefault {
		r.Logger.Warn("the flow of this phone system can't tell an error from an answer, and there is no default to use instead; write `default `{…}``",
			zap.String("api", r.Name), zap.String("for", s.For))
	}
}

// statusField returns the configured name, or else the handler's own; "" for
// none.
func (s *Settings) statusField(own string) string {
	if name := cmp.Or(s.StatusField, own); name != "off" {
		return name
	}
	return ""
}

func (s *Settings) callID(define string) (*jq.Program, error) {
	program, err := jq.Compile(s.CallID, jq.Spec{Vars: []string{"request"}, Want: jq.Any, Define: define})
	if err != nil {
		return nil, fmt.Errorf("call_id: %w", err)
	}
	return program, nil
}

// system returns the configured phone system, or one without limits.
func (s *Settings) system(app *switchboard.App) (*answer.System, error) {
	if s.For == "" {
		return new(answer.System), nil
	}
	system, err := app.PhoneSystem(s.For)
	if err != nil {
		return nil, fmt.Errorf("for: %w", err)
	}
	return system, nil
}

// style returns the phone system's style, in the configured format, if there is
// one.
func (s *Settings) style(system *answer.System) (answer.Style, error) {
	style := system.Style()
	if s.Format == "" {
		return style, nil
	}
	format, err := answer.ParseFormat(s.Format)
	if err != nil {
		return style, err
	}
	return style.In(format), nil
}
