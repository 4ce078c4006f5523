package api

import (
	"bufio"
	"bytes"
	"errors"
	"maps"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/switchboard-ivr/switchboard/module/transport"
)

// recorder stands between the chain and the phone system. It holds an answer
// back until the call has been judged, or lets it through as it comes.
//
// It has no Unwrap, and its flush does nothing while it holds back: reverse_proxy
// flushes before it panics on a truncated answer, and that must not send
// anything.
type recorder struct {
	w       http.ResponseWriter
	header  http.Header
	status  int
	body    *bytes.Buffer
	limit   int64
	passing bool // the answer goes through; nothing can be taken back
	overrun bool // the answer is larger than the limit
	endless bool // the answer is a stream, and nobody is there who could take it

	// passes decides, once the status and headers are known, whether to let
	// the answer through. begin is called before that.
	passes func(status int, header http.Header) bool
	begin  func()
}

var errEndless = errors.New("the answer is a stream, which can be neither judged nor shaped")

var errOverrun = errors.New("the answer is larger than max_size")

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled keeps a few large answers from holding memory for good.
const maxPooled = 1 << 20

// reset prepares the recorder for an attempt.
func (rec *recorder) reset(w http.ResponseWriter, limit int64) {
	if rec.body == nil {
		rec.body = buffers.Get().(*bytes.Buffer)
	}
	rec.body.Reset()
	rec.w, rec.limit, rec.status, rec.overrun, rec.endless = w, limit, 0, false, false
	rec.header = w.Header().Clone()
	if rec.header == nil {
		rec.header = make(http.Header)
	}
}

// spare is room to write our answer into, once the API's has been decoded; nil when
// there was none. It is good until free.
func (rec *recorder) spare() []byte {
	if rec.body == nil {
		return nil
	}
	rec.body.Reset()
	return rec.body.AvailableBuffer()
}

// text is the answer without its Content-Encoding.
func (rec *recorder) text() ([]byte, error) {
	encoding := strings.ToLower(strings.TrimSpace(rec.header.Get("Content-Encoding")))
	return transport.Decompress(rec.body.Bytes(), encoding, rec.limit)
}

func (rec *recorder) free() {
	if rec.body != nil && rec.body.Cap() <= maxPooled {
		buffers.Put(rec.body)
	}
	rec.body = nil
}

// Header implements http.ResponseWriter: a map of our own until the answer
// goes through.
func (rec *recorder) Header() http.Header {
	if rec.passing {
		return rec.w.Header()
	}
	return rec.header
}

// WriteHeader implements http.ResponseWriter.
func (rec *recorder) WriteHeader(status int) {
	if rec.passing {
		rec.w.WriteHeader(status)
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		return // early hints are of no use to a phone system
	}
	if rec.status != 0 {
		return
	}
	rec.status = status
	if !rec.passes(status, rec.header) {
		return
	}
	rec.begin()
	own := rec.w.Header()
	clear(own)
	maps.Copy(own, rec.header)
	rec.passing = true
	rec.w.WriteHeader(status)
}

// Write implements http.ResponseWriter. Holding back, it refuses what goes
// over the limit, which ends the API's answer.
func (rec *recorder) Write(p []byte) (int, error) {
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
	return rec.body.Write(p)
}

// FlushError flushes an answer that goes through.
func (rec *recorder) FlushError() error {
	if !rec.passing {
		return nil
	}
	return http.NewResponseController(rec.w).Flush()
}

// Hijack hands over the connection, for a protocol that has been switched.
func (rec *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !rec.passing {
		return nil, nil, http.ErrNotSupported
	}
	return http.NewResponseController(rec.w).Hijack()
}

// isStream tells whether an answer is one that must never be held back: events,
// upgrades, gRPC, lines of JSON.
func isStream(status int, header http.Header) bool {
	if status == http.StatusSwitchingProtocols {
		return true
	}
	announced := header.Get("Content-Type")
	if strings.HasPrefix(announced, "application/json") {
		return false // as most are, and as parsing would tell
	}
	kind, _, err := mime.ParseMediaType(announced)
	return err == nil && transport.IsStream(kind)
}
