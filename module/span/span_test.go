package span_test

import (
	"context"
	"net/http"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/switchboard-ivr/switchboard/module/span"
)

// Where nobody records, nothing is made and nothing is passed on.
func TestNobodyRecords(t *testing.T) {
	ctx, s := span.Start(t.Context(), "call", true)
	s.Text("a", "b")
	s.Number("n", 1)
	s.Fail("why")
	s.End()
	header := make(http.Header)
	span.Pass(ctx, header)
	if ctx != t.Context() || s.Recorded() || len(header) != 0 {
		t.Errorf("got %v, %v", s.Recorded(), header)
	}
}

// A span below one that is recorded has its words, and goes upstream.
func TestRecorded(t *testing.T) {
	kept := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(kept))
	ctx, root := provider.Tracer("test").Start(context.Background(), "root")
	below, s := span.Start(ctx, "call", true)
	s.Text("switchboard.api", "order")
	s.Text("blank", "")
	s.Number("switchboard.token_age", 7)
	s.Fail("timeout")
	header := make(http.Header)
	span.Pass(below, header)
	s.End()
	root.End()
	ended := kept.Ended()
	if !s.Recorded() || len(ended) != 2 || ended[0].Name() != "call" || len(ended[0].Attributes()) != 2 || ended[0].Status().Description != "timeout" ||
		ended[0].Parent().SpanID() != root.SpanContext().SpanID() || header.Get("Traceparent") == "" {
		t.Errorf("got %+v, %v", ended, header)
	}
}
