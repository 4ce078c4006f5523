package model

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
)

// exchange is what predicates and outputs of a route look at.
type exchange struct {
	doc    any
	status int
}

// errJQ is a program that fails: it takes a field of what isn't an object.
var errJQ = errors.New("jq: cannot index")

// get is jq's .a.b.
func get(v any, path ...string) (any, error) {
	for _, name := range path {
		switch o := v.(type) {
		case nil:
			return nil, nil
		case map[string]any:
			v = o[name]
		default:
			return nil, errJQ
		}
	}
	return v, nil
}

// equals is jq's .path == "text". A program that fails is false.
func equals(want string, path ...string) func(exchange) bool {
	return func(x exchange) bool {
		v, err := get(x.doc, path...)
		return err == nil && v == want
	}
}

// blank is jq's (.path | blank).
func blank(path ...string) func(exchange) bool {
	return func(x exchange) bool {
		v, err := get(x.doc, path...)
		return err == nil && isBlank(v)
	}
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
	default:
		return false
	}
}

// verdict is how a call ends, and what it yields before the contract.
type verdict struct {
	outcome string
	value   any // of ok
}

// judge says what a reply means on a route, in the order of decision 12. More
// than one verdict means that the rules leave it open.
func (r *route) judge(a reply) []verdict {
	v := r.verdict(a)
	if a.either && v.outcome != "bad_answer" {
		return []verdict{v, {outcome: "bad_answer"}}
	}
	if a.mayBeLarge {
		return []verdict{v, {outcome: "too_large"}}
	}
	if a.kind == unreadable && a.status >= 500 && r.unhealthy != nil && v.outcome == "rejected" {
		return []verdict{v, {outcome: "bad_answer"}} // a page that the route's own words don't cover
	}
	return []verdict{v}
}

func (r *route) verdict(a reply) verdict {
	if outcome := r.unusable(a); outcome != "" {
		return verdict{outcome: outcome}
	}
	x := exchange{a.doc, a.status}
	written := r.success != nil
	success := x.status < 400
	if written {
		success = r.success(x)
	}
	unhealthy := x.status >= 500 || x.status == http.StatusTooManyRequests
	if r.unhealthy != nil {
		unhealthy = r.unhealthy(x)
	}
	switch {
	case r.sign != nil && x.status < 500 && r.sign(x):
		return verdict{outcome: "not_found"}
	case unhealthy:
		return verdict{outcome: "failed"}
	case x.status == http.StatusNotFound && !written && !r.asksForNobody():
		return verdict{outcome: "not_found"}
	case !success:
		return verdict{outcome: "rejected"}
	case r.nothing != nil && r.nothing(x):
		return verdict{outcome: "not_found"}
	case x.doc == nil && !r.asksForNobody(): // an empty body, 204 or null
		return verdict{outcome: "not_found"}
	}
	value := x.doc
	if r.output != nil {
		var err error
		if value, err = r.output(x.doc); err != nil {
			return verdict{outcome: "bad_answer"}
		}
	}
	if value == nil {
		return verdict{outcome: "not_found"}
	}
	return verdict{outcome: "ok", value: value}
}

func (r *route) asksForNobody() bool { return r.sign != nil || r.nothing != nil }

// unusable is the outcome of a reply that can't be judged, and "" of others.
func (r *route) unusable(a reply) string {
	switch a.wire {
	case dropped, reset:
		return "unreachable"
	case hanging:
		return "timeout"
	default:
	}
	switch {
	case headerSize(a.header) > r.headerLimit():
		return "too_large"
	case r.token && a.status == http.StatusUnauthorized:
		return "token_refused"
	case a.header.Get("Location") != "":
		return "rejected"
	case a.kind == streamed:
		return "bad_answer"
	}
	switch a.wire {
	case cutLength, cutChunk, resetBody:
		return "bad_answer"
	case halfHangs, dripping:
		return "timeout"
	default:
	}
	switch {
	case a.size > r.sizeLimit():
		return "too_large"
	case a.kind == unreadable && (a.status < 400 || a.status == http.StatusNotFound): // else its status tells
		return "bad_answer"
	}
	return ""
}

func headerSize(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}

// object is the output {key: .path, …} of a route.
func object(parts map[string][]string) func(any) (any, error) {
	return func(doc any) (any, error) {
		out := map[string]any{}
		for key, path := range parts {
			v, err := get(doc, path...)
			if err != nil {
				return nil, err
			}
			out[key] = v
		}
		return out, nil
	}
}

// keep lets a value have the keys of the contract: a missing or null one, and
// one that doesn't fit, takes its default; where the default is a text, numbers
// and booleans become texts. Defaults are texts and objects of them.
func keep(contract map[string]any, v any) map[string]any {
	out := map[string]any{}
	if o, ok := v.(map[string]any); ok {
		maps.Copy(out, o)
	}
	for key, def := range contract {
		switch def := def.(type) {
		case string:
			out[key] = asText(out[key], def)
		case map[string]any:
			out[key] = keep(def, out[key])
		}
	}
	return out
}

func asText(v any, def string) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	default:
		return def
	}
}
