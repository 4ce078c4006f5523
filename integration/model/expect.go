package model

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// expected is one way in which a call may end.
type expected struct {
	outcome  string
	statuses []int
	value    any  // as a reader of the format finds it
	exact    bool // the value counts
}

// errorStatus is the status of an outcome with `on_failure error`.
var errorStatus = map[string]int{
	"incomplete": 400, "timeout": 504, "unreachable": 502, "failed": 502, "rejected": 502, "bad_answer": 502, "too_large": 502,
	"no_token": 503, "token_refused": 503, "breaker_open": 503, "held": 503,
}

// expect says how a call may end without a cache.
func expect(c *call) []expected {
	var all []expected
	if c.refused != nil {
		all = append(all, expected{outcome: "bad_request", statuses: c.refused})
	}
	for _, params := range c.params {
		all = append(all, c.of(params)...)
	}
	return all
}

// of says how a call with params may end.
func (c *call) of(params map[string]any) []expected {
	r := c.route
	incomplete := []expected{r.failure("incomplete")}
	if r.badRequest {
		incomplete = append(incomplete, expected{outcome: "bad_request", statuses: []int{http.StatusBadRequest}})
	}
	q, err := c.question(params)
	switch {
	case r.require != nil && !r.require(params):
		return incomplete
	case err != nil && r.breaker: // which may be asked first
		return append(incomplete, r.failure("breaker_open"))
	case err != nil:
		return incomplete
	}
	var all []expected
	if r.mayRefuse != nil && r.mayRefuse(params) {
		all = incomplete
	}
	switch {
	case r.dead:
		return append(all, r.failure("unreachable"))
	case r.token: // refused calls of others may leave it without a token for a moment
		all = append(all, r.failure("no_token"))
		if q.fault == first401 { // when renewals have become rare
			all = append(all, r.failure("token_refused"))
		}
	case r.breaker:
		all = append(all, r.failure("breaker_open"))
	}
	for _, v := range r.judge(answer(q)) {
		all = append(all, r.shape(v)...)
	}
	return all
}

// failure is an end without an answer: the default, or an error.
func (r *route) failure(outcome string) expected {
	if r.onError {
		return expected{outcome: outcome, statuses: []int{errorStatus[outcome]}}
	}
	return r.defaults(outcome)
}

// defaults is an answer that has nothing but the contract's defaults.
func (r *route) defaults(outcome string) expected {
	if r.contract == nil {
		return expected{outcome: outcome, statuses: []int{http.StatusOK}}
	}
	value, err := render(r.format, keep(r.contract, nil))
	if err != nil {
		panic(fmt.Sprintf("the contract of %s can't be written: %v", r.name, err))
	}
	return expected{outcome: outcome, statuses: []int{http.StatusOK}, value: value, exact: true}
}

// shape is what becomes of a verdict: the contract, the filter, the format, the
// limit.
func (r *route) shape(v verdict) []expected {
	switch v.outcome {
	case "ok":
	case "not_found":
		return []expected{r.defaults(v.outcome)}
	default:
		return []expected{r.failure(v.outcome)}
	}
	value := v.value
	if r.contract != nil {
		if _, isObject := value.(map[string]any); !isObject && value != nil {
			return []expected{r.failure("bad_answer")}
		}
		value = keep(r.contract, value)
	}
	value = filtered(r.filters, value)
	if o, ok := value.(map[string]any); ok { // names that are ours
		delete(o, "_status")
		delete(o, "_age")
	}
	rendered, err := render(r.format, value)
	if err != nil {
		return []expected{r.failure("bad_answer")}
	}
	answer := expected{outcome: "ok", statuses: []int{http.StatusOK}, value: rendered, exact: true}
	all := []expected{answer}
	if r.limit > 0 {
		switch n := length(r.format, rendered); {
		case n > r.limit*21/20:
			return []expected{r.failure("too_large")}
		case n > r.limit*19/20:
			all = append(all, r.failure("too_large"))
		}
	}
	if r.loose {
		if o, _ := v.value.(map[string]any); len(o) == 1 {
			for _, one := range o {
				if reflect.TypeOf(one).Kind() != reflect.String {
					all = append(all, r.failure("bad_answer"))
				}
			}
		}
	}
	return all
}

// answered is what came back, taken apart.
type answered struct {
	status  int
	outcome string // of Proxy-Status
	value   any
	age     string
}

// takeApart reads an answer and checks what holds for every one: the outcome in
// Proxy-Status, one line in the route's format, all keys of the contract, and
// the outcome in the status field; or an error in one line of JSON.
func (c *call) takeApart(status int, header http.Header, body string) (answered, error) {
	r := c.route
	a := answered{status: status}
	proxyStatus := strings.Join(header.Values("Proxy-Status"), ", ")
	_, rest, ok := strings.Cut(proxyStatus, `details="`)
	if a.outcome, _, ok = cut(rest, ok); !ok {
		return a, fmt.Errorf("no outcome in Proxy-Status %q", proxyStatus)
	}
	if c.method == http.MethodHead {
		return a, nil
	}
	if status != http.StatusOK {
		return a, checkError(a.outcome, body)
	}
	value, outcome, age, err := unrender(r.format, body)
	if err != nil {
		return a, fmt.Errorf("not %s: %w", r.format, err)
	}
	a.value, a.age = value, age
	if r.contract == nil || r.format == "text" {
		return a, nil
	}
	if outcome != a.outcome {
		return a, fmt.Errorf("_status is %q, Proxy-Status says %q", outcome, a.outcome)
	}
	if (age != "") != (outcome == "stale") && c.fault != "a key _status" && c.fault != "other keys" { // those have an _age
		return a, fmt.Errorf("_age is %q of an answer that is %s", age, outcome)
	}
	return a, r.hasKeys(value)
}

func cut(s string, ok bool) (before, after string, found bool) {
	if !ok {
		return "", "", false
	}
	return strings.Cut(s, `"`)
}

// hasKeys checks that an answer has the contract's keys.
func (r *route) hasKeys(value any) error {
	want, err := render(r.format, keep(r.contract, nil))
	if err != nil {
		return err
	}
	got, _ := value.(map[string]any)
	for key := range want.(map[string]any) {
		if _, ok := got[key]; !ok {
			return fmt.Errorf("no key %s", key)
		}
	}
	return nil
}

func checkError(outcome, body string) error {
	var doc struct {
		Error struct{ Message, Outcome string }
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		return fmt.Errorf("an error that isn't JSON: %w", err)
	}
	if doc.Error.Outcome != outcome || doc.Error.Message == "" || strings.ContainsAny(body, "\r\n") {
		return fmt.Errorf("an error with outcome %q, Proxy-Status says %q", doc.Error.Outcome, outcome)
	}
	return nil
}

// matches reports whether an answer is the expected one.
func (e expected) matches(c *call, a answered) bool {
	if a.outcome != e.outcome || !slices.Contains(e.statuses, a.status) {
		return false
	}
	return !e.exact || c.method == http.MethodHead || reflect.DeepEqual(a.value, e.value)
}

// String describes an expected end in a message.
func (e expected) String() string { return describe(e.outcome, e.statuses, e.value) }

// String describes an answer in a message.
func (a answered) String() string { return describe(a.outcome, a.status, a.value) }

func describe(outcome string, status, value any) string {
	b, _ := json.Marshal(value)
	return fmt.Sprintf("%s %v %.400s", outcome, status, b)
}
