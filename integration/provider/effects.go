package provider

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// effect is what a fault does to a call. Some answer instead of the server,
// which then does nothing; others spoil the answer after the work was done.
type effect func(c *call, f Fault, work func() answer)

// effects are the faults that decide over an answer. Those that spoil answers
// leave streams as they are, except lost-response, late and no-content-type.
var effects = map[string]effect{
	// Instead of the work.
	"hang":       hang,
	"reset":      reset,
	"status":     instead(statusAnswer),
	"error-code": instead(errorCodeAnswer),
	"empty":      instead(emptyAnswer),
	"html":       instead(htmlAnswer),
	"huge":       instead(hugeAnswer),
	"gzip-bomb":  instead(bombAnswer),
	"deep-json":  instead(deepAnswer),
	"redirect":   instead(redirectAnswer),
	// The work is done, the answer lost or spoilt.
	"same-token":       unchanged,
	"lost-response":    lose,
	"late":             late,
	"truncate":         truncate,
	"half-then-hang":   halfThenHang,
	"slow-drip":        drip,
	"no-content-type":  untyped,
	"header":           labelled,
	"partial-206":      spoil(partial),
	"brotli-labelled":  spoil(brotli),
	"bad-json":         spoil(badJSON),
	"trailing-garbage": spoil(trailingGarbage),
	"two-documents":    spoil(twoDocuments),
	"invalid-utf8":     spoil(invalidUTF8),
	// A token is given, but not as JSON, or beside a refresh token that is none.
	"as-form":        spoil(asForm),
	"as-text":        spoil(asText),
	"as-header":      spoil(asHeader),
	"number-refresh": spoil(numberRefresh),
}

func instead(of func(Fault) answer) effect {
	return func(c *call, f Fault, _ func() answer) {
		a := of(f)
		a.outcome = "fault"
		c.send(a)
	}
}

func spoil(change func(*answer)) effect {
	return func(c *call, _ Fault, work func() answer) {
		a := work()
		if a.stream == nil {
			if a.header == nil {
				a.header = map[string]string{}
			}
			change(&a)
		}
		c.send(a)
	}
}

// hang says nothing, for the fault's delay or until the caller leaves.
func hang(c *call, f Fault, _ func() answer) {
	c.note("fault", 0)
	c.wait(f.Delay)
	c.gone()
}

// reset ends the connection by RST instead of FIN.
func reset(c *call, _ Fault, _ func() answer) {
	c.note("fault", 0)
	conn, _, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		c.gone()
	}
	below := conn
	if tls, ok := conn.(interface{ NetConn() net.Conn }); ok {
		below = tls.NetConn()
	}
	if tcp, ok := below.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = below.Close()
}

func statusAnswer(f Fault) answer {
	status := cmp.Or(f.Status, http.StatusServiceUnavailable)
	if status == http.StatusUnauthorized {
		return unauthorized("fault")
	}
	a := envelope("fault", status, strconv.Itoa(status), http.StatusText(status), nil)
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		a.header = map[string]string{"Retry-After": "1"}
	}
	return a
}

func errorCodeAnswer(f Fault) answer {
	return envelope("fault", http.StatusOK, cmp.Or(f.Code, "999999"), "system busy", nil)
}

func emptyAnswer(Fault) answer { return answer{status: http.StatusOK} }

func htmlAnswer(Fault) answer {
	return answer{
		status: http.StatusOK,
		header: map[string]string{"Content-Type": "text/html; charset=utf-8"},
		body:   []byte("<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>Back soon</h1></body></html>\n"),
	}
}

// hugeAnswer is valid and a success, only too long to be read.
func hugeAnswer(f Fault) answer {
	size := cmp.Or(f.Size, 5<<20)
	if made, ok := hugeAnswers.Load(size); ok {
		return made.(answer)
	}
	made := envelope("fault", http.StatusOK, "000000", "", map[string]any{
		"access_token": "huge", "refresh_token": "huge", "pad": strings.Repeat("x", size),
	})
	hugeAnswers.Store(size, made)
	return made
}

// hugeAnswers are those made already, by size: they are never changed.
var hugeAnswers sync.Map

