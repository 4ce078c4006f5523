package kamailio

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed uac.xml
var scenario string

// The queues that the flow sends calls to.
const (
	VIPQueue    = "vip-queue"
	NormalQueue = "normal-queue"
	// AnyQueue stands for both.
	AnyQueue = "[a-z]*-queue"
)

// Calls are calls to make.
type Calls struct {
	// Count is how many. Default: 1.
	Count int
	// Rate is how many begin in a second. Default: 10.
	Rate int
	// Caller is the number that the flow looks up. Default: "13800138000".
	Caller string
	// Callers are several, who call in turn; they take the place of Caller.
	Callers []string
	// Queue is where every call should end. Default: VIPQueue.
	Queue string
	// Timeout for all of them. Default: 30 seconds.
	Timeout time.Duration
}

// Result is how calls ended.
type Result struct {
	// Succeeded is how many were sent to the expected queue, Failed how many
	// had another queue or another answer.
	Succeeded, Failed int
	// Outcomes counts the X-Outcome of the calls that were sent to any queue:
	// the `_status` of Switchboard's answer, "" where there was none.
	Outcomes map[string]int
	// Ended is how each of these calls ended, in that order.
	Ended []Ended
	// Times from the call's INVITE to its 302, shortest first, exact to a few
	// milliseconds.
	Times []time.Duration
	// Errors is what sipp says about the failed calls.
	Errors string
}

// Ended is how a call ended: who called, what the X-Outcome said, and the queue.
type Ended struct{ Caller, Outcome, Queue string }

// Call makes calls by sipp and returns when all have ended. It is an error
// when they couldn't be made or didn't end in time, not when they failed.
func (p *Proxy) Call(ctx context.Context, c Calls) (Result, error) {
	r, err := p.call(ctx, c)
	if err != nil {
		return Result{}, fmt.Errorf("calling by sipp: %w", err)
	}
	return r, nil
}

func (p *Proxy) call(ctx context.Context, c Calls) (Result, error) {
	dir, err := os.MkdirTemp(p.dir, "calls-")
	if err != nil {
		return Result{}, err
	}
	xml := strings.ReplaceAll(scenario, "sip:"+VIPQueue+"@", "sip:"+cmp.Or(c.Queue, VIPQueue)+"@")
	if err := os.WriteFile(filepath.Join(dir, "uac.xml"), []byte(xml), 0o600); err != nil {
		return Result{}, err
	}
	callers := c.Callers
	if len(callers) == 0 {
		callers = []string{cmp.Or(c.Caller, "13800138000")}
	}
	if err := os.WriteFile(filepath.Join(dir, "callers.csv"), []byte("SEQUENTIAL\n"+strings.Join(callers, "\n")+"\n"), 0o600); err != nil {
		return Result{}, err
	}
	local, err := freePort(ctx)
	if err != nil {
		return Result{}, err
	}
	host, port, err := net.SplitHostPort(local)
	if err != nil {
		return Result{}, err
	}

	count := strconv.Itoa(cmp.Or(c.Count, 1))
	timeout := cmp.Or(c.Timeout, 30*time.Second)
	sipp := exec.CommandContext(ctx, "sipp", p.Addr, "-sf", "uac.xml", "-inf", "callers.csv", "-nostdin",
		"-i", host, "-p", port, "-s", "hotline",
		"-m", count, "-l", count, "-r", strconv.Itoa(cmp.Or(c.Rate, 10)),
		"-timeout", strconv.Itoa(int(timeout.Milliseconds()))+"ms", "-timeout_error",
		"-trace_err", "-error_file", "errors.log", "-trace_logs", "-log_file", "outcomes.log",
		"-trace_stat", "-stf", "stat.csv", "-trace_rtt", "-rtt_freq", "1")
	sipp.Dir = dir
	out, err := sipp.CombinedOutput()
	// 1 means that calls failed; anything else, that they couldn't be made.
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		return Result{}, fmt.Errorf("%w\n%s\n%s", err, tail(out), tail(read(dir, "errors.log")))
	}
	return readResult(dir)
}

// readResult takes a finished sipp's files apart.
func readResult(dir string) (Result, error) {
	r := Result{Outcomes: map[string]int{}, Errors: string(read(dir, "errors.log"))}
	stat, err := table(filepath.Join(dir, "stat.csv"))
	if err != nil {
		return Result{}, err
	}
	if len(stat) == 0 {
		return Result{}, errors.New("no statistics")
	}
	last := stat[len(stat)-1]
	if r.Succeeded, err = strconv.Atoi(last["SuccessfulCall(C)"]); err != nil {
		return Result{}, fmt.Errorf("reading statistics: %w", err)
	}
	if r.Failed, err = strconv.Atoi(last["FailedCall(C)"]); err != nil {
		return Result{}, fmt.Errorf("reading statistics: %w", err)
	}
	for line := range strings.Lines(string(read(dir, "outcomes.log"))) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) != 3 {
			return Result{}, fmt.Errorf("reading outcomes: %q", line)
		}
		queue := strings.TrimSuffix(strings.TrimPrefix(fields[2], "sip:"), "@")
		r.Outcomes[fields[1]]++
		r.Ended = append(r.Ended, Ended{Caller: fields[0], Outcome: fields[1], Queue: queue})
	}

	files, err := filepath.Glob(filepath.Join(dir, "*_rtt.csv"))
	if err != nil {
		return Result{}, err
	}
	for _, file := range files {
		rows, err := table(file)
		if err != nil {
			return Result{}, err
		}
		for _, row := range rows {
			ms, err := strconv.ParseFloat(row["response_time_ms"], 64)
			if err != nil {
				return Result{}, fmt.Errorf("reading response times: %w", err)
			}
			r.Times = append(r.Times, time.Duration(ms*float64(time.Millisecond)))
		}
	}
	slices.Sort(r.Times)
	return r, nil
}

// table reads one of sipp's CSV files: its rows by the names of its first line.
func table(file string) ([]map[string]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	records := csv.NewReader(bytes.NewReader(b))
	records.Comma, records.FieldsPerRecord, records.LazyQuotes = ';', -1, true
	lines, err := records.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Base(file), err)
	}
	var rows []map[string]string
	for _, line := range lines[min(1, len(lines)):] {
		row := map[string]string{}
		for i, name := range lines[0] {
			if i < len(line) {
				row[name] = line[i]
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// read is a file that needn't be there: sipp makes some only when it has to.
func read(dir, name string) []byte {
	b, _ := os.ReadFile(filepath.Join(dir, name))
	return b
}

func tail(b []byte) []byte { return b[max(0, len(b)-2000):] }
