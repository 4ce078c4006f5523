package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/caddyserver/xcaddy"
)

// buildFunc is xcaddy.Builder.Build.
type buildFunc func(b xcaddy.Builder, ctx context.Context, output string) error

// offline is what go says when it would have needed the network.
const offline = "disabled by GOPROXY=off"

// compile builds b, first from the module cache alone: every version is pinned,
// so the result is the same, and the look-ups that xcaddy causes would take 12
// of the 15 s of a warm build.
func compile(ctx context.Context, b xcaddy.Builder, output string, build buildFunc) error {
	proxy, set := os.LookupEnv("GOPROXY")
	if err := os.Setenv("GOPROXY", "off"); err != nil {
		return err
	}
	attempt := func() error { return build(b, ctx, output) }
	said, err := muffled(attempt)
	if set {
		err = errors.Join(err, os.Setenv("GOPROXY", proxy))
	} else {
		err = errors.Join(err, os.Unsetenv("GOPROXY"))
	}
	if err != nil && strings.Contains(said, offline) {
		said, err = muffled(attempt)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

// muffled runs f while what this process and its children print goes to a file.
// It returns what matters of that, for an error message, and f's error.
func muffled(f func() error) (said string, err error) {
	file, err := os.CreateTemp("", "build-*.log")
	if err != nil {
		return "", err
	}
	defer os.Remove(file.Name())
	defer file.Close()

	stdout, stderr, logger := os.Stdout, os.Stderr, log.Writer()
	os.Stdout, os.Stderr = file, file
	log.SetOutput(file)
	err = f()
	os.Stdout, os.Stderr = stdout, stderr
	log.SetOutput(logger)

	said, unread := tail(file, 16<<10)
	return last(said), errors.Join(err, unread)
}

// last leaves the last command that xcaddy ran, with its output.
func last(said string) string {
	if i := strings.LastIndex(said, "[INFO] exec "); i >= 0 {
		return said[strings.LastIndex(said[:i], "\n")+1:]
	}
	return said
}

// tail returns the end of f, most bytes at the most, from the start of a line on.
func tail(f *os.File, most int64) (string, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	from := size - min(size, most)
	text, err := io.ReadAll(io.NewSectionReader(f, from, size-from))
	if from > 0 {
		_, rest, _ := strings.Cut(string(text), "\n")
		return rest, err
	}
	return string(text), err
}
