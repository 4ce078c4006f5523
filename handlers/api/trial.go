package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

// What a program shows at load, with the credentials that are known by then.

// checkPrograms refuses keys that don't fit, request programs that fail for every call,
// and values of headers that are programs. src may be nil.
func (a *API) checkPrograms(src *source.Source, define string) error {
	if err := a.programs.checkKeys(src); err != nil {
		return err
	}
	if err := a.checkHeaderValues(define); err != nil {
		return err
	}
	return a.tryPrograms(src, define)
}

// ignoresCaller reports whether a request program depends on nothing that came in. $url,
// $query and $body may be made of it.
func ignoresCaller(program *jq.Program) bool {
	return !program.ReadsInput() && !slices.ContainsFunc(append([]string{"request"}, headerVars...), program.Uses)
}

// tryPrograms runs the request programs that depend on credentials, time and nonce alone:
// one that fails now fails for every call. A program with a credential that isn't known
// yet is left out. src may be nil.
func (a *API) tryPrograms(src *source.Source, define string) error {
	var known map[string]any
	for _, it := range a.programs.named {
		if !slices.Contains([]string{"path", "query", "body", "headers"}, it.name) || !ignoresCaller(it.program) {
			continue
		}
		switch {
		case known != nil:
		case src == nil:
			known = map[string]any{"timestamp": nil, "nonce": nil}
		default:
			known = src.Trial(define)
		}
		if err := tryProgram(it, known); err != nil {
			used := slices.DeleteFunc(slices.Clone(it.vars), func(name string) bool {
				return name == "timestamp" || name == "nonce" || !it.program.Uses(name)
			})
			check := "the program"
			if len(used) > 0 {
				check += ", and credential " + strings.Join(used, ", ") + " of token " + a.Token
			}
			return fmt.Errorf("%s: this fails whatever the caller sends: %w; check %s", it.name, err, check)
		}
	}
	return nil
}

func tryProgram(it namedProgram, known map[string]any) error {
	vars := make([]any, len(it.vars))
	for i, name := range it.vars {
		value, ok := known[name]
		if !ok && it.program.Uses(name) {
			return nil
		}
		vars[i] = value
	}
	_, err := it.program.Run(context.Background(), nil, vars...)
	if errors.Is(err, jq.ErrDeadline) {
		return nil // a busy machine
	}
	return err
}

// checkHeaderValues refuses a value in `headers NAME VALUE` that is evidently a program:
// it compiles, and has a pipe or uses a variable.
func (a *API) checkHeaderValues(define string) error {
	for _, name := range slices.Sorted(maps.Keys(a.SetHeaders)) {
		value := a.SetHeaders[name]
		program, err := jq.Compile(value, jq.Spec{Vars: a.programs.headerVars, Define: define})
		if err != nil {
			continue
		}
		if strings.Contains(value, " | ") || slices.ContainsFunc(a.programs.headerVars, program.Uses) {
			return fmt.Errorf("headers %s: the value would be sent as it is written, and it is a jq program; write one object, headers `{%q: (%s)}`", name, name, value)
		}
	}
	return nil
}
