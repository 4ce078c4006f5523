package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
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
		return p.Err("once takes a duration and, if it isn't the call id, a jq program for the key, e.g. `once 24h .order_no`; `header` and `finish` stand in a block")
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
		if o.Key == "" {
			return p.Err("once: the program for the key is blank; leave it out for the call id")
		}
	}
	p.api.Once = o
	r := blocks.New(p.Dispenser, "once")
	return r.Read(blocks.Lines{"header": r.Text(&o.Header), "finish": r.Duration(&o.Finish)})
}

// checkOnce validates the settings of `once`, and compiles the key; nil for the call id.
func (a *API) checkOnce(define string) (key *jq.Program, err error) {
	switch {
	case a.Cache != nil:
		return nil, errOnceCache
	case a.target.sidecar:
		return nil, errOnceSidecar
	}
	if name := a.Once.Header; name != "" {
		if _, _, err := jqhttp.Header(name, "key"); err != nil {
			return nil, fmt.Errorf("once: header: %w; write e.g. `header Idempotency-Key`", err)
		}
		if slices.Contains([]string{"Host", "Authorization"}, http.CanonicalHeaderKey(name)) {
			return nil, fmt.Errorf("once: header %s has another meaning; write e.g. `header Idempotency-Key`", name)
		}
	}
	if key, err = a.Once.Check(define); err != nil {
		return nil, fmt.Errorf("once: %w", err)
	}
	return key, nil
}

func (a *API) provisionOnce(ctx caddy.Context, define string) error {
	if a.Once == nil {
		return nil
	}
	key, err := a.checkOnce(define)
	if err != nil {
		return err
	}
	a.asks = a.whatIsAsked()
	var sealKey [32]byte
	if a.source != nil {
		sealKey = a.source.Policy().SealKey
	}
	a.route.ProvisionOnce(a.Once, key, ctx.Storage(), sealKey)
	return nil
}

// asks is what the answer of a write depends on.
type asks struct {
	params    []string
	allParams bool
	request   bool // $request
}

// whatIsAsked returns what the programs read of the incoming request: those of the
// API's request, and those of its answer.
func (a *API) whatIsAsked() asks {
	p := &a.programs
	ofRequest := p.onParams()
	ofAnswer := slices.DeleteFunc([]*jq.Program{p.success, p.notFound, p.unhealthy, p.output}, func(it *jq.Program) bool { return it == nil })
	uses := func(variable string, programs []*jq.Program) bool {
		return slices.ContainsFunc(programs, func(it *jq.Program) bool { return it.Uses(variable) })
	}
	part := jq.Project(ofRequest...)
	return asks{
		params:    part.Names(),
		allParams: part == nil || uses("params", ofAnswer),
		request:   uses("request", ofRequest) || uses("request", ofAnswer),
	}
}

// Writes implements [switchboard.API].
func (a *API) Writes() *once.Store { return a.route.Writes() }

// AppendWrite implements [endpoint.Writer]: who calls, the method, the params that
// programs use, and what is passed on. Other params, such as the number of the attempt,
// may differ in a repeat. If a program uses $request, everything in it counts except
// what proxies add.
func (c *run) AppendWrite(dst []byte) (_ []byte, err error) {
	a, params := c.api, c.call.Input.Params
	dst = a.appendVary(cache.AppendPart(dst, c.call.Principal), &c.call)
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
		if dst, err = jsonval.Encode(dst, withoutProxies(c.call.Request), jsonval.Limits{}); err != nil {
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

// ofProxies are headers that proxies and clients make anew for each request.
var ofProxies = []string{
	"x-request-id", "x-correlation-id", "traceparent", "tracestate", "baggage", "x-amzn-trace-id", "x-cloud-trace-context",
	"forwarded", "via", "date", "content-length", "connection", "keep-alive",
}

// withoutProxies returns $request without the caller's address and the headers that may
// differ in a repeat.
func withoutProxies(request map[string]any) map[string]any {
	rest := maps.Clone(request)
	delete(rest, "ip")
	if headers, ok := rest["headers"].(map[string]any); ok {
		headers = maps.Clone(headers)
		maps.DeleteFunc(headers, func(name string, _ any) bool {
			return slices.Contains(ofProxies, name) || strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "x-b3-")
		})
		rest["headers"] = headers
	}
	return rest
}

// sendsAgain reports whether a handler of the chain is configured to send a request more
// than once.
func sendsAgain(handlers []json.RawMessage) bool {
	for _, raw := range handlers {
		var handler struct {
			LoadBalancing struct {
				Retries     int   `json:"retries"`
				TryDuration int64 `json:"try_duration"`
			} `json:"load_balancing"`
		}
		if json.Unmarshal(raw, &handler) == nil && (handler.LoadBalancing.Retries > 0 || handler.LoadBalancing.TryDuration > 0) {
			return true
		}
	}
	return false
}

var errOnceRetries = errors.New("once: `lb_retries` and `lb_try_duration` send a request again; remove them")

// doubtful reports whether the API may have acted although the call was rejected: it
// redirects after the write, or a predicate failed on an answer that it wasn't made for.
func (c *run) doubtful() bool {
	status := c.response.status
	return status >= http.StatusMultipleChoices && status < http.StatusBadRequest || len(c.trace.notes) > 0
}
