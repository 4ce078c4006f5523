package transport

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// source is a body that reports whether it was closed.
type source struct {
	io.Reader
	closed int
}

func (s *source) Close() error { s.closed++; return nil }

func mustView(t *testing.T, r *rewinder) io.ReadCloser {
	t.Helper()
	v, err := r.view(nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRewindAfterPart(t *testing.T) {
	for _, read := range []int{0, 1, 5, 10} {
		src := &source{Reader: iotest.OneByteReader(strings.NewReader("0123456789"))}
		r := newRewinder(src, 10, 100, nil)
		first := mustView(t, r)
		if _, err := io.CopyN(io.Discard, first, int64(read)); err != nil {
			t.Fatal(err)
		}
		second := mustView(t, r)
		r.settle()
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, errSuperseded) {
			t.Errorf("the first view reads on: %v", err)
		}
		if err := first.Close(); err != nil || src.closed != 0 {
			t.Errorf("closing the first view: %v, closed %d times", err, src.closed)
		}
		if got, err := io.ReadAll(second); err != nil || string(got) != "0123456789" {
			t.Errorf("after %d bytes: %q, %v", read, got, err)
		}
		for range 2 {
			if err := second.Close(); err != nil {
				t.Error(err)
			}
		}
		if src.closed != 1 {
			t.Errorf("closed %d times", src.closed)
		}
	}
}

func TestRewindTooLarge(t *testing.T) {
	r := newRewinder(&source{Reader: iotest.HalfReader(strings.NewReader("0123456789"))}, -1, 9, nil)
	first := mustView(t, r)
	if got, err := io.ReadAll(first); err != nil || string(got) != "0123456789" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := r.view(nil); !errors.Is(err, errNotKept) || !r.isLost() {
		t.Errorf("got %v", err)
	}
	if n, err := first.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// The http transport can still be waiting for the client when the second try
// begins: what comes then belongs to the second.
func TestRewindDuringRead(t *testing.T) {
	pr, pw := io.Pipe()
	begun := make(chan struct{}, 100)
	r := newRewinder(&source{Reader: signalReader{pr, begun}}, -1, 4, nil)
	first := mustView(t, r)
	reading := make(chan error, 1)
	go func() {
		_, err := first.Read(make([]byte, 32))
		reading <- err
	}()
	<-begun
	second := mustView(t, r)
	r.settle()
	all := make(chan []byte, 1)
	go func() {
		got, _ := io.ReadAll(second)
		all <- got
	}()
	for _, part := range []string{"more than is kept", ", and the rest"} {
		if _, err := pw.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := pw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-reading; !errors.Is(err, errSuperseded) {
		t.Errorf("the first view: %v", err)
	}
	if got := <-all; string(got) != "more than is kept, and the rest" {
		t.Errorf("the second view: %q", got)
	}
}

func TestRewindErrorStays(t *testing.T) {
	broken := errors.New("connection reset")
	r := newRewinder(&source{Reader: io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(broken))}, -1, 9, nil)
	_, _ = io.ReadAll(mustView(t, r))
	if got, err := io.ReadAll(mustView(t, r)); string(got) != "ab" || !errors.Is(err, broken) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRewindSettledLate(t *testing.T) {
	src := &source{Reader: strings.NewReader("x")}
	r := newRewinder(src, 1, 9, nil)
	v := mustView(t, r)
	if err := v.Close(); err != nil || src.closed != 0 {
		t.Fatalf("closed before another try was ruled out: %v", err)
	}
	r.settle()
	if src.closed != 1 {
		t.Errorf("closed %d times", src.closed)
	}
}

// A trailer arrives with the end of the body, for each attempt again.
func TestRewindTrailer(t *testing.T) {
	theirs := http.Header{"Digest": nil}
	src := &source{Reader: io.MultiReader(strings.NewReader("x"), readerFunc(func() { theirs["Digest"] = []string{"d"} }))}
	r := newRewinder(src, -1, 9, func() http.Header { return theirs })
	for range 2 {
		trailer := http.Header{"Digest": nil}
		v, err := r.view(trailer)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(v); err != nil || !bytes.Equal(got, []byte("x")) {
			t.Fatalf("%q, %v", got, err)
		}
		if trailer.Get("Digest") != "d" {
			t.Errorf("trailer %v", trailer)
		}
	}
}

type readerFunc func()

func (f readerFunc) Read([]byte) (int, error) { f(); return 0, io.EOF }

// signalReader tells when it is being read.
type signalReader struct {
	io.Reader
	begun chan<- struct{}
}

func (s signalReader) Read(p []byte) (int, error) {
	s.begun <- struct{}{}
	return s.Reader.Read(p)
}
