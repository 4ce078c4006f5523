package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// Test implements [switchboard.Tester]: a call on the way of all calls, except that
// nobody asks who calls. What isn't a read is a dry run, unless it is to be live.
func (a *API) Test(ctx context.Context, t adminapi.Test) (adminapi.Trace, error) {
	trial := &endpoint.TestOptions{NoCache: t.NoCache}
	p, err := endpoint.NewTestRequest(ctx, t, trial, a.server)
	if err != nil {
		return adminapi.Trace{}, err
	}
	switch {
	case t.DryRun:
		trial.DryRun, trial.DryRunReason = true, "a dry run: the API was not called"
	case !t.Live && !a.reads(p.R.Method):
		trial.DryRun, trial.DryRunReason = true, "a dry run: the method is "+a.method(p.R.Method)+"; write --live to send it"
	}
	if t.FreshToken && a.source != nil && a.source.HasToken() {
		if err := a.source.Renew(ctx); err != nil {
			return adminapi.Trace{}, fmt.Errorf("renewing token %s: %w", a.Token, err)
		}
	}

	c := a.begin(p.W, p.R)
	defer c.end()
	_ = c.receive() && c.require() && c.ServeCached(c) && c.work()
	if err := c.answer(); err != nil {
		return adminapi.Trace{}, err
	}
	return p.Trace(ctx, &c.Call, c.asked(), c.secrets(), c.requireSteps()...), nil
}

// reads reports whether the API's request changes nothing. A cache is the word of
// the user's that a POST is a lookup.
func (a *API) reads(of string) bool {
	method := a.method(of)
	return method == http.MethodGet || method == http.MethodHead || a.Cache != nil
}
