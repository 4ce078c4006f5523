package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds the bodies that are read as a whole.
const maxBody = 1 << 20

// outcomeOK is the ledger's word for a call that got what it asked for.
const outcomeOK = "ok"

// call is one request on its way through the server.
type call struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	stop  <-chan struct{} // closed when the server stops
	entry Entry

	body   []byte // as it came; nil where the route streams it
	fields fields

	shift time.Duration // how wrong the server's clock is for this call
	same  *sameToken    // a fault asks for an unchanged token
	// deadByCode tells of a dead token by a code inside HTTP 200.
	deadByCode bool
	untyped    bool // a fault leaves the Content-Type out
}

// answer is what a route says. Streams write themselves.
type answer struct {
	status  int
	outcome string
	header  map[string]string
	body    []byte
	stream  func(*call)
}

// ServeHTTP answers a call: it reads what came, writes the entry, lets a fault
// step in, and only then does what was asked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stop, ok := s.enter()
	if !ok {
		panic(http.ErrAbortHandler)
	}
	defer s.calls.Done()
	if strings.HasPrefix(r.URL.Path, "/_") {
		s.control.ServeHTTP(w, r)
		return
	}

	c := &call{s: s, w: w, r: r, stop: stop}
	work := c.open()
	s.ledger.begin(&c.entry)

	fault := c.takeFaults()
	if fault == nil {
		c.send(work())
		return
	}
	c.entry.Fault = fault.Fault
	effects[fault.Fault](c, *fault, work)
}

// open reads the request and returns the work that it asks for.
func (c *call) open() (work func() answer) {
	r := c.r
	c.entry = Entry{
		Time: time.Now(), Kind: kindOf(r.URL.Path), Method: r.Method, Host: r.Host,
		Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, ContentType: r.Header.Get("Content-Type"),
		Header: keepHeaders(r.Header),
	}
	if c.entry.Kind == API && streamsBody(r.URL.Path) {
		c.fields = fields{query: r.URL.Query()}
		return c.openAPI()
	}

	body, err := io.ReadAll(http.MaxBytesReader(c.w, r.Body, maxBody))
	if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
		return refusal("body_too_large", http.StatusRequestEntityTooLarge, "413", "body too large")
	} else if err != nil {
		return refusal("body_cut_short", http.StatusBadRequest, "400000", "body cut short")
	}
	c.body = body
	c.entry.Body = string(body[:min(len(body), bodyKept)])
	c.fields = readFields(r, body)
	c.entry.Via = c.fields.via()

	switch c.entry.Kind {
	case TokenGet:
		return c.signIn
	case TokenRefresh:
		c.entry.RefreshToken = c.fields.get("refresh_token")
		return c.refresh
	case Authorize:
		return c.authorize
	case OAuth2:
		c.entry.RefreshToken = c.fields.get("refresh_token")
		return c.oauth2
	default:
		return c.openAPI()
	}
}

func kindOf(path string) string {
	switch path {
	case "/token/get":
		return TokenGet
	case "/token/refresh":
		return TokenRefresh
	case "/oauth2/authorize":
		return Authorize
	case "/oauth2/token":
		return OAuth2
	default:
		return API
	}
}

// now is the time by the server's own clock, which a fault may have set wrong.
func (c *call) now() time.Time { return time.Now().Add(c.shift) }

// note completes the ledger's entry. It comes before the answer, so that who
// has the answer finds the entry.
func (c *call) note(outcome string, status int) {
	c.entry.Outcome, c.entry.Status = outcome, status
	c.s.ledger.finish(&c.entry)
}

// send writes an answer as it should be.
func (c *call) send(a answer) {
	c.note(a.outcome, a.status)
	c.sendHeader(a)
	if a.stream != nil {
		a.stream(c)
		return
	}
	c.w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	c.w.WriteHeader(a.status)
	_, _ = c.w.Write(a.body)
}

// sendHeader prepares the answer's header without sending it.
func (c *call) sendHeader(a answer) {
	h := c.w.Header()
	h.Set("Content-Type", "application/json;charset=UTF-8")
	for name, value := range a.header {
		h.Set(name, value)
	}
	if c.untyped {
		h["Content-Type"] = nil // keeps net/http from guessing one
	}
	if c.shift != 0 {
		h.Set("Date", c.now().UTC().Format(http.TimeFormat))
	}
}

// gone closes the connection without another byte.
func (c *call) gone() {
	panic(http.ErrAbortHandler)
}

// wait blocks for d, 0 meaning for ever, and reports whether anybody still
// waits for the answer.
func (c *call) wait(d time.Duration) bool {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-after:
		return true
	case <-c.r.Context().Done():
		return false
	case <-c.stop:
		return false
	}
}

// envelope is the answer in the protocol's form: code, message, data.
func envelope(outcome string, status int, code, msg string, data any) answer {
	v := map[string]any{"code": code, "data": data}
	if msg != "" {
		v["msg"] = msg
	}
	return asJSON(outcome, status, v)
}

// refusal is work that only refuses.
func refusal(outcome string, status int, code, msg string) func() answer {
	return func() answer { return envelope(outcome, status, code, msg, nil) }
}

func asJSON(outcome string, status int, v any) answer {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // our own maps and strings always encode
	return answer{outcome: outcome, status: status, body: bytes.TrimSuffix(buf.Bytes(), []byte("\n"))}
}
