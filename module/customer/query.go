package customer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/phone"
)

// Param names what a customer can be found by, as the protocol spells it.
type Param string

// The parameters of a lookup.
const (
	ByID      Param = "id"
	ByTel     Param = "tel"
	ByEmail   Param = "email"
	ByAccount Param = "thirdAccountId"
)

// Params are all parameters of a lookup.
var Params = []Param{ByID, ByTel, ByEmail, ByAccount}

// Condition is one thing that a customer must match.
type Condition struct {
	Param Param
	// Raw is the value as it came, without blanks around it.
	Raw string
	// Key is what it is compared by: E.164 for a telephone number, lower case
	// for an email, the value itself for ids. "" matches nobody: a withheld
	// number, an extension, something that is no email.
	Key string
}

// Query is the conditions of one lookup, of which all must hold. Without any,
// the answer is nobody.
type Query []Condition

// ErrParam is what every error of [NewQuery] is about: a parameter that can't
// be one. Its text names the parameter and holds no value.
var ErrParam = errors.New("bad parameter")

// NewQuery reads a lookup's conditions from params: id, tel, email and
// thirdAccountId, texts or whole numbers. Blank is not given. Telephone numbers
// without a country code are those of the region.
func NewQuery(params map[string]any, region phone.Region) (Query, error) {
	var q Query
	for _, p := range Params {
		raw, err := text(params[string(p)])
		if err != nil {
			return nil, fmt.Errorf("%w: %s %w", ErrParam, p, err)
		}
		if raw == "" {
			continue
		}
		q = append(q, Condition{Param: p, Raw: raw, Key: keyOf(p, raw, region)})
	}
	return q, nil
}

// Nobody reports whether no customer can match: nothing is asked, or something
// that is nobody's.
func (q Query) Nobody() bool {
	return len(q) == 0 || slices.ContainsFunc(q, func(c Condition) bool { return c.Key == "" })
}

func text(v any) (string, error) {
	var s string
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		s = strings.TrimSpace(v)
	case json.Number:
		s = v.String()
		if strings.Trim(s, "-0123456789") != "" {
			return "", errors.New("is not a whole number")
		}
	case int:
		s = fmt.Sprint(v)
	default:
		return "", errors.New("is not one text")
	}
	switch {
	case utf8.RuneCountInString(s) > MaxKey:
		return "", fmt.Errorf("is longer than %d characters", MaxKey)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return "", errors.New("is not UTF-8 text")
	}
	return s, nil
}

func keyOf(p Param, raw string, region phone.Region) string {
	switch p {
	case ByTel:
		return TelKey(raw, region)
	case ByEmail:
		return EmailKey(raw)
	default:
		return raw
	}
}

// TelKey is what telephone numbers are compared by: E.164, or "" for what is no
// valid number.
func TelKey(tel string, region phone.Region) string {
	key, _ := region.E164(tel)
	return key
}

// EmailKey is what emails are compared by: lower case, or "" for what can be no
// address.
func EmailKey(email string) string {
	email = strings.ToLower(strings.TrimSpace(email))
	if at := strings.LastIndexByte(email, '@'); at < 1 || at == len(email)-1 || strings.ContainsAny(email, " \t\r\n") {
		return ""
	}
	return email
}
