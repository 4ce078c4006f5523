package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// All is the target of a fault that meets calls of every kind.
const All = "*"

// The faults that don't answer themselves; the others are in effects.
const (
	faultLatency        = "latency"          // delay the call, then go on
	faultClockShift     = "clock-shift"      // the clock is wrong by delay, in the Date header too
	faultEarlyDeath401  = "early-death-401"  // all access tokens die (after delay), told by 401
	faultEarlyDeathCode = "early-death-code" // the same, told by a code inside HTTP 200
)

// Fault is something that goes wrong at the server.
type Fault struct {
	// Target is TokenGet, TokenRefresh, Authorize, OAuth2, API or All.
	Target string `json:"target"`
	// Fault is its name: see effects, and the four constants above.
	Fault string `json:"fault"`
	// Times is how many calls it meets; 0 means all, until it is cleared.
	Times int `json:"times,omitempty"`
	// Path narrows it down to calls whose path begins so.
	Path string `json:"path,omitempty"`
	// Delay is how long `hang` and `half-then-hang` hang (0: until the caller
	// leaves), how late `late` and `latency` are, how far off the clock is (it
	// may be negative), when an early death comes, or the time between two
	// bytes of `slow-drip` (50 ms). In JSON a string such as "30s".
	Delay time.Duration `json:"-"`
	// Status of `status` (default 503) and `redirect` (307).
	Status int `json:"status,omitempty"`
	// Code of `error-code`. Default: "999999".
	Code string `json:"code,omitempty"`
	// Location of `redirect`, required there.
	Location string `json:"location,omitempty"`
	// Size in bytes of `huge` (5 MiB) and, decompressed, of `gzip-bomb`
	// (300 MiB); the depth of `deep-json` (5000).
	Size int `json:"size,omitempty"`
	// Header is what `header` adds to the answer's headers, required there.
	Header map[string]string `json:"header,omitempty"`
	// Extend gives the unchanged token of `same-token` a new lifetime.
	Extend bool `json:"extend,omitempty"`
}

// faultJSON is a Fault as it is written, with its delay as text.
type faultJSON struct {
	*plainFault
	Delay string `json:"delay,omitempty"`
}

type plainFault Fault

// MarshalJSON writes the delay as text.
func (f Fault) MarshalJSON() ([]byte, error) {
	out := faultJSON{plainFault: (*plainFault)(&f)}
	if f.Delay != 0 {
		out.Delay = f.Delay.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON refuses unknown fields: a fault that is misspelt and never
// happens makes a test that can't fail.
func (f *Fault) UnmarshalJSON(b []byte) error {
	in := faultJSON{plainFault: (*plainFault)(f)}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return err
	}
	if in.Delay == "" {
		return nil
	}
	var err error
	f.Delay, err = time.ParseDuration(in.Delay)
	return err
}

func (f Fault) validate() error {
	known := []string{faultLatency, faultClockShift, faultEarlyDeath401, faultEarlyDeathCode}
	targets := []string{TokenGet, TokenRefresh, Authorize, OAuth2, API, All}
	switch {
	case !slices.Contains(targets, f.Target):
		return fmt.Errorf("unknown target %q: one of %s", f.Target, strings.Join(targets, ", "))
	case effects[f.Fault] == nil && !slices.Contains(known, f.Fault):
		names := slices.Concat(slices.Collect(maps.Keys(effects)), known)
		slices.Sort(names)
		return fmt.Errorf("unknown fault %q: one of %s", f.Fault, strings.Join(names, ", "))
	case f.Target == API && slices.Contains([]string{"same-token", "as-form", "as-text", "as-header", "number-refresh"}, f.Fault):
		return fmt.Errorf("%s needs a token endpoint as its target", f.Fault)
	case f.Fault == "redirect" && f.Location == "":
		return errors.New("redirect needs a location")
	case f.Fault == "header" && len(f.Header) == 0:
		return errors.New("header needs a header")
	case f.Fault == "status" && f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("status %d is not an error: 400 to 599", f.Status)
	case f.Fault == "redirect" && f.Status != 0 && (f.Status < 300 || f.Status > 399):
		return fmt.Errorf("status %d is no redirect: 300 to 399", f.Status)
	case f.Delay == 0 && slices.Contains([]string{faultLatency, faultClockShift, "late"}, f.Fault):
		return fmt.Errorf("%s needs a delay", f.Fault)
	case f.Delay < 0 && f.Fault != faultClockShift:
		return errors.New("only a clock can be off by less than nothing")
	case f.Times < 0 || f.Size < 0:
		return errors.New("times and size must not be negative")
	}
	return nil
}

// Inject lets faults happen from now on, in this order for each target. The
// early deaths happen at once; the others wait for calls. Nothing is injected
// when one of them is invalid.
func (s *Server) Inject(faults ...Fault) error {
	for _, f := range faults {
		if err := f.validate(); err != nil {
			return fmt.Errorf("injecting a fault: %w", err)
		}
	}
	for _, f := range faults {
		switch f.Fault {
		case faultEarlyDeath401, faultEarlyDeathCode:
			s.tokens.kill(time.Now().Add(f.Delay), endRevoked, f.Fault == faultEarlyDeathCode)
		default:
			s.faults.add(f)
		}
	}
	return nil
}

// ClearFaults ends all faults. Calls that hang already go on hanging.
func (s *Server) ClearFaults() { s.faults.clear() }

// Faults are those that still wait for calls.
func (s *Server) Faults() []Fault { return s.faults.list() }

// faultList holds the faults to come.
type faultList struct {
	mu     sync.Mutex
	faults []Fault
}

func (l *faultList) add(f Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, f)
}

func (l *faultList) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = nil
}

func (l *faultList) list() []Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.faults)
}

// take returns what happens to a call: all latencies and clock shifts, and the
// first of the other faults. It counts them down.
func (l *faultList) take(kind, path string) (modifiers []Fault, fault *Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) == 0 {
		return nil, nil
	}
	var left []Fault
	for _, f := range l.faults {
		modifies := f.Fault == faultLatency || f.Fault == faultClockShift
		meets := (f.Target == kind || f.Target == All) && strings.HasPrefix(path, f.Path) && (modifies || fault == nil)
		if !meets {
			left = append(left, f)
			continue
		}
		if modifies {
			modifiers = append(modifiers, f)
		} else {
			fault = new(f)
		}
		if f.Times != 1 {
			f.Times = max(0, f.Times-1)
			left = append(left, f)
		}
	}
	l.faults = left
	return modifiers, fault
}

// takeFaults lets the modifiers do their work and returns the fault that
// decides over the answer, nil for none.
func (c *call) takeFaults() *Fault {
	modifiers, fault := c.s.faults.take(c.entry.Kind, c.r.URL.Path)
	for _, f := range modifiers {
		switch f.Fault {
		case faultClockShift:
			c.shift += f.Delay
		case faultLatency:
			if !c.wait(f.Delay) {
				c.note("fault", 0)
				c.gone()
			}
		}
	}
	return fault
}
