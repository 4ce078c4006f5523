package model

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server is the API that misbehaves: each request says how. It answers what was
// asked, from nothing but the request, so that calls don't disturb each other.
type Server struct {
	api, trap *httptest.Server

	mu    sync.Mutex
	asked map[string]int // requests by the number of the call

	// TrapSprung counts the requests to the server that redirects lead to.
	TrapSprung int
}

// NewServer starts the API on loopback, until Close.
func NewServer() *Server {
	s := &Server{asked: map[string]int{}}
	s.api = start(s.serve)
	s.trap = start(func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		s.TrapSprung++
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, good(question{}))
	})
	return s
}

func start(h http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.MaxHeaderBytes = 4 << 20
	s.Start()
	return s
}

// Close ends the API and all that hangs in it.
func (s *Server) Close() {
	s.api.CloseClientConnections()
	s.api.Close()
	s.trap.Close()
}

// CloseConnections ends all connections to the API.
func (s *Server) CloseConnections() { s.api.CloseClientConnections() }

// URL is the API's base URL.
func (s *Server) URL() string { return s.api.URL }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	q := read(r)
	s.mu.Lock()
	s.asked[q.n]++
	first := s.asked[q.n] == 1
	s.mu.Unlock()
	switch {
	case !first, q.fault != first401, r.Header.Get("Authorization") == "":
		s.send(w, r, answer(q))
	default:
		s.send(w, r, text(http.StatusUnauthorized, `{"code":"401"}`))
	}
}

// first401 is the fault that looks like a dead token once.
const first401 = "first 401, then good"

// answer is what the API says to a question. Whoever is asked in a way that
// names no fault gets a good answer.
func answer(q question) reply {
	if f, ok := faults[q.fault]; ok {
		return f(q)
	}
	return faults["good"](q)
}

// read finds out what was asked: by query, by a JSON body, or by path.
func read(r *http.Request) question {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return question{fault: "400 JSON"}
	}
	q := question{fault: values.Get("f"), n: values.Get("n")}
	for _, tel := range values["tel"] {
		q.add(tel)
	}
	if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/by-path/"); ok {
		id, err := url.PathUnescape(rest)
		if err != nil {
			return question{fault: "400 JSON"}
		}
		q.add(id)
	}
	if r.Method != http.MethodPost {
		return q
	}
	var body struct {
		Tel  json.RawMessage
		F, N string
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 2<<20)).Decode(&body); err != nil {
		return question{fault: "400 JSON"}
	}
	q.fault, q.n = body.F, body.N
	q.addJSON(parse(string(body.Tel)))
	return q
}

func (q *question) add(tel string) {
	if tel != "" {
		q.tels = append(q.tels, tel)
	}
}

// addJSON is add for a value of a JSON body: text as it is, all else as JSON.
func (q *question) addJSON(v any) {
	switch v := v.(type) {
	case nil:
	case string:
		q.add(v)
	default:
		b, _ := json.Marshal(v)
		q.add(string(b))
	}
}

// longest is how long a hanging reply takes at most.
const longest = 3 * time.Second

func (s *Server) send(w http.ResponseWriter, r *http.Request, a reply) {
	switch a.wire {
	case dropped:
		panic(http.ErrAbortHandler)
	case reset:
		resetConn(w)
		return
	case hanging:
		wait(r.Context(), longest)
		panic(http.ErrAbortHandler)
	default:
	}
	header := w.Header()
	maps.Copy(header, a.header)
	if at := header.Get("Location"); at != "" {
		header.Set("Location", strings.ReplaceAll(at, trap, s.trap.Listener.Addr().String()))
	}
	switch a.wire {
	case cutLength, halfHangs, resetBody:
		header.Set("Content-Length", strconv.Itoa(len(a.body)+1024))
	case cutChunk, dripping:
	default:
		if a.status != http.StatusNoContent {
			header.Set("Content-Length", strconv.Itoa(len(a.body)))
		}
	}
	w.WriteHeader(a.status)
	flush := func() { _ = http.NewResponseController(w).Flush() }
	switch a.wire {
	case cutLength, cutChunk: // valid JSON: only who counts the bytes notices
		_, _ = w.Write(a.body)
		flush()
		panic(http.ErrAbortHandler)
	case resetBody:
		_, _ = w.Write(a.body[:len(a.body)/2])
		flush()
		resetConn(w)
	case halfHangs:
		_, _ = w.Write(a.body[:len(a.body)/2])
		flush()
		wait(r.Context(), longest)
		panic(http.ErrAbortHandler)
	case dripping:
		for piece := range slices.Chunk(a.body, max(1, len(a.body)/20)) {
			_, _ = w.Write(piece)
			flush()
			if !wait(r.Context(), longest/20) {
				return
			}
		}
	default:
		_, _ = w.Write(a.body)
	}
}

// resetConn ends the connection by RST instead of FIN.
func resetConn(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// wait waits, and reports whether the caller is still there.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
