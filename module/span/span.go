// Package span adds spans for the parts of a call below the span that Caddy's
// `tracing` handler has started. Without that handler it only costs a look into
// the context.
package span

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The names of spans. Call is the parent of the others.
const (
	Call      = "switchboard.call"      // a call, from request to response
	Token     = "switchboard.token"     // waiting for a token
	Upstream  = "switchboard.upstream"  // one attempt to call the API, to the headers of its answer
	Shape     = "switchboard.shape"     // decoding, judging and shaping its answer
	Directory = "switchboard.directory" // querying the customer directory
)

const scope = "github.com/switchboard-ivr/switchboard"

// Span is a part of a call. The zero Span is not recorded.
type Span struct{ of trace.Span }

// Start starts a child span of that in ctx, and returns a context with it. If the
// request isn't traced, it returns ctx unchanged.
func Start(ctx context.Context, name string, client bool) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, Span{}
	}
	kind := trace.SpanKindInternal
	if client {
		kind = trace.SpanKindClient
	}
	// a span that has ended may still be the parent of background work
	ctx, s := parent.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind)) //nolint:spancheck // the caller ends it
	return ctx, Span{s}                                                                        //nolint:spancheck // as above
}

// Pass injects the span of ctx into the headers of a request (W3C Trace Context),
// if it is recorded.
func Pass(ctx context.Context, header http.Header) {
	if trace.SpanContextFromContext(ctx).IsSampled() {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(header))
	}
}

// Recorded reports whether the span is recorded.
func (s Span) Recorded() bool { return s.of != nil }

// Text sets an attribute. The value must be a word of ours or of the
// configuration, never data of a caller or an API.
func (s Span) Text(key, value string) {
	if s.of != nil && value != "" {
		s.of.SetAttributes(attribute.String(key, value))
	}
}

// Number sets an attribute to a number.
func (s Span) Number(key string, value int64) {
	if s.of != nil {
		s.of.SetAttributes(attribute.Int64(key, value))
	}
}

// Fail marks the span as failed. why must be a word of ours.
func (s Span) Fail(why string) {
	if s.of != nil {
		s.of.SetStatus(codes.Error, why)
	}
}

// End ends the span.
func (s Span) End() {
	if s.of != nil {
		s.of.End()
	}
}
