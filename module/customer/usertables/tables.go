package usertables

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/blocks"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/program"
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
	// yields an object of the protocol's fields; other names are custom fields.
	// `id` is required. Default: `.`
	Record string `json:"record,omitempty"`
}

// Written reports whether lookups run over tables of the user's own.
func (t *Tables) Written() bool { return len(t.Find) > 0 }

// Digest stands for the settings in the identity of a store.
func (t *Tables) Digest() string {
	text, _ := json.Marshal(t) // strings always can be
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// Lookup is Tables at work.
type Lookup struct {
	find   map[customer.Param]*statement
	record *jq.Program
}

// Compile checks the settings. It logs a warning for what works, but hardly as
// it is meant. The errors say what to write instead.
func (t *Tables) Compile(kind Kind, logger *zap.Logger) (l *Lookup, err error) {
	if !t.Written() {
		return nil, errors.New("there is no find; write, for example, find tel `SELECT * FROM contacts WHERE phone IN (:variants)`")
	}
	l = &Lookup{find: make(map[customer.Param]*statement, len(t.Find))}
	for param, sql := range t.Find {
		if l.find[param], err = compileFind(kind, param, sql); err != nil {
			return nil, err
		}
	}
	if l.record, err = compileRecord(t.Record, ""); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	l.warn(logger)
	return l, nil
}

func compileRecord(text, define string) (*jq.Program, error) {
	return jq.Compile(cmp.Or(text, "."), jq.Spec{Want: jq.Object, Define: define})
}

// CompileWritten is Compile for a store that can keep customers itself: without a
// find it returns nil.
func (t *Tables) CompileWritten(kind Kind, logger *zap.Logger) (*Lookup, error) {
	switch {
	case t.Written():
		return t.Compile(kind, logger)
	case t.Record != "":
		return nil, errors.New("record makes customers of the rows that find finds; write a find, too")
	default:
		return nil, nil //nolint:nilnil // tables of Switchboard's own
	}
}

func compileFind(kind Kind, param customer.Param, sql string) (*statement, error) {
	if !slices.Contains(customer.Params, param) {
		return nil, fmt.Errorf("find: customers are not found by %q; write id, tel, email or thirdAccountId", param)
	}
	s, err := parse(kind, param, sql)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", param, err)
	}
	return s, nil
}

func (l *Lookup) warn(logger *zap.Logger) {
	var missing []string
	for _, param := range customer.Params {
		s := l.find[param]
		if s == nil {
			missing = append(missing, string(param))
			continue
		}
		if s.searches {
			logger.Warn("find compares :raw as a pattern: callers can search with signs like % and _, where they should name one customer; compare with =",
				zap.String("param", string(param)))
		}
	}
	if len(missing) > 0 {
		logger.Warn("lookups with a parameter that has no find will find nobody", zap.String("params", strings.Join(missing, " ")))
	}
}

// UnmarshalBlock reads the block of a store, for tables of a kind of database:
//
//	find   <param> <sql>
//	record <jq>
func (t *Tables) UnmarshalBlock(d *caddyfile.Dispenser, kind Kind) error {
	return blocks.New(d, "customers").Read(blocks.Lines{
		"find": func() error { return t.unmarshalFind(d, kind) }, "record": func() error { return t.unmarshalRecord(d) },
	}, "find", "record")
}

func (t *Tables) unmarshalFind(d *caddyfile.Dispenser, kind Kind) error {
	var name, sql string
	if !d.AllArgs(&name, &sql) {
		return d.Err("find takes a parameter and one SELECT in backquotes: find tel `SELECT * FROM contacts WHERE phone IN (:variants)`")
	}
	param := customer.Param(name)
	if _, ok := t.Find[param]; ok {
		return d.Errf("find %s is already set; each parameter has one query", param)
	}
	if _, err := compileFind(kind, param, sql); err != nil {
		return d.WrapErr(err)
	}
	if t.Find == nil {
		t.Find = make(map[customer.Param]string)
	}
	t.Find[param] = sql
	return nil
}

func (t *Tables) unmarshalRecord(d *caddyfile.Dispenser) error {
	if t.Record != "" {
		return d.Err("record is already set; one program makes the customers of all queries")
	}
	var raw string
	if !d.AllArgs(&raw) {
		return d.Err("record takes one jq program in backquotes: record `{id: .contact_no, nick: .display_name}`")
	}
	text, err := program.Arg(d, raw)
	if err != nil {
		return err
	}
	define := program.Define(d)
	if _, err := compileRecord(text, define); err != nil {
		return d.Errf("record: %v", err)
	}
	// A store is set up by itself: what the program calls goes with it.
	if _, err := compileRecord(text, ""); err != nil {
		text = program.Join(define, text)
	}
	t.Record = text
	return nil
}
