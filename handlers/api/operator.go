package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// Test implements [switchboard.API]: a call like any other, but without
// authorization. A request that may change something is a dry run, unless the
// test is live.
func (a *API) Test(ctx context.Context, t adminapi.Test) (adminapi.Trace, error) {
	options := new(endpoint.TestOptions)
	p, err := endpoint.NewTestRequest(ctx, t, options, a.server)
	if err != nil {
		return adminapi.Trace{}, err
	}
	a.limit(options, t, p.R.Method, false)
	if t.FreshToken && a.source != nil && a.source.HasToken() {
		if err := a.source.Renew(ctx); err != nil {
			return adminapi.Trace{}, fmt.Errorf("renewing token %s: %w", a.Token, err)
		}
	}

	c := a.begin(p.W, p.R)
	defer c.end()
	_ = c.receive() && c.require() && c.call.ServeCached(c) && c.call.ServeOnce(c) && c.work()
	if err := c.answer(); err != nil {
		return adminapi.Trace{}, err
	}
	return p.Trace(ctx, &c.call, c.asked(), c.secrets(), c.requireSteps()...), nil
}

// limit makes a test a dry run, if its request may change something and the test isn't
// live. reads says that it changes nothing, whatever its method is.
func (a *API) limit(options *endpoint.TestOptions, t adminapi.Test, method string, reads bool) {
	options.Asked, options.NoCache = t, t.NoCache
	switch {
	case t.DryRun:
		options.DryRun, options.DryRunReason = true, "a dry run: the API was not called"
	case !t.Live && !reads && !a.reads(method):
		options.DryRun, options.DryRunReason = true, a.whyDry(method)
	}
}

// reads reports whether the API's request changes nothing. With a cache, the user
// has declared that a POST only reads, and with `once`, that a GET writes. Without `to`
// there is no request.
func (a *API) reads(of string) bool {
	method := a.method(of)
	return a.Cache != nil || a.target.none || a.Once == nil && (method == http.MethodGet || method == http.MethodHead)
}

// whyDry returns why a test is a dry run.
func (a *API) whyDry(of string) string {
	if a.Once != nil {
		return "a dry run: the api writes once; write --live to send it"
	}
	return "a dry run: the method is " + a.method(of) + "; write --live to send it"
}

// Playground implements [switchboard.API].
func (a *API) Playground() switchboard.Playground {
	b := switchboard.Playground{Output: program.Outdent(a.Output), For: a.For, KeepsSample: a.sampler != nil, Parts: a.withVars()}
	if a.sampler != nil {
		b.Sample = a.sampler.sample.Load()
	}
	return b
}

// Describe implements [switchboard.API].
func (a *API) Describe(to *adminapi.API) {
	to.Description = a.Description
	described := a.describeParams()
	for _, param := range described {
		to.Params = append(to.Params, param.Name)
	}
	if len(a.Params) > 0 || a.Require != nil {
		to.Parameters = described
	}
	to.Once = a.Once != nil
	to.CacheHint = a.route.CacheHint()
}

// WriteOutput implements [switchboard.API].
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
