package api

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// With is a part of a chain: the answer of another API, which the programs of this
// one can use.
//
// The part runs as a call of the other API does: with its cache, token source,
// breaker, contract, metrics and trace, but within the budget of this API and without
// authorization, because the caller has passed that of this API. Parts whose programs
// don't use one another run side by side.
//
// A part that ends other than `ok` or `stale` ends the call with its outcome. A
// `stale` part makes the answer `stale`.
type With struct {
	// Name of the variable that holds the answer, without `$`. Required. It has all
	// keys of the other API's contract, and its status field.
	Var string `json:"var,omitempty"`

	// Name of the other API. Required. It must make API calls, that is, `to` must
	// have a path, or have parts only.
	API string `json:"api,omitempty"`

	// jq: params → object with the params of the other API. $request and the
	// variables of earlier parts can be used. Required.
	Params string `json:"params,omitempty"`

	// Whether the call goes on without the part. Its variable then has the other
	// API's defaults and the outcome, and the answer is `partial`.
	Optional bool `json:"optional,omitempty"`
}

// maxParts is how many parts a chain may have.
const maxParts = 3

// maxCalls is how many API calls one request may make through its chain, over all
// nested parts. Replays and retries aren't counted.
const maxCalls = 12

// variableName matches the name of a jq variable.
var variableName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// with reads a name, an API, a program and `optional`.
func (p *parser) with() error {
	if p.NextArg() { // errors about this part name this line
		if p.Once(withLine(p.Val())) != nil {
			return p.WrapErr(errTwice(p.Val()))
		}
		p.Prev()
	}
	args := p.RemainingArgs()
	if len(args) < 3 || len(args) > 4 || len(args) == 4 && args[3] != "optional" {
		return p.Err("with takes a variable, the name of an api, a jq program and, if the call can do without it, optional; e.g. `with customer crm_customer `{tel: .tel}``")
	}
	text, err := program.Arg(p.Dispenser, args[2])
	if err != nil {
		return err
	}
	p.api.With = append(p.api.With, With{Var: args[0], API: args[1], Params: text, Optional: len(args) == 4})
	if err := p.api.checkWith(); err != nil {
		return p.WrapErr(err)
	}
	return nil
}

// withLine is the beginning of the line of a part, by the name of its variable.
func withLine(name string) string { return "with " + name }

// checkWith validates the parts, as far as that needs no other API.
func (a *API) checkWith() error {
	if len(a.With) > maxParts {
		return fmt.Errorf("`with` is written %d times; at most %d are allowed", len(a.With), maxParts)
	}
	for i, w := range a.With {
		switch {
		case w.Var == "" || w.API == "" || w.Params == "":
			return errors.New("with needs a variable, the name of an api and a jq program")
		case !variableName.MatchString(w.Var) || strings.HasPrefix(w.Var, "__"):
			return fmt.Errorf("with %s: that is not the name of a variable; use letters, digits and `_`, and write it without `$`", w.Var)
		case slices.Contains(slices.Concat(requestVars, headerVars, answerVars, []string{"ENV"}), w.Var):
			return fmt.Errorf("with %s: $%s is a variable of programs already; use another name", w.Var, w.Var)
		case w.API == a.Name:
			return fmt.Errorf("with %s: api %s can't be a part of itself", w.Var, w.API)
		case slices.ContainsFunc(a.With[:i], func(other With) bool { return other.Var == w.Var }):
			return errTwice(w.Var)
		}
	}
	return nil
}

func errTwice(name string) error {
	return fmt.Errorf("`with %s` is written twice; give the second one another name", name)
}

var errWithSidecar = errors.New("with: a `to` without a path forwards the whole request, which no part can change; add the path, e.g. `to https://crm.example.com/order/query`")

