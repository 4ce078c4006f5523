package endpoint

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
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// TestRequest is a test on its way through a handler: the request that a phone
// system would send, and the writer of its response.
type TestRequest struct {
	R       *http.Request
	W       http.ResponseWriter
	Options *TestOptions

	written *answerWriter
}

// NewTestRequest prepares a test. server is the one that the handler belongs to,
// or nil.
func NewTestRequest(ctx context.Context, t adminapi.Test, options *TestOptions, server *caddyhttp.Server) (*TestRequest, error) {
	r, err := testRequest(WithTest(ctx, options), t)
	if err != nil {
		return nil, err
	}
	if server == nil {
		server = new(caddyhttp.Server) // reverse_proxy requires a server, for its logs
	}
	w := &answerWriter{header: make(http.Header)}
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, server)
	for name, v := range t.Vars {
		caddyhttp.SetVar(r.Context(), name, v)
	}
	return &TestRequest{R: r, W: w, Options: options, written: w}, nil
}

// Trace returns the trace of a test, once the call is done. asked says that the
// work was done, by this call or by one detached from it; checks are the
// handler's own steps before the work.
func (p *TestRequest) Trace(ctx context.Context, c *Call, asked bool, secrets []string, checks ...adminapi.Step) adminapi.Trace {
	trace := adminapi.Trace{
		API: c.Route.Name, Outcome: string(c.Outcome), CallID: c.ID, Time: time.Now().UTC(), Reason: mask.Text(c.Reason), Check: c.check(),
		MS: adminapi.Millis(time.Since(c.started)), Steps: c.RequestSteps(asked, secrets, checks...),
	}
	ended := endedIn(trace.Steps, c.Outcome)
	if asked {
		wait, cancel := context.WithTimeout(ctx, time.Second) // for work that goes on after the budget
		defer cancel()
		work := p.Options.Work(wait)
		trace.Steps = append(trace.Steps, work...)
		ended = work == nil || endedIn(work, c.Outcome)
	}
	if c.Outcome == call.DryRun {
		return trace
	}
	text := p.written.body.Bytes()
	trace.Status = p.written.status
	trace.Answer = c.Route.asJSON(text)
	trace.Steps = append(trace.Steps, c.answerSteps(text, ended, secrets)...)
	return trace
}

// asJSON returns an answer as a value in a JSON document: itself, or else as a
// string.
func (r *Route) asJSON(text []byte) json.RawMessage {
	if (r.isJSON() || bytes.HasPrefix(text, []byte("{"))) && json.Valid(text) {
		return text
	}
	quoted, err := jsonval.Encode(nil, string(text), jsonval.Limits{})
	if err != nil {
		return nil
	}
	return quoted
}

// testRequest builds the request that a phone system would send with these
// params: strings and numbers in the query, anything else as JSON.
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
		text, err := jsonval.Encode(nil, orEmpty(t.Params), jsonval.Limits{})
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
	r.URL.Scheme, r.URL.Host = "", "" // as in an incoming request
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	} else {
		r.Body = http.NoBody
	}
	for name, value := range t.Headers {
		if !httpguts.ValidHeaderFieldName(name) || strings.ContainsAny(value, "\r\n\x00") {
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

// asQuery encodes params as a query. flat reports whether they are all strings
// and numbers; otherwise there is no query.
func asQuery(params map[string]any) (query string, flat bool) {
	values := make(url.Values, len(params))
	for _, name := range slices.Sorted(maps.Keys(params)) {
		s, err := jqhttp.Scalar(params[name])
		if _, isBool := params[name].(bool); err != nil || isBool {
			return "", false
		}
		values.Set(name, s)
	}
	return values.Encode(), true
}

// answerWriter records the response of a test.
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

// TestOptions are the options of a test call; they also collect its trace. They
// are only ever in the context of the test's request: a call without them is not
// traced.
type TestOptions struct {
	DryRun       bool   // stop before the API is called
	DryRunReason string // why it is a dry run; becomes the call's Reason
	NoCache      bool   // bypass the cache

	Asked adminapi.Test // what the operator asked for, for the parts of a chain

	began    time.Time       // when the test began
	work     []adminapi.Step // set by record
	recorded chan struct{}
}

// WithTest returns a context for a call that is traced.
func WithTest(ctx context.Context, t *TestOptions) context.Context {
	t.recorded, t.began = make(chan struct{}), time.Now()
	return context.WithValue(ctx, testKey{}, t)
}

// detached returns a context for work that a test starts but doesn't wait for.
// Such work isn't traffic either, and nobody reads its steps.
func (t *TestOptions) detached(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return WithTest(ctx, new(TestOptions))
}

// logged returns the log field that marks a test.
func (t *TestOptions) logged() zap.Field {
	if t == nil {
		return zap.Skip()
	}
	return zap.Bool("test", true)
}

// bypassesCache reports whether the call must leave the cache alone.
func (t *TestOptions) bypassesCache() bool { return t != nil && (t.DryRun || t.NoCache) }

// record publishes the steps of the work, that is, those between the cache and
// the contract. It must be called for each test.
func (t *TestOptions) record(steps []adminapi.Step) {
	if t == nil {
		return
	}
	select {
	case <-t.recorded: // a write that another instance turned out to have sent
	default:
		t.work = steps
		close(t.recorded)
	}
}

// Work returns the steps of the work, once they are recorded, or nil if ctx ends
// first.
func (t *TestOptions) Work(ctx context.Context) []adminapi.Step {
	select {
	case <-t.recorded:
		return t.work
	case <-ctx.Done():
		return nil
	}
}
