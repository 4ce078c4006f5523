// Package usertables finds customers in tables of the user's own, in PostgreSQL,
// MySQL, MariaDB or SQLite. It only reads.
package usertables

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// The binds that a statement can have, without their colon.
const (
	bindRaw      = "raw"      // the value as it came
	bindE164     = "e164"     // +8613800138000
	bindNational = "national" // 13800138000
	bindDigits   = "digits"   // 8613800138000
	bindVariants = "variants" // a list of all usual spellings
)

var binds = []string{bindRaw, bindE164, bindNational, bindDigits, bindVariants}

// statement is a `find`: one SELECT with binds.
type statement struct {
	kind   Kind
	pieces []piece
	tail   string // behind the last bind
	// searches reports whether a caller's value may be compared as a pattern.
	searches bool
}

// piece is text and the bind that follows it.
type piece struct{ text, bind string }

// writes are words of statements that do more than read. Those that are missing
// here are refused by the connection.
var writes = []string{"insert", "update", "delete", "merge", "into"}

// patterns are operators for which % and the like mean more than themselves.
var patterns = []string{"like", "ilike", "similar", "regexp", "rlike", "glob", "match"}

// parse reads the statement of a parameter's `find`.
func parse(kind Kind, param customer.Param, sql string) (*statement, error) {
	if strings.IndexByte(sql, 0) >= 0 {
		return nil, errors.New("the statement holds a NUL byte")
	}
	s := &statement{kind: kind}
	l := &lexer{kind: kind, sql: sql}
	first, ended, pattern, from, end := true, false, false, 0, len(sql)
	for {
		t, ok, err := l.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		text := sql[t.start:t.end]
		if t.class != comment && t.class != semicolon && ended {
			return nil, errors.New("there is a second statement behind the semicolon; write one SELECT")
		}
		if first && t.class != comment {
			first = false
			if t.class != word || !oneOf(text, "select", "with") {
				return nil, errors.New("it is no query; write one SELECT, or WITH … SELECT")
			}
		}
		switch t.class {
		case semicolon:
			if !ended {
				ended, end = true, t.start
			}
		case word:
			if oneOf(text, writes...) {
				return nil, fmt.Errorf("%s is for statements that write; write one SELECT (and put a column of that name into quotes)", strings.ToUpper(text))
			}
			pattern = pattern || oneOf(text, patterns...)
		case placeholder:
			return nil, fmt.Errorf("%s is no bind; write %s", text, known(param))
		case bind:
			if err := checkBind(param, text[1:]); err != nil {
				return nil, err
			}
			s.pieces = append(s.pieces, piece{sql[from:t.start], text[1:]})
			from = t.end
			s.searches = pattern
		case other, comment:
		}
	}
	if first {
		return nil, errors.New("the statement is empty; write one SELECT")
	}
	if len(s.pieces) == 0 {
		return nil, fmt.Errorf("without a bind it would find the same customers for every caller; write %s where the value belongs", known(param))
	}
	s.tail = sql[from:end]
	s.searches = s.searches && s.uses(bindRaw)
	return s, nil
}

func checkBind(param customer.Param, name string) error {
	if !slices.Contains(binds, name) {
		return fmt.Errorf(":%s is no bind; known are %s (of a column, write the colon with a blank behind it)", name, known(param))
	}
	if param != customer.ByTel && name != bindRaw {
		return fmt.Errorf(":%s is for telephone numbers; %s has :raw", name, param)
	}
	return nil
}

// known are the binds of a parameter, for messages.
func known(param customer.Param) string {
	if param != customer.ByTel {
		return ":raw"
	}
	return ":raw, :e164, :national, :digits and :variants"
}

func oneOf(text string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(text, w) })
}

// uses reports whether the statement has the bind.
func (s *statement) uses(name string) bool {
	return slices.ContainsFunc(s.pieces, func(p piece) bool { return p.bind == name })
}

// render gives the statement as the database wants it, and the values of its
// placeholders in their order. Each place has one of its own: PostgreSQL would
// refuse one that stands for two types.
func (s *statement) render(values map[string][]string) (sql string, args []any) {
	var b strings.Builder
	for _, p := range s.pieces {
		b.WriteString(p.text)
		if n := len(p.text); n > 0 && (startsName(p.text[n-1]) || isDigit(p.text[n-1]) || p.text[n-1] == '$') {
			b.WriteByte(' ') // else $1 would be part of the name
		}
		for i, v := range values[p.bind] {
			if i > 0 {
				b.WriteString(", ")
			}
			args = append(args, v)
			if s.kind == Postgres {
				b.WriteString("$" + strconv.Itoa(len(args)))
			} else {
				b.WriteByte('?')
			}
		}
	}
	b.WriteString(s.tail)
	return b.String(), args
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
