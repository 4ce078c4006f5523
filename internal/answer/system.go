package answer

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// System is how one phone system wants its answers. What [NewSystem],
// [FindSystem] and [ParseSystem] return must not be changed.
type System struct {
	// Name is the name in the configuration, Title what people call it.
	Name  string `json:"name"`
	Title string `json:"title"`

	Format     Format   `json:"-"`
	Limit      int      `json:"limit"`       // most bytes of an answer, 0 for none that is known
	FieldLimit int      `json:"field_limit"` // most bytes of one string, 0 for none
	NoNull     bool     `json:"no_null"`     // "" where JSON has null
	Object     bool     `json:"object"`      // JSON that is no object becomes {"value": …}
	Filter     []string `json:"filter"`      // the filters that strings and keys pass

	// Wait is how long the phone system waits for an answer, the shortest that is
	// documented or measured; 0 where none is.
	Wait time.Duration `json:"-"`

	// Budget is the time for a whole call. 0 is the general default.
	Budget time.Duration `json:"-"`

	// OnError reports that a call without an answer is an error, because the phone
	// system has a branch of its own for it.
	OnError bool `json:"-"`

	// Voice reports that a caller is on the line: a lookup that finds nobody gives
	// blank fields, and one that finds several gives none.
	Voice bool `json:"voice"`

	// Tested reports that the real phone system is in our tests. Test says in which
	// ones, or that it isn't.
	Tested bool   `json:"tested"`
	Test   string `json:"test"`

	// Why gives reasons by setting: format, filter, budget, on_failure.
	Why map[string]string `json:"why"`

	// Notes are what else the one who writes a flow has to know.
	Notes []string `json:"notes"`

	// Unknown is what is neither documented nor measured: limit, wait. Where it
	// is named, the field is 0.
	Unknown []string `json:"unknown"`

	// Sources say where the facts come from.
	Sources []Source `json:"sources"`

	filter *filter
}

// Source is where facts about a phone system come from.
type Source struct {
	Of   []string `json:"of"`   // the fields that rest on it
	From string   `json:"from"` // a URL, or "measured" and with what
	Says string   `json:"says"`
	Date string   `json:"date"` // when it was read or measured: 2026-11-27; "before 2026-11-27" where nobody wrote down the day
}

var systemName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// NewSystem checks a phone system and makes it ready for use. Errors say what
// to write instead, in the words of the configuration.
func NewSystem(s System) (*System, error) {
	switch {
	case !systemName.MatchString(s.Name):
		return nil, fmt.Errorf("%q is no name of a phone system: it has small letters, digits, - and _, and begins with a letter", s.Name)
	case s.Limit < 0:
		return nil, errors.New("limit must be more than 0, for example `limit 4095B`")
	case s.FieldLimit < 0:
		return nil, errors.New("field_limit must be more than 0, for example `field_limit 255B`")
	case s.Wait < 0:
		return nil, errors.New("wait must be more than 0")
	case s.Budget < 0:
		return nil, errors.New("budget must be more than 0, for example `budget 1s`")
	case s.Wait > 0 && s.Budget >= s.Wait:
		return nil, fmt.Errorf("a budget of %s is too long: the phone system waits %s", s.Budget, s.Wait)
	case int(s.Format) >= len(formats):
		return nil, errors.New("format must be json, flat, form or text")
	case s.Object && s.Format != JSON:
		return nil, fmt.Errorf("object is for json; an answer in %s has no need of it", s.Format)
	case s.NoNull && s.Format != JSON:
		return nil, fmt.Errorf("no_null is for json; %s has no null", s.Format)
	}
	f, err := newFilter(s.Filter)
	if err != nil {
		return nil, err
	}
	s.filter = f
	return &s, nil
}

// Style is how a route's answers for the phone system are written.
func (s *System) Style() Style {
	return Style{
		Format: s.Format, Limit: s.Limit, FieldLimit: s.FieldLimit, NoNull: s.NoNull, Object: s.Object,
		system: s.Name, filter: s.filter,
	}
}

// Phone systems are data: one file each, with the source and date of its
// limits.
//
//go:embed systems/*.json
var systemFiles embed.FS

var builtIn = sync.OnceValue(func() []*System {
	entries, err := systemFiles.ReadDir("systems") // sorted by name
	if err != nil {
		panic(err) // part of the binary
	}
	all := make([]*System, 0, len(entries))
	for _, entry := range entries {
		text, err := systemFiles.ReadFile(path.Join("systems", entry.Name()))
		if err != nil {
			panic(err) // part of the binary
		}
		s, err := ParseSystem(text)
		if err != nil {
			panic(fmt.Errorf("%s: %w", entry.Name(), err)) // a test parses them all
		}
		all = append(all, s)
	}
	return all
})

// Systems returns the phone systems that are built in, sorted by name.
func Systems() []*System { return slices.Clone(builtIn()) }

// FindSystem returns the built-in phone system of that name. The error names
// them all.
func FindSystem(name string) (*System, error) {
	var names []string
	for _, s := range builtIn() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("phone system %q is unknown; there are %s", name, strings.Join(names, ", "))
}

// systemFile is a data file.
type systemFile struct {
	System
	Format    string `json:"format"`
	Wait      string `json:"wait"`
	Budget    string `json:"budget"`
	OnFailure string `json:"on_failure"`
}

// ParseSystem reads a data file. Fields that it doesn't know are errors.
func ParseSystem(text []byte) (*System, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var f systemFile
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the object")
	}
	s := f.System
	var err error
	if s.Format, err = ParseFormat(f.Format); err != nil {
		return nil, err
	}
	if s.OnError, err = ParseOnFailure(f.OnFailure); err != nil {
		return nil, err
	}
	if s.Wait, err = parseDuration("wait", f.Wait); err != nil {
		return nil, err
	}
	if s.Budget, err = parseDuration("budget", f.Budget); err != nil {
		return nil, err
	}
	return NewSystem(s)
}

// ParseOnFailure reads what a call without an answer gives: `default`, which
// is also the default, or `error`.
func ParseOnFailure(s string) (onError bool, err error) {
	switch s {
	case "", "default":
		return false, nil
	case "error":
		return true, nil
	}
	return false, fmt.Errorf("on_failure %q is unknown; write default or error", s)
}

func parseDuration(name, s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}
