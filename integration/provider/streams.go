package provider

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// streams are the routes that don't fit into one buffered answer.
var streams = map[string]func(*call) answer{
	"/stream":  events,
	"/ws":      socket,
	"/upload":  upload,
	"/big":     big,
	"/gzip":    zipped,
	"/chunked": chunked,
	"/ndjson":  ndjson,
}

// streamsBody tells the routes that read the request's body themselves.
func streamsBody(path string) bool {
	path = strings.TrimPrefix(path, "/free")
	return path == "/upload" || path == "/ws"
}

// events is /stream: server-sent events, without an end unless ?events=N.
func events(c *call) answer {
	n := c.number("events", -1)
	return streamed("text/event-stream", func(c *call) {
		for i := 0; i != n; i++ {
			if i > 0 && !c.wait(c.s.opt.StreamInterval) {
				return
			}
			c.writeNow("id: %d\ndata: {\"n\":%d}\n\n", i, i)
		}
	})
}

// chunked is /chunked?chunks=N (3): a body of unknown length, with a trailer.
func chunked(c *call) answer {
	n := c.number("chunks", 3)
	a := streamed("text/plain; charset=utf-8", func(c *call) {
		for i := range n {
			c.writeNow("chunk %d\n", i)
		}
		c.w.Header().Set("X-Chunks", strconv.Itoa(n))
	})
	a.header["Trailer"] = "X-Chunks"
	return a
}

// ndjson is /ndjson?lines=N (5): one JSON document a line.
func ndjson(c *call) answer {
	n := c.number("lines", 5)
	return streamed("application/x-ndjson", func(c *call) {
		for i := range n {
			c.writeNow("{\"line\":%d}\n", i)
		}
	})
}

// big is /big?bytes=N (1 MiB): that many bytes, with a Content-Length.
func big(c *call) answer {
	n := c.number("bytes", 1<<20)
	a := streamed("application/octet-stream", func(c *call) {
		_, _ = io.CopyN(c.w, repeated('x'), int64(n))
	})
	a.header["Content-Length"] = strconv.Itoa(n)
	return a
}

// zipped is /gzip?bytes=N (1 MiB): JSON that has this size once it is decompressed.
func zipped(c *call) answer {
	return gzipAnswer(c.number("bytes", 1<<20))
}

// upload is /upload: counts what is sent and says its SHA-256.
func upload(*call) answer {
	return streamed("application/json", func(c *call) {
		sum := sha256.New()
		n, err := io.Copy(sum, c.r.Body)
		if err != nil {
			c.note("body_cut_short", 0)
			c.gone()
		}
		c.writeNow(`{"bytes":%d,"sha256":"%s"}`, n, hex.EncodeToString(sum.Sum(nil)))
	})
}

// socket is /ws: a websocket that sends everything back.
func socket(c *call) answer {
	if !websocket.IsWebSocketUpgrade(c.r) {
		return envelope("no_upgrade", http.StatusUpgradeRequired, "426", "websocket only", nil)
	}
	return answer{outcome: outcomeOK, status: http.StatusSwitchingProtocols, stream: func(c *call) {
		upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
		conn, err := upgrader.Upgrade(c.w, c.r, nil)
		if err != nil {
			return // Upgrade has answered
		}
		defer conn.Close()
		done := make(chan struct{})
		defer close(done)
		go func() { // a hijacked connection is ours to close when the server stops
			select {
			case <-c.stop:
				_ = conn.Close()
			case <-done:
			}
		}()
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil {
				return
			}
			if conn.WriteMessage(kind, message) != nil {
				return
			}
		}
	}}
}

func streamed(contentType string, stream func(*call)) answer {
	return answer{
		outcome: outcomeOK, status: http.StatusOK, stream: stream,
		header: map[string]string{"Content-Type": contentType, "Cache-Control": "no-cache"},
	}
}

// writeNow writes and flushes.
func (c *call) writeNow(format string, args ...any) {
	_, _ = fmt.Fprintf(c.w, format, args...)
	_ = http.NewResponseController(c.w).Flush()
}

// number is a query parameter that counts something.
func (c *call) number(name string, absent int) int {
	n, err := strconv.Atoi(c.fields.query.Get(name))
	if err != nil || n < 0 {
		return absent
	}
	return n
}

// repeated reads as one byte without end.
type repeated byte

func (b repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// bombs keeps compressed answers by size: making one of 300 MB takes a second.
var bombs sync.Map

// gzipAnswer is a JSON answer of this many bytes, compressed to a thousandth.
func gzipAnswer(size int) answer {
	made, _ := bombs.LoadOrStore(size, sync.OnceValue(func() []byte {
		const head, tail = `{"code":"000000","data":{"access_token":"bomb","refresh_token":"bomb","nick":"`, `"}}`
		var buf bytes.Buffer
		zw := gzip.NewWriter(&buf)
		_, _ = io.WriteString(zw, head)
		_, _ = io.CopyN(zw, repeated('x'), int64(max(0, size-len(head)-len(tail))))
		_, _ = io.WriteString(zw, tail)
		_ = zw.Close()
		return buf.Bytes()
	}))
	return answer{
		outcome: outcomeOK, status: http.StatusOK, body: made.(func() []byte)(),
		header: map[string]string{"Content-Encoding": "gzip"},
	}
}
