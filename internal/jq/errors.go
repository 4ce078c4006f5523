package jq

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Why a run failed; tell them apart with errors.Is. No error of this package holds a
// value from data.
var (
	// ErrDeadline: the run took longer than Deadline, or its context ended.
	ErrDeadline = fmt.Errorf("jq: %w", jsonval.ErrDeadline)
	// ErrTooLarge: a value on the way or the result is over a limit.
	ErrTooLarge = fmt.Errorf("jq: %w", jsonval.ErrTooLarge)
	// ErrKind: the result is of another kind than Spec.Want. The error names
	// both: "gives a string, an object is needed".
	ErrKind = errors.New("jq: result of another kind than needed")
	// ErrResults: the program yielded no result, or several.
	ErrResults = errors.New("jq: not exactly one result")
	// ErrFailed: the program stopped with an error, halted or panicked.
	ErrFailed = errors.New("jq: program failed")
)

// A SyntaxError is everything that can be wrong with a program's text.
type SyntaxError struct {
	// Line and Column count from 1 within the program, or within Spec.Define
	// when InDefine is set. Columns are characters.
	Line, Column int
	// InDefine reports that the error is in Spec.Define.
	InDefine bool
	// Reason is what is wrong, Hint what to do about it; Hint may be empty.
	Reason, Hint string
}

// Error is one line without a line break at its end.
func (e *SyntaxError) Error() string {
	var b strings.Builder
	if e.InDefine {
		b.WriteString("in the definitions, ")
	}
	fmt.Fprintf(&b, "line %d, column %d: %s", e.Line, e.Column, e.Reason)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// caddyHint is for programs that may have been cut by Caddy, which replaces
// {$NAME} up to the next brace before anything else reads the file.
const caddyHint = "if a `{$…}` is written there, Caddy has replaced it before jq sees it: write `{app_key: $app_key}` or `{ $app_key }`, or put the program into a file"

// hintFor gives caddyHint when a program that can't be parsed can be what Caddy
// left over. One that still has a `{$` was not read by Caddy, which replaces
// one opening brace and one closing brace: so as many of each are left.
func hintFor(src string) string {
	if strings.Contains(src, "{$") || strings.Count(src, "{") != strings.Count(src, "}") {
		return ""
	}
	return caddyHint
}

// hintForKind gives caddyHint when a program that yields the wrong kind can be
// what Caddy left over: of `{$app_key, tel: .tel}` that is ` .tel`, which Caddy
// takes for the default of a variable.
func hintForKind(src string) string {
	if !strings.HasPrefix(src, " ") && !strings.HasPrefix(src, "\t") {
		return ""
	}
	return hintFor(src)
}

// A kindError is an ErrKind that names the kinds, never the value.
type kindError struct {
	got  kinds
	want Kind
}

func (e *kindError) Error() string { return "jq: " + mismatch(e.got, e.want) }

func (*kindError) Unwrap() error { return ErrKind }

func mismatch(got kinds, want Kind) string {
	return "gives " + got.String() + ", " + want.String() + " is needed"
}

// parseError places a parser's error. Its offset is behind the token.
func parseError(src string, err error) *SyntaxError {
	e, ok := errors.AsType[*gojq.ParseError](err)
	if !ok {
		return errorAt(src, 0, err.Error(), "")
	}
	hint := ""
	if e.Token == "" || strings.Contains(",:|})]", e.Token) {
		hint = hintFor(src)
	}
	return errorAt(src, e.Offset-len(e.Token), e.Error(), hint)
}

// errorAt makes the error for a byte offset of src.
func errorAt(src string, offset int, reason, hint string) *SyntaxError {
	before := src[:min(max(offset, 0), len(src))]
	line := strings.Count(before, "\n")
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return &SyntaxError{Line: line + 1, Column: column + 1, Reason: reason, Hint: hint}
}

// find is the offset of the first occurrence of a function, a variable, a format
// or an assignment in src; gojq's tree has no positions. Without one it is where the
// program begins.
func find(src, token string) int {
	for _, at := range tokens.FindAllStringIndex(src, -1) {
		if src[at[0]:at[1]] == token {
			return at[0]
		}
	}
	return len(src) - len(strings.TrimLeft(src, " \t\r\n"))
}

// tokens matches comments, strings up to an interpolation, fields, keys, names,
// numbers and what has an equals sign. It takes the rest of an interpolated string for code, which is
// near enough for a position.
var tokens = regexp.MustCompile(`#[^\n]*|"(?:[^"\\]|\\[^(])*"?|\.[A-Za-z_]\w*|[A-Za-z_]\w*\s*:|[$@]?[A-Za-z_]\w*(?:::\w+)?|[0-9.]+(?:[eE][-+]?[0-9]+)?|//=|[-+*/%|!=<>]=|=`)

// A fault is an error of our own functions: a text without values.
type fault string

func (f fault) Error() string { return string(f) }

// failed wraps what a program stopped with. gojq's errors quote values, so only
// words of a known list get through.
func failed(err error) (wrapped error) {
	defer func() {
		if recover() != nil { // gojq's Error panics on types that it does not know
			wrapped = ErrFailed
		}
	}()
	if f, ok := errors.AsType[fault](err); ok {
		return fmt.Errorf("%w: %s", ErrFailed, string(f))
	}
	if _, ok := errors.AsType[gojq.ValueError](err); ok { // error and halt
		return fmt.Errorf("%w: it called error", ErrFailed)
	}
	if m := complaintWithArgs.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%w: %s cannot be applied to: %s", ErrFailed, m[1], m[2])
	}
	if m := complaint.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%w: %s%s", ErrFailed, m[1], m[2])
	}
	return ErrFailed
}

var complaint = regexp.MustCompile(`^(expected (?:an object|an array|a string for object key|a number for indexing an? (?:array|string)) but got: |` +
	`cannot iterate over: |invalid path (?:on iterating )?against: |cannot (?:add|subtract|multiply|divide|modulo|negate|plus): |` +
	`cannot (?:divide|modulo) |@?[a-z_0-9]+ cannot be applied to(?:: )?)(null|boolean|number|string|array|object|)\b`)

// complaintWithArgs is about a function with arguments, which may be values from
// data: only its name and the kind of its input get through.
var complaintWithArgs = regexp.MustCompile(`(?s)^([a-z_0-9]+)\(.*?\) cannot be applied to: (null|boolean|number|string|array|object)\b`)