// checkTarget validates an API that has parts together with its `to`. Without `to` it
// only puts parts together. name is the setting that is wrong.
func (a *API) checkTarget() (name string, err error) {
	if !a.target.none {
		if len(a.With) > 0 && a.target.sidecar {
			return "with", errWithSidecar
		}
		return "", nil
	}
	for _, it := range []struct {
		name    string
		written bool
	}{
		{"method", a.Method != ""},
		{"token", a.Token != ""},
		{"path", a.Path != ""},
		{"query", a.Query != ""},
		{"body", a.Body != nil},
		{"headers", a.Headers != "" || len(a.SetHeaders) > 0},
		{"pass", a.Pass != nil},
		{"success", a.Success != ""},
		{"not_found", a.NotFound != ""},
		{"answer", a.Answer != nil},
		{"token_expired", a.TokenExpired != nil},
		{"unhealthy", a.Unhealthy != ""},
		{"breaker", a.Breaker != nil},
		{"once", a.Once != nil},
		{"replay", a.Replay != nil},
		{"max_size", a.MaxSize != 0},
		{"max_header", a.MaxHeader != 0},
		{"keep_answer", a.KeepAnswer},
		{"reverse_proxy", len(a.HandleRaw) > 0},
	} {
		if it.written {
			return it.name, errNoCall(it.name)
		}
	}
	if a.Output == "" {
		return "output", errors.New("an api without `to` needs `output`, which puts the answers of `with` together")
	}
	return "", nil
}

// checkTarget is [API.checkTarget], with a block that is parsed later.
func (p *parser) checkTarget() (name string, err error) {
	if p.proxy != nil && p.api.target.none {
		return "reverse_proxy", errNoCall("reverse_proxy")
	}
	return p.api.checkTarget()
}

func errNoCall(line string) error {
	return fmt.Errorf("%s is about a call, and an api without `to` makes none; remove the line, or write `to`", line)
}

// withVars returns the names of the variables of the parts, in order.
func (a *API) withVars() []string {
	names := make([]string, len(a.With))
	for i, w := range a.With {
		names[i] = w.Var
	}
	return names
}

// withProgram is the compiled program of a With.
type withProgram struct {
	params *jq.Program
	// after are the earlier parts that the program uses, which must come first.
	after []int
}

// compileWith compiles the programs of the parts.
func (a *API) compileWith(credentials []string, define string) ([]withProgram, error) {
	if len(a.With) == 0 {
		return nil, nil
	}
	parts := make([]withProgram, len(a.With))
	names := a.withVars()
	for i, w := range a.With {
		if slices.Contains(credentials, w.Var) {
			return nil, fmt.Errorf("with %s: $%s is a credential of token %s; use another name", w.Var, w.Var, a.Token)
		}
		compiled, err := jq.Compile(w.Params, jq.Spec{Vars: append([]string{"request"}, names[:i]...), Want: jq.Object, Define: define})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", withLine(w.Var), misplaced(err, names[i+1:]))
		}
		parts[i].params = compiled
		for before := range i {
			if compiled.Uses(names[before]) {
				parts[i].after = append(parts[i].after, before)
			}
		}
	}
	return parts, nil
}

// misplaced adds to the error of a part's program that it uses the answer of a later
// part, if that is so.
func misplaced(err error, later []string) error {
	for _, name := range later {
		if e, ok := errors.AsType[*jq.SyntaxError](err); ok && e.Reason == "there is no variable $"+name {
			return fmt.Errorf("%w; `with %s` must stand before this line", err, name)
		}
	}
	return err
}

// cycle returns the APIs on the way from one back to itself; nil if there is none.
// partsOf returns the APIs that are parts of one.
func cycle(name string, partsOf func(name string) []string) []string {
	seen := map[string]bool{}
	var follow func(way []string) []string
	follow = func(way []string) []string {
		for _, next := range partsOf(way[len(way)-1]) {
			if next == name {
				return append(way, next)
			}
			if seen[next] {
				continue
			}
			seen[next] = true
			if found := follow(append(way, next)); found != nil {
				return found
			}
		}
		return nil
	}
	return follow([]string{name})
}

func errCycle(way []string) error {
	return fmt.Errorf("with: this chain loops: %s", strings.Join(way, " -> "))
}

// heaviest counts the API calls that one request of an API makes through its chain,
// and returns the way on which most of them are. An API that find doesn't know makes
// one. There must be no cycle.
func heaviest(name string, find func(name string) *API) (calls int, way []string) {
	a := find(name)
	if a == nil || a.To != "" {
		calls = 1
	}
	most := 0
	for _, part := range partsOf(a) {
		n, below := heaviest(part, find)
		if calls += n; n > most {
			most, way = n, below
		}
	}
	return calls, append([]string{name}, way...)
}

