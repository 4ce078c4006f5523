package switchboard

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/module/blocks"
)

// maxAnswer is the most that a phone system's limit can be: answers aren't
// longer.
const maxAnswer = 64 << 20

// PhoneSystem describes a phone system that isn't built in. A route takes it
// with `for`, by its name.
type PhoneSystem struct {
	// How answers are written: `json` (default), `flat`, `form` or `text`.
	Format string `json:"format,omitempty"`

	// The most bytes of an answer. A longer one is `too_large`, never cut.
	// Default: no limit.
	Limit int `json:"limit,omitempty"`

	// The most bytes of one string in an answer. Default: no limit.
	FieldLimit int `json:"field_limit,omitempty"`

	// Time for a whole call. Default: 2s.
	Budget caddy.Duration `json:"budget,omitempty"`

	// What a call without an answer gives: `default` (default) or `error`, for a
	// phone system with a branch of its own for HTTP errors.
	OnFailure string `json:"on_failure,omitempty"`

	// What is done to strings and keys: `control` makes blanks of control
	// characters, `expression` replaces quotes and backslashes, `dollar` the
	// dollar sign.
	Filter []string `json:"filter,omitempty"`

	// Write an empty string where JSON has null.
	NoNull bool `json:"no_null,omitempty"`

	// Write JSON that is no object as {"value": …}.
	Object bool `json:"object,omitempty"`
}

// System makes the phone system of the settings.
func (p *PhoneSystem) System(name string) (*answer.System, error) {
	s := answer.System{
		Name: name, Title: name, Limit: p.Limit, FieldLimit: p.FieldLimit, NoNull: p.NoNull, Object: p.Object,
		Filter: p.Filter, Budget: time.Duration(p.Budget), Voice: true, Test: "Described in the configuration.",
	}
	var err error
	if p.Format != "" {
		if s.Format, err = answer.ParseFormat(p.Format); err != nil {
			return nil, err
		}
	}
	if s.OnError, err = answer.ParseOnFailure(p.OnFailure); err != nil {
		return nil, err
	}
	return answer.NewSystem(s)
}

// ParsePhoneSystem reads a phone system:
//
//	phone_system <name> {
//		format      json|flat|form|text
//		limit       <size>
//		field_limit <size>
//		budget      <duration>
//		on_failure  default|error
//		filter      control|expression|dollar…
//		no_null
//		object
//	}
func ParsePhoneSystem(d *caddyfile.Dispenser) (string, *PhoneSystem, error) {
	var name string
	if !d.AllArgs(&name) {
		return "", nil, d.ArgErr()
	}
	p := new(PhoneSystem)
	r := blocks.New(d, "phone_system")
	if err := r.Read(blocks.Lines{
		"format": r.Text(&p.Format), "on_failure": r.Text(&p.OnFailure), "budget": r.Duration(&p.Budget),
		"limit": blocks.Size(r, &p.Limit, maxAnswer), "field_limit": blocks.Size(r, &p.FieldLimit, maxAnswer),
		"no_null": r.Flag(&p.NoNull), "object": r.Flag(&p.Object),
		"filter": func() error {
			if p.Filter = d.RemainingArgs(); len(p.Filter) == 0 {
				return d.Errf("filter names what it does: %s", strings.Join(answer.Filters(), ", "))
			}
			return nil
		},
	}); err != nil {
		return "", nil, err
	}
	if r.Empty() {
		return "", nil, d.Errf("phone_system %s says nothing; write at least one setting, for example `format flat`", name)
	}
	if _, err := p.System(name); err != nil {
		return "", nil, d.WrapErr(err)
	}
	return name, p, nil
}

// provisionPhoneSystems checks the user's own phone systems.
func (a *App) provisionPhoneSystems() error {
	for _, name := range slices.Sorted(maps.Keys(a.PhoneSystems)) {
		p := a.PhoneSystems[name]
		if p == nil {
			return fmt.Errorf("phone_system %s: is null; give it a format, or leave it out", name)
		}
		if _, err := answer.FindSystem(name); err == nil {
			return fmt.Errorf("phone_system %s: this name is built in; choose another, for example my-%s, or write what differs into the route", name, name)
		}
		if _, err := p.System(name); err != nil {
			return fmt.Errorf("phone_system %s: %w", name, err)
		}
	}
	return nil
}

// PhoneSystem returns the phone system of that name, the user's own or a
// built-in one. The error says which there are.
func (a *App) PhoneSystem(name string) (*answer.System, error) {
	if p, ok := a.PhoneSystems[name]; ok && p != nil {
		return p.System(name)
	}
	s, err := answer.FindSystem(name)
	if err != nil && len(a.PhoneSystems) > 0 {
		own := strings.Join(slices.Sorted(maps.Keys(a.PhoneSystems)), ", ")
		return nil, errors.New(err.Error() + "; and of your own: " + own)
	}
	return s, err
}
