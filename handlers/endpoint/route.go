// Package endpoint is what all answering handlers have in common: who may call,
// what the phone system sent, how long it may take, and how the answer is
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

// Settings are the subdirectives that every answering handler knows.
type Settings struct {
	// Who may call.
	Auth *Auth `json:"auth,omitempty"`

	// The phone system that calls, such as `asterisk`: it sets what its limits and
	// habits ask for. What is written beside it wins.
	For string `json:"for,omitempty"`

	// json (default), flat, form or text.
	Format string `json:"format,omitempty"`

	// What a call without an answer gives: `default` or `error` (an HTTP error
	// status).
	OnFailure string `json:"on_failure,omitempty"`

	// Time for everything. For a stream it ends with the first byte.
	Budget caddy.Duration `json:"budget,omitempty"`

	// Keeps answers. Default: none is kept.
	Cache *Cache `json:"cache,omitempty"`

	// jq: params → the id of the phone call, for logs. Default: the first of
	// CallSid, ContactId, uniqueid, call_id, X-Request-Id and traceparent.
	CallID string `json:"call_id,omitempty"`

	// Name of the answer's field that holds the outcome, or `off`.
	StatusField string `json:"status_field,omitempty"`
}

// Defaults are what a handler takes where nothing is written.
type Defaults struct {
	Subject     string // who answers, for messages: "the API"
	Budget      time.Duration
	StatusField string // or "off"
	// HasDefault tells that there is something to give instead of an answer.
	HasDefault bool
	// Error tells that a failure is an error, though there is a default.
	Error bool
	// MaxBody is the largest body of a request, in bytes. Default: 1 MiB.
	MaxBody int64
}

// Route is the settings of one handler at work. It is immutable.
type Route struct {
	Name        string
	Subject     string // who answers, for messages: "the API"
	Gate        *Gate
	Style       answer.Style // how answers are written
	StatusField string       // "" for none
	Voice       bool         // a caller is on the line, as `for` says
	OnError     bool         // a failure is an error, not the default
	CallID      *jq.Program
	MaxBody     int64 // of a request, in bytes; 0 for 1 MiB
	Metrics     *switchboard.APIMetrics
	State       *switchboard.APIState
	Logger      *zap.Logger

	// Contract, when set, is kept by every answer.
	Contract *answer.Contract
	// Instead gives what stands in for an answer that failed. A route without it
	// gives the contract's defaults.
	Defaults func() any
	// Checks say, for outcomes, where to look, in place of what is said of an API.
	Checks map[call.Outcome]string

	app     *switchboard.App
	errors  answer.Style // how errors are written
	budgets *Budgets
	cache   *responseCache // nil: answers aren't kept
}

// Budget is the time for everything of a call.
func (r *Route) Budget() time.Duration { return r.budgets.Each }

// New checks the settings and makes a route of them. It opens nothing.
func (s *Settings) New(ctx caddy.Context, app *switchboard.App, name string, d Defaults) (*Route, error) {
	r := &Route{Name: name, Subject: d.Subject, MaxBody: d.MaxBody, Logger: ctx.Logger(), Metrics: app.Metrics().API(name), State: app.APIState(name), app: app}
	switch {
	case s.Budget < 0:
		return nil, errors.New("budget must be more than 0, for example `budget 2s`")
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

// warn tells of what is written beside a phone system and goes against it.
func (s *Settings) warn(r *Route, system *answer.System, d Defaults) {
	if system.Wait > 0 && r.budgets.Each >= system.Wait {
		r.Logger.Warn("the phone system will have given up before the budget ends; write a shorter budget, or none",
			zap.String("api", r.Name), zap.String("for", s.For), zap.Duration("waits", system.Wait), zap.Duration("budget", r.budgets.Each))
	}
	if s.For != "" && s.OnFailure == "" && !system.OnError && !d.HasDefault {
		r.Logger.Warn("the flow of this phone system can't tell an error from an answer, and there is no default to give instead; write `default `{…}``",
			zap.String("api", r.Name), zap.String("for", s.For))
	}
}

// statusField is the name that is written, or the handler's own; "" for none.
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

// system is the phone system that is written, or one without limits and habits.
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

// style is that of the phone system, in the format that is written, if one is.
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
