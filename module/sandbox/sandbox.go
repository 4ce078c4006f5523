// Package sandbox runs jq programs that somebody has just typed, each in a process
// of its own: what a configuration holds is compiled once and was looked at by
// those who wrote it, but a program from a web page may be any, and one can take a
// process with it.
package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strconv"
	"time"
)

// Bounds of a program's process. The packages that run the program have narrower
// ones, which say what was wrong; these are for what gets past them.
const (
	timeout   = 10 * time.Second // from its start, which takes its time on a busy machine
	maxCPU    = 2 * time.Second  // of the processor's time, after its start
	maxMemory = 512 << 20        // bytes of data, where the system can bound them
	maxOut    = 2 << 20          // bytes that it writes
	maxBusy   = 2                // processes at once
)

// Command is the command of the binary that serves as such a process, below
// `caddy switchboard`.
const Command = "run-program"

// Job is a program and what it is to work with.
type Job struct {
	Program string                     `json:"program"`
	Define  string                     `json:"define,omitempty"` // definitions before it
	Input   json.RawMessage            `json:"input"`
	Vars    map[string]json.RawMessage `json:"vars,omitempty"` // by name, without $
}

// Result is what a program gave: a value, or why there is none.
type Result struct {
	Value json.RawMessage `json:"value,omitempty"`
	Error string          `json:"error,omitempty"`
}

// What can be wrong beside the program.
var (
	// ErrBusy says that others are trying programs at the moment.
	ErrBusy = errors.New("other programs are being tried; try again in a moment")
	// ErrEnded says that the process was ended, or ended itself.
	ErrEnded = errors.New("the program took more time or memory than it may")
)

var busy = make(chan struct{}, maxBusy)

// Run runs a program. What is wrong with the program is in the result; the error
// is about running it.
func Run(ctx context.Context, job Job) (Result, error) {
	return start(ctx, job, self(), "switchboard", Command)
}

func start(ctx context.Context, job Job, binary string, args ...string) (result Result, err error) {
	text, err := json.Marshal(job)
	if err != nil {
		return result, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case busy <- struct{}{}:
		defer func() { <-busy }()
	case <-ctx.Done():
		return result, ErrBusy
	}
	cmd := exec.CommandContext(ctx, binary, args...) //nolint:gosec // this binary
	// nothing of this process's environment: it may hold secrets
	cmd.Env = []string{"GOMAXPROCS=2", "GOTRACEBACK=none", "GOMEMLIMIT=" + strconv.Itoa(maxMemory/2)}
	cmd.WaitDelay = time.Second
	cmd.Stdin = bytes.NewReader(text)
	out := &limited{left: maxOut}
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); ok || ctx.Err() != nil || out.left < 0 {
			return result, ErrEnded
		}
		return result, errors.New("no process could be started for the program")
	}
	if json.Unmarshal(out.text.Bytes(), &result) != nil {
		return result, ErrEnded
	}
	return result, nil
}

// limited takes so many bytes, and fails with more.
type limited struct {
	text bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, ErrEnded
	}
	return l.text.Write(p)
}
