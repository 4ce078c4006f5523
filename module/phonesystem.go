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

// maxAnswer is the highest limit of a phone system: no answer is larger.
const maxAnswer = 64 << 20

// PhoneSystem describes a custom phone system. Routes select it by name, with
// `for`.
type PhoneSystem struct {
	// Format of answers: `json` (default), `flat`, `form` or `text`.
	Format string `json:"format,omitempty"`

	// Maximum size of an answer in bytes. A larger answer becomes `too_large`; it
	// is never truncated. Default: no limit.
	Limit int `json:"limit,omitempty"`

	// Maximum size of one string in an answer, in bytes. Default: no limit.
	FieldLimit int `json:"field_limit,omitempty"`

	// Time limit of a whole call. Default: 2s.
	Budget caddy.Duration `json:"budget,omitempty"`

	// The response of a call without an answer: `default` (default) or `error`,
	// for a phone system that branches on HTTP errors.
	OnFailure string `json:"on_failure,omitempty"`

	// Filters for strings and keys: `control` replaces control characters with
	// blanks, `expression` replaces quotes and backslashes, `dollar` replaces the
	// dollar sign.
	Filter []string `json:"filter,omitempty"`

	// Write an empty string in place of null.
	NoNull bool `json:"no_null,omitempty"`

	// Wrap JSON that is not an object in {"value": …}.
	Object bool `json:"object,omitempty"`
}

// System returns the phone system with these settings.
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
				return d.Errf("filter takes one or more of: %s", strings.Join(answer.Filters(), ", "))
			}
			return nil
		},
	}); err != nil {
		return "", nil, err
	}
	if r.Empty() {
		return "", nil, d.Errf("phone_system %s is empty; write at least one setting, e.g. `format flat`", name)
	}
	if _, err := p.System(name); err != nil {
		return "", nil, d.WrapErr(err)
	}
	return name, p, nil
}

// provisionPhoneSystems validates the custom phone systems.
func (a *App) provisionPhoneSystems() error {
	for _, name := range slices.Sorted(maps.Keys(a.PhoneSystems)) {
		p := a.PhoneSystems[name]
		if p == nil {
			return fmt.Errorf("phone_system %s is null; give it a format, or remove it", name)
		}
		if _, err := answer.FindSystem(name); err == nil {
			return fmt.Errorf("phone_system %s is built in; choose another name, e.g. my-%s, or override its settings in the route", name, name)
		}
		if _, err := p.System(name); err != nil {
			return fmt.Errorf("phone_system %s: %w", name, err)
		}
	}
	return nil
}

// PhoneSystem returns the custom or built-in phone system with that name. The
// error lists the existing names.
func (a *App) PhoneSystem(name string) (*answer.System, error) {
	if p, ok := a.PhoneSystems[name]; ok && p != nil {
		return p.System(name)
	}
	s, err := answer.FindSystem(name)
	if err != nil && len(a.PhoneSystems) > 0 {
		own := strings.Join(slices.Sorted(maps.Keys(a.PhoneSystems)), ", ")
		return nil, errors.New(err.Error() + "; custom ones: " + own)
	}
	return s, err
}
