// Package jq runs the programs of a configuration over JSON values. It is the
// only importer of gojq.
//
// A program is written by an operator, its input by anybody. So a run is
// bounded in time, memory, stack and results, whatever the input is: see guard.go
// for what is bounded and how.
package jq

import (
	"context"
	"encoding/json"
	"math/big"
	"sync"
	"time"

	"github.com/itchyny/gojq"
)

// Deadline is the longest that one run of a program takes. The context of the
// caller can end it earlier.
const Deadline = 250 * time.Millisecond

// Kind is what a program yields.
type Kind uint8

// The kinds. Any and Predicate accept everything, null included; null is none
// of the others.
const (
	Any Kind = iota
	Object
	Array
	String
	Number
	Predicate
)

// String is the kind with its article, for messages.
func (k Kind) String() string {
	return [...]string{"anything", "an object", "an array", "a string", "a number", "a predicate"}[k]
}

// Spec says what a program has to work with and what it must yield.
type Spec struct {
	// Vars are the variables without $, in the order that Run takes their
	// values.
	Vars []string
	// Want is what the program must yield. Compile refuses a program that
	// certainly yields something else, Run a result that is something else.
	Want Kind
	// Define holds function definitions that are put before the program. Those
	// that the program does not call may mention variables that it lacks.
	Define string
}

// A Program is a compiled program. It is immutable and safe for concurrent use.
type Program struct {
	src      string
	want     Kind
	vars     []string
	uses     map[string]bool
	reads    *Projection
	direct   direct // nil for a program that needs a machine
	query    *gojq.Query
	natives  []string
	patterns []*pattern
	machines sync.Pool
}

// String is the program's source, without Spec.Define.
func (p *Program) String() string { return p.src }

// Uses tells whether the program, or a definition that it calls, mentions
// $variable. A variable of that name that the program binds itself is another.
func (p *Program) Uses(variable string) bool { return p.uses[variable] }

// Run runs the program over in, with the values of Spec.Vars in their order.
// All of them must be made of nil, bool, int, float64, *big.Int, json.Number,
// string, []any and map[string]any. It returns exactly one result of the wanted
// kind, or an error: ErrDeadline, ErrTooLarge, ErrKind, ErrResults or ErrFailed.
//
// Neither in nor vars nor the result may be changed, then or later: they share
// parts with each other, with the program and with other runs.
func (p *Program) Run(ctx context.Context, in any, vars ...any) (any, error) {
	out, err := p.run(ctx, in, vars)
	if err != nil {
		return nil, err
	}
	if e, ok := out.(error); ok {
		return nil, failed(e)
	}
	if !p.want.accepts(out) {
		return nil, ErrKind
	}
	return out, nil
}

// True runs the program and tells whether its result is true in the sense of
// jq: neither false nor null. An error is false.
func (p *Program) True(ctx context.Context, in any, vars ...any) bool {
	out, err := p.run(ctx, in, vars)
	if err != nil || out == nil || out == false {
		return false
	}
	_, isErr := out.(error)
	return !isErr
}

// accepts tells whether a result is of the kind.
func (k Kind) accepts(v any) bool {
	switch v.(type) {
	case map[string]any:
		return k == Object || k == Any || k == Predicate
	case []any:
		return k == Array || k == Any || k == Predicate
	case string:
		return k == String || k == Any || k == Predicate
	case int, float64, *big.Int, json.Number:
		return k == Number || k == Any || k == Predicate
	case nil, bool:
		return k == Any || k == Predicate
	default: // not a type of ours
		return false
	}
}
