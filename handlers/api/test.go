package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/switchboard-ivr/switchboard/handlers/route"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// Test implements [module.Tester]: a call on the way of all calls, except that
// nobody asks who calls. What isn't a read is a dry run, unless it is to be live.
func (a *API) Test(ctx context.Context, t adminapi.Test) (adminapi.Trace, error) {
	r, err := testRequest(ctx, t)
	if err != nil {
		return adminapi.Trace{}, err
	}
	trial := &route.Trial{NoCache: t.NoCache, DryRun: t.DryRun || (!t.Live && !a.reads(r.Method))}
	if t.FreshToken && a.source != nil && a.source.HasToken() {
		if err := a.source.Renew(ctx); err != nil {
			return adminapi.Trace{}, fmt.Errorf("renewing token %s: %w", a.Token, err)
		}
	}
	w := &answerWriter{header: make(http.Header)}
	r = r.WithContext(route.WithTrial(r.Context(), trial))
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, a.serverOrNone())
	for name, v := range t.Vars {
		caddyhttp.SetVar(r.Context(), name, v)
	}

	c := a.begin(w, r)
	defer c.end()
	_ = c.receive() && c.Recall(c) && c.work()
	if !trial.DryRun {
		if err := c.answer(); err != nil {
			return adminapi.Trace{}, err
		}
	}
	return c.trace(ctx, trial, w), nil
}

// trace puts the steps of a test together.
func (c *run) trace(ctx context.Context, trial *route.Trial, w *answerWriter) adminapi.Trace {
	trace := adminapi.Trace{
		API: c.api.Name, Outcome: string(c.Outcome), CallID: c.ID, Time: time.Now().UTC(), Reason: mask.Text(c.Reason), Check: route.Check(c.Outcome),
		MS: adminapi.Millis(c.Took()), Steps: c.Begun(c.secrets()),
	}
	if c.asked() {
		wait, cancel := context.WithTimeout(ctx, time.Second) // for the work of a call that was given up
		defer cancel()
		trace.Steps = append(trace.Steps, trial.Work(wait)...)
	}
	if trial.DryRun {
		return trace
	}
	trace.Status = w.status
	trace.Answer = c.asJSON(w.body.Bytes())
	trace.Steps = append(trace.Steps, c.Concluded(w.body.Bytes(), c.secrets())...)
	return trace
}

// asJSON is the answer as a member of a JSON document: itself, or a text of it.
func (c *run) asJSON(text []byte) json.RawMessage {
	if (c.Route.IsJSON() || bytes.HasPrefix(text, []byte("{"))) && json.Valid(text) {
		return text
	}
	quoted, err := jq.Encode(nil, string(text), jq.Limits{})
	if err != nil {
		return nil
	}
	return quoted
}

// reads tells whether the API's request changes nothing. A cache is the word of
// the user's that a POST is a lookup.
func (a *API) reads(of string) bool {
	method := a.method(of)
	return method == http.MethodGet || method == http.MethodHead || a.Cache != nil
}

func (a *API) serverOrNone() *caddyhttp.Server {
	if a.server != nil {
		return a.server
	}
	return new(caddyhttp.Server)
}

// testRequest is the request of a phone system that sends these params: texts and
// numbers in the query, anything else as JSON.
func testRequest(ctx context.Context, t adminapi.Test) (*http.Request, error) {
	method, path := strings.ToUpper(t.Method), t.Path
	query, flat := asQuery(t.Params)
	if method == "" {
		method = http.MethodGet
		if !flat {
			method = http.MethodPost
		}
	}
	if path == "" {
		path = "/"
	}
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("path must begin with /")
	}
	var body []byte
	switch {
	case method != http.MethodGet && method != http.MethodHead:
		text, err := jq.Encode(nil, orEmpty(t.Params), jq.Limits{})
		if err != nil {
			return nil, errors.New("params can't be written as JSON")
		}
		body = text
	case !flat:
		return nil, errors.New("a GET carries params that are texts and numbers; use POST")
	case query != "":
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		path += separator + query
	}
	r, err := http.NewRequestWithContext(context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})),
		method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("method or path can't be used in a request")
	}
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	r.URL.Scheme, r.URL.Host = "", "" // as of a request that came in
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	} else {
		r.Body = http.NoBody
	}
	for name, value := range t.Headers {
		if !validHeaderName(name) || strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("%q is not a header", name)
		}
		r.Header.Set(name, value)
	}
	return r, nil
}

func orEmpty(params map[string]any) map[string]any {
	if params == nil {
		return map[string]any{}
	}
	return params
}

// asQuery writes params as a query, if they are texts and numbers.
func asQuery(params map[string]any) (query string, flat bool) {
	values := make(url.Values, len(params))
	for _, name := range slices.Sorted(maps.Keys(params)) {
		s, ok := route.Scalar(params[name])
		if _, isBool := params[name].(bool); !ok || isBool {
			return "", false
		}
		values.Set(name, s)
	}
	return values.Encode(), true
}

// answerWriter keeps the answer of a test.
type answerWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answerWriter) Header() http.Header { return w.header }

func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *answerWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
