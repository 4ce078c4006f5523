package api

import (
	"bufio"
	"bytes"
	"errors"
	"maps"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/transport"
)

// responseBuffer stands between the chain and the phone system. It buffers an
// answer until the call has been judged, or passes it through as it arrives.
//
// It has no Unwrap, and its flush has no effect while it buffers: reverse_proxy
// flushes before it panics on a truncated answer, and nothing must be sent then.
type responseBuffer struct {
	w       http.ResponseWriter
	header  http.Header
	status  int
	body    *bytes.Buffer
	limit   int64
	passing bool // the answer is passed through; it can't be changed any more
	overrun bool // the answer is larger than the limit
	noRoom  bool // no memory became available in time
	endless bool // the answer is a stream, which can't be buffered

	room     *jsonval.Room // where the body's memory is reserved
	reserved int64         // bytes

	decoded *decoded // set by text
	owner   passThrough
}

// decoded is a body without its Content-Encoding.
type decoded struct {
	body []byte
	err  error
}

// passThrough decides, once the status and headers are known, whether an answer
// is passed through. startPassing is called before that happens.
type passThrough interface {
	passesThrough(status int, header http.Header) bool
	startPassing()
}

var errEndless = errors.New("the answer is a stream, which can be neither judged nor shaped")

var errOverrun = errors.New("the answer is larger than max_size")

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled keeps the pool from holding large buffers, whose memory isn't
// reserved.
const maxPooled = 32 << 10

// reset prepares the buffer for an attempt.
func (rec *responseBuffer) reset(w http.ResponseWriter, limit int64, room *jsonval.Room) {
	if rec.body == nil {
		rec.body = buffers.Get().(*bytes.Buffer)
	}
	rec.body.Reset()
	rec.w, rec.limit, rec.room, rec.status = w, limit, room, 0
	rec.overrun, rec.noRoom, rec.endless = false, false, false
	rec.decoded = nil
	rec.header = w.Header().Clone()
	if rec.header == nil {
		rec.header = make(http.Header)
	}
}

// scratch returns memory to render our answer into, once the API's answer is
// decoded; nil if there is none. It is valid until free.
func (rec *responseBuffer) scratch() []byte {
	if rec.body == nil {
		return nil
	}
	rec.body.Reset()
	return rec.body.AvailableBuffer()
}

// text returns the answer without its Content-Encoding.
func (rec *responseBuffer) text() ([]byte, error) {
	encoding := rec.header.Get("Content-Encoding")
	if encoding == "" {
		return rec.body.Bytes(), nil
	}
	if rec.decoded == nil {
		body, err := transport.Decompress(rec.body.Bytes(), encoding, rec.limit, rec.room)
		rec.decoded = &decoded{body, err}
	}
	return rec.decoded.body, rec.decoded.err
}

func (rec *responseBuffer) free() {
	if rec.body != nil && rec.body.Cap() <= maxPooled {
		buffers.Put(rec.body)
	}
	rec.body = nil
}

// Header implements http.ResponseWriter: a map of our own, until the answer is
// passed through.
func (rec *responseBuffer) Header() http.Header {
	if rec.passing {
		return rec.w.Header()
	}
	return rec.header
}

// WriteHeader implements http.ResponseWriter.
func (rec *responseBuffer) WriteHeader(status int) {
	if rec.passing {
		rec.w.WriteHeader(status)
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		return // a phone system has no use for early hints
	}
	if rec.status != 0 {
		return
	}
	rec.status = status
	if !rec.owner.passesThrough(status, rec.header) {
		return
	}
	rec.owner.startPassing()
	own := rec.w.Header()
	clear(own)
	maps.Copy(own, rec.header)
	rec.passing = true
	rec.w.WriteHeader(status)
}

// Write implements http.ResponseWriter. While it buffers, it refuses what exceeds
// the limit, which aborts the API's answer.
func (rec *responseBuffer) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.WriteHeader(http.StatusOK)
	}
	if rec.passing {
		return rec.w.Write(p)
	}
	if rec.endless {
		return 0, errEndless
	}
	if int64(rec.body.Len())+int64(len(p)) > rec.limit {
		rec.overrun = true
		return 0, errOverrun
	}
	if rec.body.Available() < len(p) {
		if err := rec.grow(len(p)); err != nil {
			return 0, err
		}
	}
	return rec.body.Write(p)
}

// grow reserves memory for n more bytes of the answer, or for all that are
// announced. It waits until the memory is available.
func (rec *responseBuffer) grow(n int) error {
	announced, _ := strconv.ParseInt(rec.header.Get("Content-Length"), 10, 64)
	size := max(int64(rec.body.Len()+n), min(announced, rec.limit), 2*int64(rec.body.Cap()))
	switch err := rec.room.Reserve(jsonval.ForText, size); {
	case errors.Is(err, jsonval.ErrNoRoom):
		rec.noRoom = true
		return err
	case err != nil:
		rec.overrun = true
		return err
	}
	rec.body.Grow(int(size) - rec.body.Len())
	rec.room.Return(jsonval.ForText, rec.reserved)
	rec.reserved = size
	return nil
}

// FlushError flushes an answer that is passed through.
func (rec *responseBuffer) FlushError() error {
	if !rec.passing {
		return nil
	}
	return http.NewResponseController(rec.w).Flush()
}

// Hijack hands over the connection after a protocol switch.
func (rec *responseBuffer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !rec.passing {
		return nil, nil, http.ErrNotSupported
	}
	return http.NewResponseController(rec.w).Hijack()
}

// isStream reports whether an answer must never be buffered: server-sent events,
// upgrades, gRPC, JSON lines.
func isStream(status int, header http.Header) bool {
	if status == http.StatusSwitchingProtocols {
		return true
	}
	announced := header.Get("Content-Type")
	if strings.HasPrefix(announced, "application/json") {
		return false // fast: the usual type
	}
	kind, _, err := mime.ParseMediaType(announced)
	return err == nil && transport.IsStream(kind)
}
