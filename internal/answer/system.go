package answer

import (
	"errors"
	"fmt"
	"regexp"
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
