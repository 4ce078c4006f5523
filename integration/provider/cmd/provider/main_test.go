package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestRunSaysWhereItListens(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan int)
	go func() {
		code := command(ctx, []string{"-listen", "127.0.0.1:0", "-expires-in", "string", "-lifetime", "30s"}, w, io.Discard)
		_ = w.Close()
		ended <- code
	}()
	line := make([]byte, 256)
	n, err := r.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	url := regexp.MustCompile(`^provider listens on (http://127\.0\.0\.1:\d+)\n$`).FindSubmatch(line[:n])
	if url == nil {
		t.Fatalf("it said %q", line[:n])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(url[1])+"/free/echo", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		t.Errorf("it said more: %q", rest)
	}
}

type closedWriter struct{}

func (closedWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestRunRefuses(t *testing.T) {
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-listen", "256.0.0.1:0"}, 1, "provider: starting provider: "},
		{[]string{"-expires-in", "later"}, 1, "unknown form"},
		{[]string{"-lifetime", "x"}, 1, "-lifetime"},
		{[]string{"stray"}, 1, `unexpected argument "stray"`},
		{[]string{"-h"}, 0, "-app-secret"},
	} {
		var stdout, stderr bytes.Buffer
		code := command(t.Context(), tc.args, &stdout, &stderr)
		if code != tc.code || !strings.Contains(stderr.String(), tc.says) || stdout.Len() > 0 {
			t.Errorf("%v: %d, %q, %q", tc.args, code, stdout.String(), stderr.String())
		}
	}
	if code := command(t.Context(), []string{"-listen", "127.0.0.1:0"}, closedWriter{}, io.Discard); code != 1 {
		t.Errorf("nobody reads what it says: %d", code)
	}
}
