package harness

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do sends a request and reads the answer whole.
func Do(t testing.TB, req *http.Request) Answer {
	t.Helper()
	a, err := Try(req)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Try is Do for tests that expect errors, or that run in goroutines.
func Try(req *http.Request) (Answer, error) {
	res, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return Answer{res.StatusCode, res.Header, string(body)}, err
}

// client follows no redirect and takes its time: a hanging answer is to be
// seen, not hidden.
var client = &http.Client{
	Timeout:       60 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
}

// CloseIdle closes the connections that no request uses.
func CloseIdle() { client.CloseIdleConnections() }

// Get fetches a URL.
func Get(t testing.TB, url string) Answer {
	t.Helper()
	return Do(t, Request(t, http.MethodGet, url, "", ""))
}

// Request makes a request with a body of a type.
func Request(t testing.TB, method, url, contentType, body string) *http.Request {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req
}
