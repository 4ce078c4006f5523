package call

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// The kinds of bodies that are understood.
const (
	mediaForm = iota
	mediaMultipart
	mediaJSON
)

type kind struct {
	media    int
	boundary string
}

// bodyKind tells how a body is to be read.
func bodyKind(h http.Header) (kind, error) {
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return kind{}, refuse(http.StatusUnsupportedMediaType, "body: compressed bodies are not accepted")
	}
	if len(h.Values("Content-Type")) > 1 {
		return kind{}, refuse(http.StatusBadRequest, "body: more than one Content-Type")
	}
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return kind{}, refuse(http.StatusUnsupportedMediaType, "body: no valid Content-Type")
	}
	if !isUTF8(params["charset"]) {
		return kind{}, refuse(http.StatusUnsupportedMediaType, "body: the charset must be utf-8")
	}
	switch {
	case media == "application/x-www-form-urlencoded":
		return kind{media: mediaForm}, nil
	case media == "multipart/form-data":
		if params["boundary"] == "" {
			return kind{}, refuse(http.StatusBadRequest, "form: no boundary in Content-Type")
		}
		return kind{mediaMultipart, params["boundary"]}, nil
	case media == "application/json", strings.HasSuffix(media, "+json"):
		return kind{media: mediaJSON}, nil
	}
	return kind{}, refuse(http.StatusUnsupportedMediaType, "body: Content-Type must be a form or JSON")
}

func isUTF8(charset string) bool {
	switch strings.ToLower(charset) {
	case "", "utf-8", "utf8", "us-ascii":
		return true
	}
	return false
}

// readAll reads the body of r. Its memory is reserved before: as much as is
// announced, or as may be.
func readAll(r *http.Request, l Limits) ([]byte, error) {
	limit := l.Body
	if r.ContentLength > limit {
		return nil, bodyTooLarge(limit)
	}
	expected := r.ContentLength
	if expected < 0 {
		expected = limit
	}
	if err := l.reserve(jsonval.ForBody, int(expected)); err != nil {
		return nil, err
	}
	size := int64(512)
	if r.ContentLength >= 0 {
		size = min(r.ContentLength+1, 4<<10) // the declared length is a promise, not yet bytes
	}
	b := make([]byte, 0, size)
	for {
		if err := r.Context().Err(); err != nil {
			return nil, readError(err)
		}
		if len(b) == cap(b) {
			b = slices.Grow(b, growth(len(b), expected))
		}
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if int64(len(b)) > limit {
			return nil, bodyTooLarge(limit)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, readError(err)
		}
	}
	if r.ContentLength >= 0 && int64(len(b)) != r.ContentLength {
		return nil, refuse(http.StatusBadRequest, "body: not as long as Content-Length says")
	}
	l.Room.Return(jsonval.ForBody, expected-int64(len(b)))
	return b, nil
}

// growth is how much longer a buffer of n bytes is made: to what is expected, once
// much of it has come.
func growth(n int, expected int64) int {
	if left := int(expected) - n; left < 15*n {
		return max(left, 0) + 1
	}
	return n
}

func bodyTooLarge(limit int64) *InputError {
	return refuse(http.StatusRequestEntityTooLarge, "body: more than %d bytes", limit)
}

func readError(err error) *InputError {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok { // of an earlier handler
		return refuse(http.StatusRequestEntityTooLarge, "body: more than %d bytes", tooLarge.Limit)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(http.StatusRequestTimeout, "body: took too long to arrive")
	}
	return refuse(http.StatusBadRequest, "body: ended early")
}

// decodeObject decodes a JSON body.
func decodeObject(raw []byte, l Limits) (map[string]any, error) {
	if !utf8.Valid(raw) { // the decoder would replace it silently
		return nil, refuse(http.StatusBadRequest, "json: not UTF-8")
	}
	doc, err := jsonval.Decode(raw, jsonval.Limits{Bytes: len(raw), Depth: l.Depth, Room: l.Room, Purpose: jsonval.ForRequest})
	switch {
	case errors.Is(err, jsonval.ErrNoRoom), errors.Is(err, jsonval.ErrTooMuch):
		return nil, refuseMemory(err)
	case errors.Is(err, jsonval.ErrDeadline):
		return nil, refuse(http.StatusServiceUnavailable, "json: took too long to read")
	case errors.Is(err, jsonval.ErrTooLarge):
		return nil, refuse(http.StatusBadRequest, "json: too deep, or a number is too long")
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "json: not one JSON document")
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, refuse(http.StatusBadRequest, "json: not an object")
	}
	if len(object) > l.Params {
		return nil, refuse(http.StatusBadRequest, "json: more than %d parameters", l.Params)
	}
	if bytes.Contains(raw, []byte(`\u0000`)) && hasNUL(object) {
		return nil, refuse(http.StatusBadRequest, "json: a NUL byte")
	}
	return object, nil
}

func hasNUL(doc any) bool {
	return jsonval.Any(doc, func(key string, v any) bool {
		text, _ := v.(string)
		return strings.IndexByte(key, 0) >= 0 || strings.IndexByte(text, 0) >= 0
	})
}

// Given returns the members of an object that are not blank. What is
// inside their values is left as it is.
func Given(object map[string]any) map[string]any {
	given := maps.Clone(object)
	maps.DeleteFunc(given, func(_ string, v any) bool {
		s, ok := v.(string)
		return v == nil || ok && isBlank(s)
	})
	return given
}

// HasContent reports whether there is anything in a value that isn't null or
// blank, at any depth.
func HasContent(v any) bool {
	return jsonval.Any(v, func(_ string, v any) bool {
		switch v := v.(type) {
		case nil, []any, map[string]any:
			return false
		case string:
			return !isBlank(v)
		}
		return true
	})
}
