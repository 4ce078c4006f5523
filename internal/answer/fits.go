package answer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// longestOutcome is one of the longest words of package call.
const longestOutcome = "breaker_open"

// Fits tells whether the defaults of a contract can be written at all, with the
// longest outcome in statusField ("" for none): they are what remains when
// everything else has failed. The error is for the one who wrote the contract.
func (s *Style) Fits(contract *Contract, statusField string) error {
	if s.Format == Text && len(contract.keys) != 1 {
		return errors.New("text is one value, so the contract has exactly one key, e.g. `default `{name: \"\"}``")
	}
	doc := s.withOutcome(contract.Default(), statusField)
	if key, ok := s.firstChanged(doc); ok {
		return fmt.Errorf("the key %q has a character that %s replaces with another; give it a name of letters and digits", key, s.whose())
	}
	_, err := s.Append(nil, doc)
	if !errors.Is(err, jsonval.ErrTooLarge) {
		return err
	}
	free := *s
	free.Limit = 0
	if out, err := free.Append(nil, doc); err == nil {
		return fmt.Errorf("the defaults take %d bytes, and %s takes %d; shorten names and defaults, or leave some out", len(out), s.whose(), s.Limit)
	}
	if s.FieldLimit > 0 {
		return fmt.Errorf("a default is longer than the %d bytes that %s takes of one value", s.FieldLimit, s.whose())
	}
	return err
}

// Warn says when the names of a contract leave less than half of the limit for
// values, and "" when all is well.
func (s *Style) Warn(contract *Contract, statusField string) string {
	if s.Limit == 0 {
		return ""
	}
	out, err := s.Append(nil, s.withOutcome(blank(contract.Default()).(map[string]any), statusField))
	if err != nil || 2*len(out) <= s.Limit {
		return ""
	}
	return fmt.Sprintf("the names of the contract take %d of the %d bytes that %s takes; an answer with long values will be too_large", len(out), s.Limit, s.whose())
}

func (s *Style) whose() string {
	if s.system == "" {
		return "the phone system"
	}
	return s.system
}

func (s *Style) withOutcome(doc map[string]any, statusField string) map[string]any {
	if statusField != "" && s.Format != Text { // text is one value
		doc[statusField] = longestOutcome
	}
	return doc
}

// firstChanged returns a key of doc that the filter would change. A flow would
// look for it in vain.
func (s *Style) firstChanged(v any) (string, bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if s.filter.apply(key) != key {
				return strings.ToValidUTF8(key, "\uFFFD"), true
			}
			if key, ok := s.firstChanged(value); ok {
				return key, true
			}
		}
	case []any:
		for _, value := range v {
			if key, ok := s.firstChanged(value); ok {
				return key, true
			}
		}
	}
	return "", false
}

// blank returns v with the same names, and values that take next to nothing.
func blank(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = blank(value)
		}
		return v
	case []any:
		return []any{}
	}
	return ""
}
