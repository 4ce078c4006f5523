package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	bodytext "github.com/switchboard-ivr/switchboard/internal/document"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/program"
)

// ReadError is an answer that broke off before it could be looked into. It is a
// net.Error, so that reverse_proxy tells a time-out (504) from the rest (502).
type ReadError struct{ Err error }

// Error tells what happened.
func (e *ReadError) Error() string { return "reading the answer: " + e.Err.Error() }

// Unwrap returns the connection's error.
func (e *ReadError) Unwrap() error { return e.Err }

// Timeout tells whether the time ran out.
func (e *ReadError) Timeout() bool {
	err, ok := errors.AsType[net.Error](e.Err)
	return ok && err.Timeout()
}

// Temporary implements net.Error.
func (*ReadError) Temporary() bool { return false }

// expired tells why an answer means that the token is dead, or "". What it has
// to read of the answer is put back byte for byte.
func (t *Transport) expired(resp *http.Response, a *Attempt) (reason string, err error) {
	if slices.Contains(t.rule.statuses, resp.StatusCode) {
		return "status " + strconv.Itoa(resp.StatusCode), nil
	}
	if t.rule.program == nil || !t.lookable(resp) {
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
	encoding := resp.Header.Get("Content-Encoding")
	raw, err := Decompress(body, encoding, t.MaxSize, room)
	if err != nil {
		return "", nil //nolint:nilerr // what can't be seen goes on unseen
	}
	text, err := bodytext.UTF8(resp.Header.Get("Content-Type"), raw, int(t.MaxSize), room.ReserveText)
	if err != nil {
		return "", nil //nolint:nilerr // as of what is not JSON
	}
	doc, err := jsonval.DecodePart(text, jsonval.Limits{Bytes: int(t.MaxSize), Room: room}, a.Part)
	if err != nil {
		return "", nil //nolint:nilerr // a predicate on what is not JSON is false
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

// lookable tells whether an answer may be read before it goes on: it has a
// body, all of it, that can be JSON and is no stream: those go on as they come.
func (t *Transport) lookable(resp *http.Response) bool {
	switch {
	case resp.Request.Method == http.MethodHead, resp.StatusCode < http.StatusOK:
		return false
	case resp.StatusCode == http.StatusNoContent, resp.StatusCode == http.StatusPartialContent,
		resp.StatusCode == http.StatusNotModified:
		return false
	case resp.ContentLength == 0, resp.ContentLength > t.MaxSize:
		return false
	case caddyhttp.IsIncremental(resp.Header):
		return false
	}
	switch coding(resp.Header.Get("Content-Encoding")) {
	case "", "identity", "gzip", "x-gzip", "zstd":
	default:
		return false
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	if IsStream(kind) {
		return false
	}
	// Some APIs call their JSON a text, or nothing. Without a length that could
	// be a stream as well.
	return isJSON(kind) || resp.ContentLength > 0 && (kind == "" || strings.HasPrefix(kind, "text/"))
}

// IsStream tells whether a media type, without parameters, is one whose parts
// must not wait for each other: events, gRPC, lines of JSON.
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

// roomOf makes a room for one answer. A request that has all the time in the world
// waits maxWait.
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

// closing is a body that does something more when it is closed.
type closing struct {
	io.ReadCloser
	closed func()
}

// Close implements io.Closer.
func (c *closing) Close() error {
	c.closed()
	return c.ReadCloser.Close()
}

// read reads an answer's body and puts it back. It waits for the memory. It returns
// nil when there is more of it than MaxSize, or no memory in time.
func (t *Transport) read(resp *http.Response, room *jsonval.Room) (body []byte, err error) {
	// one byte more than announced, for the end to be seen at once
	known := min(max(resp.ContentLength, 1023), t.MaxSize) + 1
	var reserved int64
	for {
		var full error
		if body, reserved, full = room.AppendRoom(body, 1, known, reserved); full != nil {
			break
		}
		n, err := resp.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > t.MaxSize:
		case errors.Is(err, io.EOF):
			_ = resp.Body.Close()
			resp.Body = io.NopCloser(bytes.NewReader(body))
			return body, nil
		case err != nil:
			_ = resp.Body.Close()
			return nil, &ReadError{err}
		default:
			continue
		}
		break
	}
	if err := resp.Request.Context().Err(); err != nil {
		_ = resp.Body.Close()
		return nil, &ReadError{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
	return nil, nil
}

// Why a body could not be decompressed, besides jsonval.ErrTooLarge.
var (
	ErrEncoding = errors.New("the body has a content encoding that can't be read")
	ErrCorrupt  = errors.New("the body is not what its content encoding says")
)

// maxWindow bounds what a zstd decoder allocates for a frame. It is the largest
// window that HTTP allows (RFC 9659).
const maxWindow = 8 << 20

var (
	gzips = sync.Pool{New: func() any { return new(gzip.Reader) }}
	zstds = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeAllCapLimit(true)) // no more than there is room for
		if err != nil {
			panic(err) // the options are constant
		}
		return d
	}}
)

// Decompress undoes a Content-Encoding: gzip, zstd, or none. The error is
// jsonval.ErrTooLarge when the result is longer than limit bytes, however short body is,
// ErrEncoding for any other encoding, and ErrCorrupt. Without an encoding the
// result is body itself; else its memory is reserved in room, which may be nil, with
// the errors of [jsonval.Room.Reserve].
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
		return gunzip(z, body, limit, room)
	case "zstd":
		z := zstds.Get().(*zstd.Decoder)
		defer zstds.Put(z)
		return unzstd(z, body, limit, room)
	default:
		return nil, ErrEncoding
	}
}

func gunzip(z *gzip.Reader, body []byte, limit int64, room *jsonval.Room) (out []byte, err error) {
	var reserved int64
	for {
		if out, reserved, err = room.AppendRoom(out, 1, min(4*int64(len(body)), limit+1), reserved); err != nil {
			return nil, err
		}
		n, err := z.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case int64(len(out)) > limit:
			return nil, jsonval.ErrTooLarge
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, ErrCorrupt
		}
	}
}

// unzstd decompresses in one go: the output is the window then, which would take
// up to maxWindow else. Where the size isn't known, it tries larger and larger ones.
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

// coding gives the name of a content coding one spelling.
func coding(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// readable narrows an Accept-Encoding to what Decompress understands, so that
// no client can hide the API's answer from token_expired.
func readable(accept []string) []string {
	var kept []string
	for _, line := range accept {
		for member := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(member, ";")
			switch coding(name) {
			case "gzip", "x-gzip", "zstd", "identity":
				kept = append(kept, strings.TrimSpace(member))
			}
		}
	}
	if kept == nil {
		return []string{"identity"}
	}
	return []string{strings.Join(kept, ", ")}
}

// Interface guards
var (
	_ net.Error = (*ReadError)(nil)
)
