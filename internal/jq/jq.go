// Package jq runs the programs of a configuration over JSON values. It is the
// only importer of gojq.
package jq

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"time"

	"github.com/itchyny/gojq"
)

// Deadline is the longest that one run of a program takes.
const Deadline = 250 * time.Millisecond

// Why a run or a document failed; tell them apart with errors.Is. No error of
// this package holds a value from data.
var (
	ErrDeadline = errors.New("jq: took too long")
	ErrTooLarge = errors.New("jq: too large")
	ErrKind     = errors.New("jq: result of another kind than wanted")
	ErrResults  = errors.New("jq: not exactly one result")
	ErrFailed   = errors.New("jq: program failed")
	ErrSyntax   = errors.New("jq: not one JSON document")
	ErrEmpty    = errors.New("jq: empty document")
)

// Kind is what a program yields.
type Kind uint8

// The kinds. Any and Predicate accept everything, null included; a null is
// none of the others.
const (
	Any Kind = iota
	Object
	Array
	String
	Number
	Predicate
)

// Spec says what a program has to work with and what it must yield.
type Spec struct {
	// Vars are the variables without $, in the order that Run takes their values.
	Vars []string
	// Want is what the program must yield.
	Want Kind
	// Define holds function definitions that are put before the program.
	Define string
}

// Program is a compiled program. It is immutable and safe for concurrent use.
type Program struct {
	src  string
	spec Spec
	code *gojq.Code
	uses map[string]bool
}

// String is the program's source.
func (p *Program) String() string { return p.src }

// Uses tells whether the program mentions $variable.
func (p *Program) Uses(variable string) bool { return p.uses[variable] }

// Run runs the program over in, with the values of Spec.Vars in their order.
// It returns exactly one result. Neither in, vars nor the result may be changed
// afterwards: they share parts with each other and with the program.
func (p *Program) Run(ctx context.Context, in any, vars ...any) (out any, err error) {
	defer func() {
		if recover() != nil {
			out, err = nil, ErrFailed
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, Deadline)
	defer cancel()
	iter := p.code.RunWithContext(ctx, in, vars...)
	out, ok := iter.Next()
	if !ok {
		return nil, ErrResults
	}
	if err := failure(ctx, out); err != nil {
		return nil, err
	}
	if more, ok := iter.Next(); ok {
		if err := failure(ctx, more); err != nil {
			return nil, err
		}
		return nil, ErrResults
	}
	if !p.spec.Want.accepts(out) {
		return nil, ErrKind
	}
	return out, nil
}

func failure(ctx context.Context, v any) error {
	if _, ok := v.(error); !ok {
		return nil
	}
	if ctx.Err() != nil {
		return ErrDeadline
	}
	return ErrFailed
}

// True runs the program and tells whether its result is true in the sense of
// jq: neither false nor null. An error is false.
func (p *Program) True(ctx context.Context, in any, vars ...any) bool {
	out, err := p.Run(ctx, in, vars...)
	return err == nil && out != nil && out != false
}

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
	default:
		return k == Any || k == Predicate
	}
}
