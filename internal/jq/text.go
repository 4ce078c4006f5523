package jq

import (
	"encoding/json"
	"errors"
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

// places gives the places of x in v, from the left, the first most of them.
func (r *run) places(v, x any, most int) (found []any, err error) {
	add := func(i int) bool {
		r.spend(24)
		found = append(found, i)
		return len(found) < most
	}
	if v, ok := v.([]any); ok {
		list, ok := x.([]any)
		if !ok {
			list = []any{x}
		}
		for i := 0; len(list) > 0 && i+len(list) <= len(v); i++ {
			same := 0
			for same < len(list) && r.compare(v[i+same], list[same], 0) == 0 {
				same++
			}
			if same == len(list) && !add(i) {
				break
			}
		}
		return found, nil
	}
	s, ok := v.(string)
	part, ok2 := x.(string)
	if !ok || !ok2 {
		return nil, fault("looking for a value needs a string in a string, or an array")
	}
	for at, runes := 0, 0; part != ""; {
		i := strings.Index(s[at:], part)
		if i < 0 {
			break
		}
		r.step(1 + (i+len(part))>>6)
		if runes += utf8.RuneCountInString(s[at : at+i]); !add(runes) {
			break
		}
		_, size := utf8.DecodeRuneInString(s[at+i:])
		at, runes = at+i+size, runes+1
	}
	return found, nil
}

func indices(r *run, v any, args []any) any {
	if v == nil {
		return nil
	}
	found, err := r.places(v, args[0], maxItems)
	if err != nil {
		return err
	}
	return append([]any{}, found...)
}

func index(r *run, v any, args []any) any { return r.place(v, args[0], 1) }

func rindex(r *run, v any, args []any) any {
	s, ok := v.(string)
	part, ok2 := args[0].(string)
	if !ok || !ok2 {
		return r.place(v, args[0], maxItems)
	}
	r.step(len(s) >> 8)
	if i := strings.LastIndex(s, part); i >= 0 && part != "" {
		return utf8.RuneCountInString(s[:i])
	}
	return nil
}

// place gives the last of the first most places.
func (r *run) place(v, x any, most int) any {
	if v == nil {
		return nil
	}
	found, err := r.places(v, x, most)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return nil
	}
	return found[len(found)-1]
}
