package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/program"
	"github.com/switchboard-ivr/switchboard/module/token"
)

// ReadError is the error of an answer that broke off while it was read. It is a
// net.Error, so that reverse_proxy can tell a timeout (504) from other errors
// (502).
type ReadError struct{ Err error }

// Error implements error.
func (e *ReadError) Error() string { return "reading the answer: " + e.Err.Error() }

// Unwrap returns the connection's error.
func (e *ReadError) Unwrap() error { return e.Err }

// Timeout reports whether the read timed out.
func (e *ReadError) Timeout() bool {
	err, ok := errors.AsType[net.Error](e.Err)
	return ok && err.Timeout()
}

// Temporary implements net.Error.
func (*ReadError) Temporary() bool { return false }

// expired returns why an answer means that the token has expired, or "". What it
// reads of the answer is put back byte for byte.
func (t *Transport) expired(resp *http.Response, a *Attempt) (reason string, err error) {
	if slices.Contains(t.rule.statuses, resp.StatusCode) {
		return "status " + strconv.Itoa(resp.StatusCode), nil
	}
	if t.rule.program == nil || !t.lookable(resp, a.Reader.As) {
		return "", nil
	}
	room := a.Room
	if room == nil {
		var release func()
		room, release = roomOf(resp.Request.Context())
		defer func() {
			if err != nil {
				release()
				return
			}
			resp.Body = &closing{resp.Body, release}
		}()
	}
	body, err := t.read(resp, room)
	if body == nil || err != nil {
		return "", err
	}
	encoding, kind := resp.Header.Get("Content-Encoding"), resp.Header.Get("Content-Type")
	raw, err := Decompress(body, encoding, t.MaxSize, room)
	if err != nil {
		return "", nil //nolint:nilerr // an unreadable answer is passed on
	}
	text, err := document.UTF8(kind, raw, int(t.MaxSize), room.ReserveText)
	if err != nil {
		return "", nil //nolint:nilerr // like an answer that can't be read
	}
	doc, err := a.Reader.Read(kind, text, jsonval.Limits{Bytes: int(t.MaxSize), Room: room})
	if err != nil {
		return "", nil //nolint:nilerr // a predicate on what can't be read is false
	}
	a.Raw, a.Doc = raw, doc
	var headers any
	if t.rule.program.Uses("headers") {
		headers = program.Headers(resp.Header)
	}
	dead, err := t.rule.program.Test(resp.Request.Context(), doc, resp.StatusCode, headers, a.Params, a.Request)
	if a.RuleErr = err; !dead {
		return "", nil //nolint:nilerr // a predicate that fails is false
	}
	return "answer with status " + strconv.Itoa(resp.StatusCode), nil
}

// lookable reports whether an answer may be read as a whole before it is passed
// on: it has a complete body that the programs may read, and is not a stream.
// Streams pass as they arrive. As is how the handler reads answers, if it says so.
func (t *Transport) lookable(resp *http.Response, as string) bool {
	switch {
	case resp.Request.Method == http.MethodHead, resp.StatusCode < http.StatusOK:
		return false
	case slices.Contains([]int{http.StatusNoContent, http.StatusPartialContent, http.StatusNotModified}, resp.StatusCode):
		return false
	case resp.ContentLength == 0, resp.ContentLength > t.MaxSize, caddyhttp.IsIncremental(resp.Header):
		return false
	}
	if encoding := coding(resp.Header.Get("Content-Encoding")); encoding != "" && !slices.Contains(codings, encoding) {
		return false
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	if IsStream(kind) {
		return false
	}
	// Some APIs send JSON as text, or without a Content-Type. Without a length,
	// it could also be a stream.
	return as != "" || isJSON(kind) || document.Announced(kind) || resp.ContentLength > 0 && (kind == "" || strings.HasPrefix(kind, "text/"))
}

// IsStream reports whether a media type, without parameters, is one whose parts
// must be forwarded at once: server-sent events, gRPC, JSON lines.
func IsStream(kind string) bool {
	switch kind {
	case "text/event-stream", "multipart/x-mixed-replace",
		"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
		"application/json-seq", "application/stream+json", "application/x-json-stream":
		return true
	default:
		return strings.HasPrefix(kind, "application/grpc")
	}
}

// roomOf returns a room for one answer. A request without a deadline waits
// maxWait.
func roomOf(ctx context.Context) (room *jsonval.Room, release func()) {
	cancel := func() {}
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(ctx, maxWait)
	}
	room = &jsonval.Room{Context: ctx}
	return room, func() {
		cancel()
		room.Release()
	}
}

