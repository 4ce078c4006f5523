package jq

import (
	"context"
	"fmt"
	"time"

	"github.com/itchyny/gojq"
)

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
var _ context.Context = (*run)(nil)
