package api

import (
	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// Bench implements [switchboard.Benched].
func (a *API) Playground() switchboard.Playground {
	b := switchboard.Playground{Output: program.Outdent(a.Output), For: a.For, KeepsSample: a.last != nil}
	if a.last != nil {
		b.Sample = a.last.kept.Load()
	}
	return b
}

// Describe implements [switchboard.Described].
func (a *API) Describe(to *adminapi.API) {
	to.Description = a.Description
	described := a.describeParams()
	for _, param := range described {
		to.Params = append(to.Params, param.Name)
	}
	if len(a.Params) > 0 || a.Require != nil {
		to.Parameters = described
	}
	to.CacheHint = a.route.CacheHint()
}

// Write implements [switchboard.Benched].
func (a *API) WriteOutput(v any, system string, to *switchboard.PlaygroundResult) {
	outcome := call.OK
	if v == nil && a.programs.notFound == nil {
		outcome = call.NotFound
	}
	text, style, err := a.route.Preview(&a.Settings, system, outcome, v)
	to.Outcome, to.Format, to.Limit = string(outcome), style.Format.String(), style.Limit
	if err != nil {
		to.Refused = err.Error()
		return
	}
	to.Text = string(text)
}

// Interface guards
var (
	_ switchboard.PlaygroundAPI = (*API)(nil)
	_ switchboard.Described     = (*API)(nil)
)