// closing is a body that calls a function when it is closed.
type closing struct {
	io.ReadCloser
	closed func()
}

// Close implements io.Closer.
func (c *closing) Close() error {
	c.closed()
	return c.ReadCloser.Close()
}

// read reads an answer's body and puts it back. It waits for the memory. It
// returns nil if the body is larger than MaxSize, or no memory becomes available
// in time.
func (t *Transport) read(resp *http.Response, room *jsonval.Room) (body []byte, err error) {
	// one byte more than announced, to see the end at once
	body, ended, err := readInto(room, resp.Body, min(max(resp.ContentLength, 1023), t.MaxSize)+1, t.MaxSize)
	switch {
	case ended && err == nil:
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return body, nil
	case !ended && resp.Request.Context().Err() != nil:
		err = resp.Request.Context().Err()
	case !ended:
		putBack(resp, body)
		return nil, nil
	}
	_ = resp.Body.Close()
	return nil, &ReadError{err}
}

// readInto reads from r into memory of the room, to the end or to an error of r. Without
// that, err is [jsonval.ErrTooLarge] for more than limit bytes, or the room's.
func readInto(room *jsonval.Room, r io.Reader, known, limit int64) (out []byte, ended bool, err error) {
	var reserved int64
	for {
		if out, reserved, err = room.AppendRoom(out, 1, known, reserved); err != nil {
			return out, false, err
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case int64(len(out)) > limit:
			return out, false, jsonval.ErrTooLarge
		case errors.Is(err, io.EOF):
			return out, true, nil
		case err != nil:
			return out, true, err
		}
	}
}

// Why a body could not be decompressed, besides jsonval.ErrTooLarge.
var (
	ErrEncoding = errors.New("the body has an unsupported content encoding")
	ErrCorrupt  = errors.New("the body does not match its content encoding")
)

// maxWindow limits what a zstd decoder allocates for a frame. It is the largest
// window that HTTP allows (RFC 9659).
const maxWindow = 8 << 20

var (
	gzips = sync.Pool{New: func() any { return new(gzip.Reader) }}
	zstds = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeAllCapLimit(true)) // no more than the capacity given
		if err != nil {
			panic(err) // the options are constant
		}
		return d
	}}
)

// Decompress decodes a Content-Encoding: gzip, zstd, or none. The error is
// jsonval.ErrTooLarge if the result is larger than limit bytes, no matter how short
// body is; ErrEncoding for any other encoding; or ErrCorrupt. Without an encoding
// the result is body itself. Otherwise its memory is reserved in room, with the
// errors of [jsonval.Room.Reserve]; room may be nil.
func Decompress(body []byte, encoding string, limit int64, room *jsonval.Room) ([]byte, error) {
	switch coding(encoding) {
	case "", "identity":
		if int64(len(body)) > limit {
			return nil, jsonval.ErrTooLarge
		}
		return body, nil
	case "gzip", "x-gzip":
		z := gzips.Get().(*gzip.Reader)
		defer gzips.Put(z)
		if z.Reset(bytes.NewReader(body)) != nil {
			return nil, ErrCorrupt
		}
		out, ended, err := readInto(room, z, min(4*int64(len(body)), limit+1), limit)
		if ended && err != nil {
			return nil, ErrCorrupt
		}
		return out, err
	case "zstd":
		z := zstds.Get().(*zstd.Decoder)
		defer zstds.Put(z)
		return unzstd(z, body, limit, room)
	default:
		return nil, ErrEncoding
	}
}

