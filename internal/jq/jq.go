package jq

import (
	"context"
	"encoding/json"
	"fmt"
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
	src        string
	want       Kind
	time       time.Duration // of a run
	memory     int           // of a run, in bytes
	warning    string
	vars       []string
	uses       map[string]bool
	reads      *jsonval.Part
	readsInput bool
	yields     shape
	piped      map[string]map[string]bool
	members    map[string]map[string]bool
	signings   []Signing
	direct     direct // nil for a program that needs a machine
	query      *gojq.Query
	natives    []string
	patterns   []*pattern
	machines   sync.Pool
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

// A machine is one compiled copy of a program, bound to the state of the run
// that it is busy with. gojq gives functions no context, so copies are the way
// for a function to know its run: what it has used and when it must end. A
// copy takes some ten KiB and some ten microseconds; a program keeps idle ones.
type machine struct {
	code *gojq.Code
	run  run
}

func (p *Program) newMachine() (*machine, error) {
	m := &machine{run: run{patterns: p.patterns, time: p.time, memory: p.memory}}
	options := make([]gojq.CompilerOption, 0, len(p.natives)+1)
	options = append(options, gojq.WithVariables(p.vars))
	for _, name := range p.natives {
		n := natives[name]
		options = append(options, gojq.WithFunction(inner(name), n.args, max(n.args, n.most), func(v any, args []any) any {
			return n.call(&m.run, v, args)
		}))
	}
	var err error
	m.code, err = gojq.Compile(p.query, options...)
	return m, err
}

// run gives the only result, which can be an error of the program's making.
func (p *Program) run(ctx context.Context, in any, vars []any) (out any, err error) {
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	if p.direct != nil && len(vars) == len(p.vars) {
		if v, ok := p.direct(in, vars); ok {
			return v, nil
		}
	}
	m, ok := p.machines.Get().(*machine)
	if !ok {
		if m, err = p.newMachine(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFailed, err)
		}
	}
	m.run.begin(ctx)
	defer func() {
		switch e := recover().(type) {
		case nil:
		case abort:
			out, err = nil, e.why
		default: // a value's type that gojq does not know; crypto/md5 under fips140=only
			out, err = nil, ErrFailed
		}
		m.run.finish()
		p.machines.Put(m)
	}()
	results := m.code.RunWithContext(&m.run, in, vars...)
	out, ok = results.Next()
	if !ok {
		return nil, ErrResults
	}
	if m.run.why != nil {
		return nil, m.run.why
	}
	if _, ok := out.(error); ok {
		return out, nil
	}
	if _, ok := results.Next(); ok {
		if m.run.why != nil {
			return nil, m.run.why
		}
		return nil, ErrResults
	}
	return out, nil
}

// abort is what a function panics with to end its run. Unlike an error, a
// program's try does not catch it.
type abort struct{ why error }

// within ends the run when there are more than most.
func within(n, most int) {
	if n > most {
		panic(abort{ErrTooLarge})
	}
}

// A run is the state of one run. It is the context that gojq asks once per
// instruction, on the goroutine of the run: so it needs no timer, no lock and
// looks at the clock only now and then.
type run struct {
	caller   context.Context
	canceled <-chan struct{}
	end      time.Time
	left     int           // instructions and steps until the next look at the clock
	made     int           // bytes that functions have made
	memory   int           // bytes that they may make
	time     time.Duration // that the run may take
	why      error
	patterns []*pattern
}

// pace is how many instructions and steps go by between two looks at the clock.
// A look takes about as long as three instructions.
const pace = 32

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (r *run) begin(ctx context.Context) {
	r.caller, r.canceled = ctx, ctx.Done()
	r.end = time.Now().Add(r.time)
	if end, ok := ctx.Deadline(); ok && end.Before(r.end) {
		r.end = end
	}
	r.left, r.made, r.why = pace, 0, nil
}

// finish lets go of what belongs to the caller.
func (r *run) finish() { r.caller, r.canceled = nil, nil }

func ended(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrDeadline, ctx.Err())
}

// late reports whether the run must end now.
func (r *run) late() bool {
	r.left = pace
	select {
	case <-r.canceled:
		r.why = ended(r.caller)
		return true
	default:
	}
	if time.Now().After(r.end) {
		r.why = ErrDeadline
	}
	return r.why != nil
}

// step counts n units of work of a function, each as long as an instruction.
func (r *run) step(n int) {
	if r.left -= n; r.left <= 0 && r.late() {
		panic(abort{r.why})
	}
}

// spend counts n bytes that a function makes, or is about to make.
func (r *run) spend(n int) {
	r.made += n
	within(r.made, r.memory)
}

// Done implements context.Context for gojq.
func (r *run) Done() <-chan struct{} {
	if r.left--; r.left > 0 || !r.late() {
		return nil
	}
	return closed
}

// Err implements context.Context.
func (r *run) Err() error { return r.why }

// Deadline implements context.Context.
func (r *run) Deadline() (time.Time, bool) { return r.end, true }

// Value implements context.Context.
func (r *run) Value(any) any { return nil }

// Interface guards
var (
	_ context.Context = (*run)(nil)
)

// canBe reports whether a result can be of the wanted kind. A program that
// certainly yields nothing is left to Run.
func (k kinds) canBe(want Kind) bool {
	of := [...]kinds{Any: kAny, Object: kObject, Array: kArray, String: kString, Number: kNumber, Predicate: kBool}
	return k == kNone || k&of[want] != 0
}

func isBlank(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
