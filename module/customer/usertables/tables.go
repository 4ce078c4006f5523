// Package usertables finds customers in tables of the user's own, in PostgreSQL,
// MySQL, MariaDB or SQLite. It only reads.
package usertables

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// Tables say how customers are found in tables of your own, and what of a row
// is what of a customer. They are part of the settings of a store.
type Tables struct {
	// The query of each parameter: `id`, `tel`, `email` and `thirdAccountId`. A
	// parameter without one finds nobody.
	//
	// A query is one SELECT with binds. `:raw` is the value as it came. Telephone
	// numbers have `:e164` (+8613800138000), `:national` (13800138000),
	// `:digits` (8613800138000), and `:variants`, a list of all usual spellings
	// for `IN (:variants)`.
	Find map[customer.Param]string `json:"find,omitempty"`

	// A jq program that makes a customer of a row, an object of its columns. It
	// yields an object of the document's fields; other names are custom fields.
	// `id` is required. Default: `.`
	Record string `json:"record,omitempty"`
}

// Written tells whether lookups run over tables of the user's own.
func (t *Tables) Written() bool { return len(t.Find) > 0 }

// Digest stands for the settings in the identity of a store.
func (t *Tables) Digest() string {
	text, _ := json.Marshal(t) // strings always can be
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Lookup is Tables at work.
type Lookup struct {
	kind   Kind
	find   map[customer.Param]*statement
	record *jq.Program
}

// Compile checks the settings. It logs a warning for what works, but hardly as
// it is meant. The errors say what to write instead.
func (t *Tables) Compile(kind Kind, logger *zap.Logger) (*Lookup, error) {
	if !t.Written() {
		return nil, errors.New("there is no find; write, for example, find tel `SELECT * FROM contacts WHERE phone IN (:variants)`")
	}
	l := &Lookup{kind: kind, find: make(map[customer.Param]*statement, len(t.Find))}
	for param, sql := range t.Find {
		if !slices.Contains(customer.Params, param) {
			return nil, unknownParam(param)
		}
		s, err := parse(kind, param, sql)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", param, err)
		}
		l.find[param] = s
	}
	var err error
	if l.record, err = compileRecord(t.Record, ""); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	l.warn(logger)
	return l, nil
}

func compileRecord(text, define string) (*jq.Program, error) {
	if text == "" {
		text = "."
	}
	return jq.Compile(text, jq.Spec{Want: jq.Object, Define: define})
}

func unknownParam(param customer.Param) error {
	return fmt.Errorf("%q is nothing that customers are found by; write id, tel, email or thirdAccountId", param)
}

func (l *Lookup) warn(logger *zap.Logger) {
	var missing []string
	for _, param := range customer.Params {
		s := l.find[param]
		if s == nil {
			missing = append(missing, string(param))
			continue
		}
		if s.searches() {
			logger.Warn("find compares :raw as a pattern: callers can search with signs like % and _, where they should name one customer; compare with =",
				zap.String("param", string(param)))
		}
	}
	if len(missing) > 0 {
		logger.Warn("lookups with a parameter that has no find will find nobody", zap.String("params", strings.Join(missing, " ")))
	}
}

// values are what the binds of a condition's statement stand for.
func values(c customer.Condition, region phone.Region) map[string][]string {
	v := map[string][]string{bindRaw: {c.Raw}}
	if c.Param != customer.ByTel {
		return v
	}
	s, ok := region.Spell(c.Key)
	if !ok {
		return nil
	}
	v[bindE164], v[bindNational], v[bindDigits], v[bindVariants] = []string{s.E164}, []string{s.National}, []string{s.Digits}, s.Variants
	return v
}
