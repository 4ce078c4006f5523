package jq

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/itchyny/gojq"
)

// SyntaxError is everything that can be wrong with a program's text.
type SyntaxError struct {
	// Line and Column count from 1 within the program.
	Line, Column int
	// Reason is what is wrong, Hint what to do; Hint may be empty.
	Reason, Hint string
}

func (e *SyntaxError) Error() string {
	s := fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

var variable = regexp.MustCompile(`\$[A-Za-z_][A-Za-z0-9_]*`)

// Compile compiles src. Every error is a *SyntaxError.
func Compile(src string, s Spec) (*Program, error) {
	query, err := gojq.Parse(s.Define + "\n" + src)
	if err != nil {
		if _, ok := errors.AsType[*gojq.ParseError](err); ok {
			return nil, &SyntaxError{Line: 1, Column: 1, Reason: err.Error()}
		}
		return nil, &SyntaxError{Line: 1, Column: 1, Reason: err.Error()}
	}
	vars := make([]string, len(s.Vars))
	for i, v := range s.Vars {
		vars[i] = "$" + v
	}
	code, err := gojq.Compile(query, append(functions, gojq.WithVariables(vars))...)
	if err != nil {
		return nil, &SyntaxError{Line: 1, Column: 1, Reason: err.Error()}
	}
	uses := map[string]bool{}
	for _, v := range variable.FindAllString(query.String(), -1) {
		uses[strings.TrimPrefix(v, "$")] = true
	}
	return &Program{src: src, spec: s, code: code, uses: uses}, nil
}
