package jq

import (
	"context"
	"encoding/json"
	"math/big"
	"sync"
	"time"

	"github.com/itchyny/gojq"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Deadline is how long a run may take, unless Spec.Time says otherwise. The context
// of the caller can end it earlier.
const Deadline = 250 * time.Millisecond

// Kind is what a program yields.
type Kind uint8

// The kinds. Any accepts everything, null included; null is none of the others.
// A Predicate yields true or false.
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
	return [...]string{"anything", "an object", "an array", "a string", "a number", "true or false"}[k]
}

// Spec says what a program has to work with and what it must yield.
type Spec struct {
	// Vars are the variables without $, in the order that Run takes their
	// values.
	Vars []string
	// Want is what the program must yield. Compile refuses a program that
	// certainly yields something else, Run and Test a result that is something
	// else. A predicate that certainly yields something else compiles with a
	// Warning; one that assigns is refused, because `.code = "0"` is true of
	// every answer for a reader who takes it for a comparison.
	Want Kind
	// Define holds function definitions that are put before the program. Those
	// that the program does not call may mention variables that it lacks.
	Define string
	// Time is how long a run may take, and Memory how many bytes its functions may
	// make in all. Default: Deadline, 128 MiB.
	Time   time.Duration
	Memory int
}

// A Program is a compiled program. It is immutable and safe for concurrent use.
type Program struct {
	src      string
	want     Kind
	time     time.Duration // of a run
	memory   int           // of a run, in bytes
	warning  string
	vars     []string
	uses     map[string]bool
	reads    *jsonval.Part
	yields   shape
	piped    map[string]map[string]bool
	direct   direct // nil for a program that needs a machine
	query    *gojq.Query
	natives  []string
	patterns []*pattern
	machines sync.Pool
}

// A direct runs a program without a machine. When ok is false the machine must run it.
type direct func(in any, vars []any) (v any, ok bool)

// String is the program's source, without Spec.Define.
func (p *Program) String() string { return p.src }

// Uses reports whether the program, or a definition that it calls, mentions
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
	if kind := kindOf(out); kind == kNone || !kind.canBe(p.want) {
		return nil, &kindError{kind, p.want}
	}
	return out, nil
}

// Test runs the program as a predicate over in. Its result must be true or
// false; anything else is an error as of Run, with false.
func (p *Program) Test(ctx context.Context, in any, vars ...any) (bool, error) {
	out, err := p.run(ctx, in, vars)
	if err != nil {
		return false, err
	}
	switch out := out.(type) {
	case bool:
		return out, nil
	case error:
		return false, failed(out)
	}
	return false, &kindError{kindOf(out), Predicate}
}

// Warning is what seems to be wrong with the program although it compiles, for
// example that a predicate can't be true or false: in words that continue the
// program's name. It is "" where nothing is.
func (p *Program) Warning() string { return p.warning }

// kindOf gives the kind of a result: kNone for what is not a JSON value.
func kindOf(v any) kinds {
	switch v.(type) {
	case map[string]any:
		return kObject
	case []any:
		return kArray
	case string:
		return kString
	case int, float64, *big.Int, json.Number:
		return kNumber
	case bool:
		return kBool
	case nil:
		return kNull
	}
	return kNone
}
