package api

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// Require is what a caller must send before the API is called. Otherwise the call
// ends as `incomplete`: an API that gets no filter may answer with anybody's
// data.
type Require struct {
	// Names of params that must be given. A blank param doesn't count, nor does
	// an array or object that only holds blanks.
	Params []string `json:"params,omitempty"`

	// jq predicates on params: all of them must be true.
	Conditions []string `json:"conditions,omitempty"`
}

// Param describes a param for the console, the admin API and the authors of
// flows. It has no effect on calls.
type Param struct {
	Name    string `json:"name,omitempty"`
	Meaning string `json:"meaning,omitempty"`
	Example string `json:"example,omitempty"`
}

// paramName matches a name in `require` and `param`; any other argument of
// `require` is a program.
var paramName = regexp.MustCompile(`^[\pL_][\pL\pN_-]*$`)

// require reads names or one program.
func (p *parser) require() error {
	args := p.RemainingArgs()
	if len(args) == 0 {
		return p.Err("require takes the names of params, or a jq predicate, e.g. `require tel`")
	}
	if p.api.Require == nil {
		p.api.Require = new(Require)
	}
	r := p.api.Require
	if !slices.ContainsFunc(args, func(arg string) bool { return !paramName.MatchString(arg) }) {
		r.Params = append(r.Params, args...)
		return nil
	}
	if len(args) > 1 {
		return p.Err("require takes either names of params or one jq predicate; put a program in backquotes")
	}
	text, err := program.Arg(p.Dispenser, args[0])
	r.Conditions = append(r.Conditions, text)
	return err
}

// param reads a name, its meaning and an example.
func (p *parser) param() error {
	args := p.RemainingArgs()
	if len(args) < 2 || len(args) > 3 || !paramName.MatchString(args[0]) {
		return p.Err("param takes a name, its meaning and an example, e.g. `param tel \"Telephone number of the caller\" 13800138000`")
	}
	described := Param{Name: args[0], Meaning: args[1]}
	if len(args) == 3 {
		described.Example = args[2]
	}
	if slices.ContainsFunc(p.api.Params, func(other Param) bool { return other.Name == described.Name }) {
		return p.Errf("param %s is already described", described.Name)
	}
	p.api.Params = append(p.api.Params, described)
	return nil
}

// compile compiles the conditions.
func (r *Require) compile(vars []string, define string) ([]*jq.Program, error) {
	if r == nil {
		return nil, nil
	}
	conditions := make([]*jq.Program, len(r.Conditions))
	for i, source := range r.Conditions {
		var err error
		if conditions[i], err = jq.Compile(source, jq.Spec{Vars: vars, Want: jq.Predicate, Define: define}); err != nil {
			return nil, fmt.Errorf("require: %w", err)
		}
		if warning := conditions[i].Warning(); warning != "" {
			return nil, fmt.Errorf("require: %s; e.g. `require `.tel | e164(\"CN\") != null``", warning)
		}
	}
	return conditions, nil
}

// describeParams returns the params of an API: those that are described, and
// those that its programs use.
func (a *API) describeParams() []adminapi.Param {
	p := &a.programs
	described := make([]adminapi.Param, 0, len(a.Params))
	for _, param := range a.Params {
		described = append(described, adminapi.Param{Name: param.Name, Meaning: param.Meaning, Example: param.Example})
	}
	add := func(names []string) {
		for _, name := range names {
			if !slices.ContainsFunc(described, func(d adminapi.Param) bool { return d.Name == name }) {
				described = append(described, adminapi.Param{Name: name})
			}
		}
	}
	if a.Require != nil {
		add(a.Require.Params)
	}
	add(jq.Project(append(p.onParams(), p.require...)...).Names())
	if a.Require != nil {
		for i := range described {
			described[i].Required = slices.Contains(a.Require.Params, described[i].Name)
		}
	}
	return described
}
