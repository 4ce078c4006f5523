package jq

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Our own versions of the builtins that make text, or take it apart: gojq's
// recurse into deep values, or make text of any length.

// appendText appends what tostring makes of v.
func (r *run) appendText(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return append(b, v...)
	case json.Number:
		return append(b, v...)
	}
	return r.appendJSON(b, v)
}

// appendJSON appends v as JSON, under the run's clock.
func (r *run) appendJSON(b []byte, v any) []byte {
	b, err := jsonval.EncodeMetered(b, v, jsonval.Limits{Bytes: maxText, Depth: maxDepth, Nodes: maxNodes}, (*meter)(r))
	switch {
	case errors.Is(err, jsonval.ErrTooLarge):
		panic(abort{ErrTooLarge})
	case err != nil:
		panic(abort{ErrFailed})
	}
	return b
}

// A meter is a run as the encoder sees it.
type meter run

// Step implements jsonval.Meter.
func (m *meter) Step(n int) { (*run)(m).step(n) }

// text is what tostring makes of v.
func (r *run) text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return string(v)
	}
	return r.json(v)
}

func (r *run) json(v any) string {
	s := string(r.appendJSON(nil, v))
	r.spend(len(s))
	return s
}

func tostring(r *run, v any, _ []any) any { return r.text(v) }

func tojson(r *run, v any, _ []any) any { return r.json(v) }

func fromjson(r *run, v any, _ []any) any {
	s, ok := v.(string)
	if !ok {
		return fault("fromjson needs a string")
	}
	r.spend(len(s))
	out, err := jsonval.Decode([]byte(s), jsonval.Limits{})
	if errors.Is(err, jsonval.ErrTooLarge) {
		panic(abort{ErrTooLarge})
	}
	if err != nil {
		return fault("fromjson needs one JSON document")
	}
	return out
}

// concat is an interpolated string: the texts of its arguments.
func concat(r *run, _ any, args []any) any {
	if len(args) == 2 {
		if a, ok := args[0].(string); ok {
			if b, ok := args[1].(string); ok && len(a)+len(b) <= maxText {
				r.spend(len(a) + len(b))
				return a + b
			}
		}
	}
	b := make([]byte, 0, 128)
	for _, a := range args {
		if s, ok := a.(string); ok && len(s)+len(b) > maxText {
			panic(abort{ErrTooLarge})
		}
		b = r.appendText(b, a)
	}
	return post(r, string(b), nil)
}

// plain is put before a format that makes its input text: arrays and objects
// become text here.
func plain(r *run, v any, _ []any) any {
	switch v.(type) {
	case []any, map[string]any:
		return r.text(v)
	}
	return v
}

// key is put behind a part of a key that is put together.
func key(r *run, v any, _ []any) any {
	s := r.text(v)
	within(len(s), maxKey)
	return s
}

func split(r *run, v any, args []any) any {
	s, ok := v.(string)
	sep, ok2 := args[0].(string)
	if !ok || !ok2 {
		return fault("split needs strings")
	}
	if s == "" {
		return []any{}
	}
	parts(r, s, sep)
	list := strings.Split(s, sep)
	out := make([]any, len(list))
	for i, part := range list {
		out[i] = part
	}
	return out
}

func join(r *run, v any, args []any) any {
	list, ok := v.([]any)
	if m, isObject := v.(map[string]any); isObject {
		ok = true
		for _, k := range r.keys(m) {
			list = append(list, m[k])
		}
	}
	if !ok {
		return fault("join needs an array")
	}
	if len(list) == 0 {
		return ""
	}
	sep, ok := args[0].(string)
	if !ok && args[0] != nil && len(list) > 1 {
		return fault("join needs a string between the elements")
	}
	var b []byte
	for i, e := range list {
		if i > 0 {
			b = append(b, sep...)
		}
		switch e := e.(type) {
		case nil:
		case string:
			b = append(b, e...)
		case bool, int, float64, *big.Int, json.Number:
			b = r.appendText(b, e)
		default:
			return fault("join needs strings, numbers and booleans")
		}
		r.step(1)
		within(len(b), maxText)
	}
	return post(r, string(b), nil)
}

func explode(r *run, v any, _ []any) any {
	s, ok := v.(string)
	if !ok {
		return fault("explode needs a string")
	}
	n := utf8.RuneCountInString(s)
	within(n, maxItems)
	r.spend(24 * n)
	out := make([]any, 0, n)
	for _, c := range s {
		out = append(out, int(c))
	}
	return out
}

// places calls found with each place of x in v, from the left, until it is false.
func (r *run) places(v, x any, found func(int) bool) error {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		list, ok := x.([]any)
		if !ok {
			list = []any{x}
		}
	starts:
		for i := 0; len(list) > 0 && i+len(list) <= len(v); i++ {
			for j, x := range list {
				if r.compare(v[i+j], x, 0) != 0 {
					continue starts
				}
			}
			if !found(i) {
				return nil
			}
		}
		return nil
	case string:
		if x, ok := x.(string); ok {
			if x == "" {
				return nil
			}
			for at, runes := 0, 0; ; {
				i := strings.Index(v[at:], x)
				if i < 0 {
					return nil
				}
				r.step(1 + (i+len(x))>>6)
				runes += utf8.RuneCountInString(v[at : at+i])
				if !found(runes) {
					return nil
				}
				_, size := utf8.DecodeRuneInString(v[at+i:])
				at, runes = at+i+size, runes+1
			}
		}
	}
	return fault("looking for a value needs a string in a string, or an array")
}

func indices(r *run, v any, args []any) any {
	if v == nil {
		return nil
	}
	out := []any{}
	if err := r.places(v, args[0], func(i int) bool {
		r.spend(24)
		out = append(out, i)
		return true
	}); err != nil {
		return err
	}
	return out
}

func index(r *run, v any, args []any) any {
	var first any
	if err := r.places(v, args[0], func(i int) bool { first = i; return false }); err != nil {
		return err
	}
	return first
}

func rindex(r *run, v any, args []any) any {
	if s, ok := v.(string); ok {
		if x, ok := args[0].(string); ok {
			r.step(len(s) >> 8)
			if i := strings.LastIndex(s, x); i >= 0 && x != "" {
				return utf8.RuneCountInString(s[:i])
			}
			return nil
		}
	}
	var last any
	if err := r.places(v, args[0], func(i int) bool { last = i; return true }); err != nil {
		return err
	}
	return last
}
