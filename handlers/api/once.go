package api

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/blocks"
	"github.com/switchboard-ivr/switchboard/module/once"
	"github.com/switchboard-ivr/switchboard/module/program"
)

var (
	errOnceCache   = errors.New("once: an api with a cache only reads; write one of the two")
	errOnceSidecar = errors.New("once: a `to` without a path forwards the whole request, which is not kept; add the path, e.g. `to https://crm.example.com/ticket/create`")
)

// once reads:
//
//	once <duration> [<jq>] {
//		header <name>
//		finish <duration>
//	}
func (p *parser) once() error {
	args := p.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return p.Err("once takes a duration and, if it isn't the call id, a jq program for the key, e.g. `once 24h `.order_no``")
	}
	o := new(endpoint.Once)
	ttl, err := caddy.ParseDuration(args[0])
	if err != nil {
		return p.Errf("once: %q is not a valid duration; write e.g. `once 24h`", args[0])
	}
	o.TTL = caddy.Duration(ttl)
	if len(args) == 2 {
		if o.Key, err = program.Arg(p.Dispenser, args[1]); err != nil {
			return err
		}
	}
	p.api.Once = o
	r := blocks.New(p.Dispenser, "once")
	return r.Read(blocks.Lines{"header": r.Text(&o.Header), "finish": r.Duration(&o.Finish)})
}

// checkOnce validates the settings of `once`.
func (a *API) checkOnce(define string) error {
	switch {
	case a.Once == nil:
		return nil
	case a.Cache != nil:
		return errOnceCache
	case a.target.sidecar:
		return errOnceSidecar
	case a.Once.Header != "" && !validHeaderName(a.Once.Header):
		return fmt.Errorf("once: header %q is not a valid header name; write e.g. `header Idempotency-Key`", a.Once.Header)
	}
	if _, err := a.Once.Check(define); err != nil {
		return fmt.Errorf("once: %w", err)
	}
	return nil
}

func (a *API) provisionOnce(ctx caddy.Context, define string) error {
	if a.Once == nil {
		return nil
	}
	if err := a.checkOnce(define); err != nil {
		return err
	}
	programs := a.programs.onParams()
	a.asks.request = slices.ContainsFunc(programs, func(p *jq.Program) bool { return p.Uses("request") })
	if part := jq.Project(programs...); part != nil {
		a.asks.params = part.Names()
	} else {
		a.asks.allParams = true
	}
	var key [32]byte
	if a.source != nil {
		key = a.source.Policy().SealKey
	}
	return a.route.ProvisionOnce(a.Once, ctx.Storage(), key)
}

// asks is what the programs of an API's request read.
type asks struct {
	params    []string
	allParams bool
	request   bool // $request
}

// Writes implements [switchboard.API].
func (a *API) Writes() *once.Store { return a.route.Writes() }

// AppendWrite implements [endpoint.Writer]: the method, the params that a request
// program or a part of the chain uses, and what is passed on. Other params, such as the
// number of the attempt, may differ in a repeat. If a program uses $request, everything in
// the incoming request counts except its headers and address, which are a proxy's as well.
func (c *run) AppendWrite(dst []byte) (_ []byte, err error) {
	a, params := c.api, c.call.Input.Params
	dst = cache.AppendPart(dst, a.method(c.call.R.Method))
	if !a.asks.allParams {
		used := make(map[string]any, len(a.asks.params))
		for _, name := range a.asks.params {
			if v, ok := params[name]; ok {
				used[name] = v
			}
		}
		params = used
	}
	if dst, err = jsonval.Encode(dst, params, jsonval.Limits{}); err != nil {
		return dst, err
	}
	if a.asks.request {
		request := maps.Clone(c.call.Request)
		delete(request, "headers")
		delete(request, "ip")
		if dst, err = jsonval.Encode(dst, request, jsonval.Limits{}); err != nil {
			return dst, err
		}
	}
	if pass := a.Pass; pass != nil && pass.Query {
		dst = cache.AppendPart(dst, c.call.R.URL.RawQuery)
	}
	if pass := a.Pass; pass != nil && pass.Body {
		dst = cache.AppendPart(dst, string(c.call.Input.Raw))
	}
	return dst, nil
}