func bombAnswer(f Fault) answer { return gzipAnswer(cmp.Or(f.Size, 300<<20)) }

func deepAnswer(f Fault) answer {
	depth := cmp.Or(f.Size, 5000)
	return answer{status: http.StatusOK, body: fmt.Appendf(nil,
		`{"code":"000000","data":{"access_token":"deep","refresh_token":"deep","nick":%s%s}}`,
		strings.Repeat("[", depth), strings.Repeat("]", depth))}
}

func redirectAnswer(f Fault) answer {
	return answer{status: cmp.Or(f.Status, http.StatusTemporaryRedirect), header: map[string]string{"Location": f.Location}}
}

// unchanged hands out the token that is out already.
func unchanged(c *call, f Fault, work func() answer) {
	c.same = &sameToken{extend: f.Extend}
	c.send(work())
}

// lose does the work and closes the connection without an answer.
func lose(c *call, _ Fault, work func() answer) {
	c.note(work().outcome, 0)
	c.gone()
}

// late does the work at once and answers after the delay.
func late(c *call, f Fault, work func() answer) {
	a := work()
	c.note(a.outcome, 0)
	if !c.wait(f.Delay) {
		c.gone()
	}
	c.send(a)
}

// truncate promises more than it sends. What it sends is valid JSON, so that
// only who counts the bytes notices.
func truncate(c *call, _ Fault, work func() answer) {
	if c.sendPart(work(), 1, 1024) {
		c.gone()
	}
}

// halfThenHang sends half of the answer and holds the connection.
func halfThenHang(c *call, f Fault, work func() answer) {
	if c.sendPart(work(), 2, 0) {
		c.wait(f.Delay)
		c.gone()
	}
}

// sendPart sends the first part of 1/of of the body under a Content-Length
// that is the whole and more. It sends streams as they are and says false.
func (c *call) sendPart(a answer, of, more int) bool {
	if a.stream != nil {
		c.send(a)
		return false
	}
	c.note(a.outcome, a.status)
	c.sendHeader(a)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(a.body)+more))
	c.w.WriteHeader(a.status)
	_, _ = c.w.Write(a.body[:len(a.body)/of])
	_ = http.NewResponseController(c.w).Flush()
	return true
}

// drip sends one byte at a time.
func drip(c *call, f Fault, work func() answer) {
	a := work()
	if a.stream != nil {
		c.send(a)
		return
	}
	whole := a.body
	a.stream = func(c *call) {
		for i, b := range whole {
			if i > 0 && !c.wait(cmp.Or(f.Delay, 50*time.Millisecond)) {
				c.gone()
			}
			_, _ = c.w.Write([]byte{b})
			_ = http.NewResponseController(c.w).Flush()
		}
	}
	c.send(a)
}

// untyped leaves the Content-Type out.
func untyped(c *call, _ Fault, work func() answer) {
	a := work()
	c.untyped = true
	c.send(a)
}

// labelled adds headers to the answer.
func labelled(c *call, f Fault, work func() answer) {
	a := work()
	if a.header == nil {
		a.header = map[string]string{}
	}
	maps.Copy(a.header, f.Header)
	c.send(a)
}

// partial says 206 to a request that asked for no range. The part is valid
// JSON, so that only who reads the status notices.
func partial(a *answer) {
	a.status = http.StatusPartialContent
	a.header["Content-Range"] = fmt.Sprintf("bytes 0-%d/%d", max(0, len(a.body)-1), len(a.body)+1024)
}

// brotli labels plain JSON as compressed.
func brotli(a *answer) { a.header["Content-Encoding"] = "br" }

func badJSON(a *answer) { a.body = a.body[:len(a.body)*2/3] }

func trailingGarbage(a *answer) { a.body = append(bytes.Clone(a.body), "}garbage"...) }

func twoDocuments(a *answer) {
	a.body = bytes.Join([][]byte{a.body, a.body}, []byte("\n"))
}

func invalidUTF8(a *answer) {
	a.body = bytes.Replace(a.body, []byte("{"), []byte("{\"noise\":\"\xff\xfe\x80\","), 1)
}