// unzstd decompresses in one go, because then the output is the window, which
// would otherwise take up to maxWindow. If the size isn't known, it tries
// increasing ones.
func unzstd(z *zstd.Decoder, body []byte, limit int64, room *jsonval.Room) (out []byte, err error) {
	var reserved int64
	for size := min(max(4*int64(len(body)), 4<<10), limit); ; size = min(4*size, limit) {
		if out, reserved, err = room.AppendRoom(nil, int(size), 0, reserved); err != nil {
			return nil, err
		}
		out, err = z.DecodeAll(body, out)
		switch {
		case err == nil && int64(len(out)) <= limit:
			return out, nil
		case err != nil && !errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return nil, ErrCorrupt
		case size == limit:
			return nil, jsonval.ErrTooLarge
		}
	}
}

// codings are the content codings that Decompress knows.
var codings = []string{"identity", "gzip", "x-gzip", "zstd"}

// coding normalizes the name of a content coding.
func coding(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// readable reduces an Accept-Encoding to what Decompress supports, so that no
// client can hide the API's answer from token_expired.
func readable(accept []string) []string {
	var rest []string
	for _, line := range accept {
		for member := range strings.SplitSeq(line, ",") {
			if name, _, _ := strings.Cut(member, ";"); slices.Contains(codings, coding(name)) {
				rest = append(rest, strings.TrimSpace(member))
			}
		}
	}
	if rest == nil {
		return []string{"identity"}
	}
	return []string{strings.Join(rest, ", ")}
}

// Interface guards
var (
	_ net.Error = (*ReadError)(nil)
)

// shortestHidden is the minimum length of a token that is searched for in an
// answer: a shorter one could match by chance.
const shortestHidden = 4

// hideToken masks the token in an answer's header and trailer. Some APIs repeat
// the URL or the credentials of a request, and the caller must not see them.
func (t *Transport) hideToken(resp *http.Response, access string) {
	t.hideFields(resp.Header, access)
	if len(access) >= shortestHidden && resp.Body != nil && resp.StatusCode != http.StatusSwitchingProtocols && (resp.ContentLength < 0 || len(resp.Trailer) > 0) {
		resp.Body = &echoed{resp.Body, resp, access}
	}
}

// hideEarly masks the token in interim responses (103 Early Hints), which
// reverse_proxy forwards while it waits. A handler that buffers answers drops
// them. The trace belongs to this request only.
func (t *Transport) hideEarly(ctx context.Context, access string) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.Got1xxResponse == nil || attemptOf(ctx) != nil {
		return
	}
	next := trace.Got1xxResponse
	trace.Got1xxResponse = func(code int, fields textproto.MIMEHeader) error {
		t.hideFields(http.Header(fields), access)
		return next(code, fields)
	}
}

// hideFields masks the token in the fields of an answer.
func (t *Transport) hideFields(fields http.Header, access string) {
	if t.inject.Where == token.InQuery {
		hideParameter(fields, t.inject.Name)
	}
	if len(access) >= shortestHidden {
		hideIn(fields, access)
	}
}

// hideIn masks the token in all values.
func hideIn(fields http.Header, access string) {
	for _, values := range fields {
		for i, value := range values {
			if strings.Contains(value, access) {
				value = strings.ReplaceAll(value, access, mask.Hidden)
				values[i] = value
			}
			if strings.IndexByte(value, '%') >= 0 {
				values[i] = hideEscaped(value, access)
			}
		}
	}
}

// hideEscaped masks the percent-encoded token in a value, or the whole value if
// it is encoded differently than by us.
func hideEscaped(value, access string) string {
	value = strings.ReplaceAll(value, escapeParameter(access), mask.Hidden)
	if plain, err := url.PathUnescape(value); err == nil && strings.Contains(plain, access) || strings.Contains(unescapeKey(value), access) {
		return mask.Hidden
	}
	return value
}

// echoed is the body of an answer that may have a trailer, which is available
// after the end of the body.
type echoed struct {
	io.ReadCloser
	resp   *http.Response
	access string
}

// Read implements io.Reader.
func (e *echoed) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err != nil && len(e.resp.Trailer) > 0 {
		hideIn(e.resp.Trailer, e.access)
	}
	return n, err
}
