// Package span tells of a call's parts under the span that Caddy's `tracing`
// handler has begun for its request. Without that handler it costs a look into
// the context, and nothing else.
package span

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The names of spans. A call is the parent of the others.
const (
	Call      = "switchboard.call"      // a request of the phone system's, to its answer
	Token     = "switchboard.token"     // waiting for a token
	Upstream  = "switchboard.upstream"  // one try to ask the API, to the headers of its answer
	Shape     = "switchboard.shape"     // decoding, judging and shaping its answer
	Directory = "switchboard.directory" // asking the customer directory
)

const scope = "github.com/switchboard-ivr/switchboard"

// Span is a part of a call. The zero Span is one that nobody records.
type Span struct{ of trace.Span }

// Start begins a span below that of ctx, and returns a context for what is below
// it. Where nobody records, ctx is returned as it is.
func Start(ctx context.Context, name string, client bool) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, Span{}
	}
	kind := trace.SpanKindInternal
	if client {
		kind = trace.SpanKindClient
	}
	// a span that has ended may still be a parent: of work that goes on behind
	ctx, s := parent.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind)) //nolint:spancheck // its owner ends it
	return ctx, Span{s}                                                                        //nolint:spancheck // as above
}

// Pass writes the span of ctx into the headers of a request (W3C Trace Context),
// where somebody records it.
func Pass(ctx context.Context, header http.Header) {
	if trace.SpanContextFromContext(ctx).IsSampled() {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(header))
	}
}

// Recorded tells whether anybody records the span.
func (s Span) Recorded() bool { return s.of != nil }

// Text notes a word of the configuration's or ours: never what a caller or an API
// has sent.
func (s Span) Text(key, value string) {
	if s.of != nil && value != "" {
		s.of.SetAttributes(attribute.String(key, value))
	}
}

// Number notes a number.
func (s Span) Number(key string, value int64) {
	if s.of != nil {
		s.of.SetAttributes(attribute.Int64(key, value))
	}
}

// Fail marks the span as failed; why is a word of ours.
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