// checkCalls refuses an API whose chain makes too many calls. What its parts make must
// have been checked before.
func checkCalls(name string, find func(name string) *API) error {
	calls, way := heaviest(name, find)
	if calls <= maxCalls {
		return nil
	}
	return fmt.Errorf("with: one request of api %s can make %d calls through its chain (%s), and at most %d are allowed; "+
		"use fewer parts, or give the answer of one part to several as params", name, calls, strings.Join(way, ", then "), maxCalls)
}

func errPartOnce(api string) error {
	return fmt.Errorf("with: api %s has `once`, and a part must not write; call it from the flow", api)
}

// checkChains refuses what APIs that stand above make impossible, so that the error
// names the line: a part that closes a cycle, one with `once`, and a chain of too many
// calls. Link checks the rest.
func (p *parser) checkChains() error {
	const key = "switchboard.with"
	seen, _ := p.State[key].(map[string]*API)
	if seen == nil {
		seen = make(map[string]*API)
		p.State[key] = seen
	}
	a := p.api
	seen[a.Name] = a
	if way := cycle(a.Name, func(name string) []string { return partsOf(seen[name]) }); way != nil {
		i := slices.IndexFunc(a.With, func(w With) bool { return w.API == way[1] })
		return p.At(withLine(a.With[i].Var), errCycle(way))
	}
	for _, w := range a.With {
		if to := seen[w.API]; to != nil && to.Once != nil {
			return p.At(withLine(w.Var), errPartOnce(w.API))
		}
	}
	for _, above := range slices.Sorted(maps.Keys(seen)) {
		if len(a.With) == 0 {
			break // it makes one call, known or not
		}
		if err := checkCalls(above, func(name string) *API { return seen[name] }); err != nil {
			return p.At("with", err)
		}
	}
	for _, other := range seen {
		if a.Once != nil && slices.Contains(partsOf(other), a.Name) {
			return p.At("once", errPartOnce(a.Name))
		}
	}
	return nil
}

// partsOf returns the names of the APIs that are parts of one; nil for no API.
func partsOf(a *API) (names []string) {
	if a != nil {
		for _, w := range a.With {
			names = append(names, w.API)
		}
	}
	return names
}

// links are the APIs that an API is chained to. They may be provisioned later, so
// they are found in Link, or by the first call.
type links struct {
	app  *switchboard.App
	once sync.Once
	err  error

	apis         []*API   // of the parts, in order
	request      bool     // some part uses $request
	placeholders []string // that the parts' requests depend on
}

// Link implements [switchboard.API].
func (a *API) Link() error {
	l := a.links
	if l == nil {
		return nil
	}
	l.once.Do(func() { l.err = a.link() })
	return l.err
}

func (a *API) link() error {
	l := a.links
	known := func(name string) *API {
		api, _ := l.find(name, "") // nil for none, which is an error below
		return api
	}
	if way := cycle(a.Name, func(name string) []string { return partsOf(known(name)) }); way != nil {
		return errCycle(way)
	}
	for _, w := range a.With {
		to, err := l.find(w.API, a.Name)
		if err != nil {
			return fmt.Errorf("with %s: %w", w.Var, err)
		}
		if to.Once != nil {
			return errPartOnce(w.API)
		}
		if to.target.sidecar {
			return fmt.Errorf("with %s: api %s has a `to` without a path, which forwards whole requests; a part must make an API call", w.Var, w.API)
		}
		if err := to.Link(); err != nil {
			return fmt.Errorf("with %s: api %s: %w", w.Var, w.API, err)
		}
		a.warnOfPart(w, to)
		to.route.KeepsValues()
		l.apis = append(l.apis, to)
		l.request = l.request || to.usesRequest()
		l.placeholders = append(l.placeholders, to.allPlaceholders()...)
	}
	return checkCalls(a.Name, known)
}

func (l *links) find(name, by string) (*API, error) {
	found, err := l.app.Registered(name, by)
	if err != nil {
		return nil, err
	}
	return found.(*API), nil
}
