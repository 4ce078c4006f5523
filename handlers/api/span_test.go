package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/module/span"
)

const spanSecret = "s3cret-token"

// spanned provisions an API that calls the handler given with a static token.
func spanned(t *testing.T, answer http.HandlerFunc, settings endpoint.Settings) *API {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	cfg := new(caddy.Config)
	if err := json.Unmarshal([]byte(`{"admin":{"disabled":true},"apps":{"switchboard":{"tokens":{"crm":{"static":"`+spanSecret+`"}}}}}`), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a := &API{
		Name: "order", To: server.URL + "/order", Method: "GET", Token: "crm", Query: "{tel: .tel}",
		Output: "{name: .name}", Default: `{name: ""}`, Settings: settings,
	}
	if a.target, err = parseTarget(a.To); err != nil {
		t.Fatal(err)
	}
	proxy, err := a.proxy(nil)
	if err != nil {
		t.Fatal(err)
	}
	a.HandleRaw = []json.RawMessage{proxy}
	if err := a.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return a
}

// traced makes a call below a recording span, as Caddy's `tracing` begins one.
func traced(t *testing.T, a *API) []sdk.ReadOnlySpan {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder))
	ctx, root := provider.Tracer("test").Start(t.Context(), "root")
	r := httptest.NewRequest(http.MethodGet, "http://localhost/order?tel=13800138000", nil).WithContext(ctx)
	w := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
	if err := a.ServeHTTP(w, r, nil); err != nil {
		t.Fatal(err)
	}
	root.End()
	return recorder.Ended()
}

// attributes are those of a span, as texts.
func attributes(s sdk.ReadOnlySpan) map[string]string {
	found := make(map[string]string)
	for _, kv := range s.Attributes() {
		found[string(kv.Key)] = kv.Value.String()
	}
	return found
}

// The spans of a call are below the request's own, and hold nothing of a
// customer's, nor a token.
func TestSpans(t *testing.T) {
	const known = `{"name":"Ann Canary"}`
	for name, test := range map[string]struct {
		status   int
		settings endpoint.Settings
		spans    string // as they end
		want     map[string]string
		failed   bool
	}{
		"an answer": {
			200,
			endpoint.Settings{},
			"upstream shape call",
			map[string]string{"switchboard.api": "order", "switchboard.outcome": "ok", "switchboard.token_age": "0"},
			false,
		},
		"a refusal": {
			400,
			endpoint.Settings{},
			"upstream shape call",
			map[string]string{"switchboard.outcome": "rejected"},
			true,
		},
		"a cache": {
			200,
			endpoint.Settings{Cache: &endpoint.Cache{Fresh: caddy.Duration(time.Minute)}},
			"upstream shape call",
			map[string]string{"switchboard.outcome": "ok", "switchboard.cache": "miss", "switchboard.token_age": "0"},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var parent string
			a := spanned(t, func(w http.ResponseWriter, r *http.Request) {
				parent = r.Header.Get("Traceparent")
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, known)
			}, test.settings)
			spans := traced(t, a)
			var names []string
			for _, s := range spans[:len(spans)-1] {
				names = append(names, strings.TrimPrefix(s.Name(), "switchboard."))
			}
			if got := strings.Join(names, " "); got != test.spans {
				t.Fatalf("got the spans %s", got)
			}
			call, root := spans[len(spans)-2], spans[len(spans)-1]
			if call.Parent().SpanID() != root.SpanContext().SpanID() {
				t.Error("the call isn't below the request")
			}
			for _, s := range spans[:len(spans)-2] {
				if s.Parent().SpanID() != call.SpanContext().SpanID() {
					t.Errorf("%s isn't below the call", s.Name())
				}
			}
			if want := fmt.Sprintf("00-%s-%s-01", call.SpanContext().TraceID(), call.SpanContext().SpanID()); parent != want {
				t.Errorf("the API got the traceparent %q, want %s", parent, want)
			}
			got := attributes(call)
			for key, want := range test.want {
				if got[key] != want {
					t.Errorf("%s is %q, want %q", key, got[key], want)
				}
			}
			if failed := call.Status().Code == codes.Error; failed != test.failed {
				t.Errorf("the call's span is marked as failed: %v", failed)
			}
			if got := attributes(spans[0])["http.response.status_code"]; got != fmt.Sprint(test.status) {
				t.Errorf("the API's status is %q", got)
			}
			for _, s := range spans {
				text := fmt.Sprint(s.Name(), attributes(s), s.Status(), s.Events())
				for _, canary := range []string{"13800138000", "Canary", spanSecret} {
					if strings.Contains(text, canary) {
						t.Errorf("%s holds %s: %s", s.Name(), canary, text)
					}
				}
			}
		})
	}
}

// Without a recording span there is none of ours.
func TestNoSpans(t *testing.T) {
	ctx, s := span.Start(t.Context(), span.Call, false)
	if s.Recorded() || ctx != t.Context() {
		t.Error("a span that nobody records isn't free")
	}
	s.Text("switchboard.api", "order")
	s.Number("switchboard.token_age", 1)
	s.Fail("timeout")
	s.End()
}
