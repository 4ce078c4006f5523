package kamailio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/switchboard-ivr/switchboard/integration/kamailio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers are what the API says about each caller.
var answers = map[string]string{
	"13800138000":    `{"name":"x","vip":"1","_status":"ok"}`,
	"13900139000":    `{"name":"","vip":"2","_status":"not_found"}`,
	"+8613600136000": `{"name":"$(date) $ru x\" & \"1","vip":"1","_status":"stale"}`,
	"a&b":            `{"name":"x"}`,
}

// flow is a Kamailio that asks an API of ours. It tells whom it was asked about.
func flow(t *testing.T) (p *kamailio.Proxy, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var tels []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		tel := r.URL.Query().Get("tel")
		tels = append(tels, tel)
		if answers[tel] == "" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = fmt.Fprint(w, answers[tel])
	}))
	t.Cleanup(api.Close)
	p, err := kamailio.Start(t.Context(), api.URL+"/ivr/order", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(tels)
	}
}

func TestCallsAreSentToTheirQueue(t *testing.T) {
	p, asked := flow(t)
	for _, tc := range []struct {
		caller, queue, outcome string
	}{
		{"13800138000", kamailio.VIPQueue, "ok"},
		{"13900139000", kamailio.NormalQueue, "not_found"},
		{"+8613600136000", kamailio.VIPQueue, "stale"},
		{"a&b", kamailio.NormalQueue, ""}, // what the last call left must not show
	} {
		before := len(asked())
		r, err := p.Call(t.Context(), kamailio.Calls{Count: 3, Rate: 50, Caller: tc.caller, Queue: tc.queue})
		if err != nil {
			t.Fatal(err)
		}
		if r.Succeeded != 3 || r.Failed != 0 || r.Outcomes[tc.outcome] != 3 {
			t.Errorf("%s: %+v\n%s", tc.caller, r, p.Log())
		}
		if len(r.Times) != 3 || r.Times[2] > 4*time.Second || !slices.IsSorted(r.Times) {
			t.Errorf("%s: times %v", tc.caller, r.Times)
		}
		if got := asked()[before:]; !slices.Equal(got, slices.Repeat([]string{tc.caller}, 3)) {
			t.Errorf("%s: asked about %q", tc.caller, got)
		}
	}
	if strings.Contains(p.Log(), "ERROR") {
		t.Errorf("Kamailio's log:\n%s", p.Log())
	}
}

func TestCallsFail(t *testing.T) {
	p, _ := flow(t)
	for _, tc := range []struct {
		caller, queue, says string
		outcomes            int
	}{
		{"13800138000", kamailio.NormalQueue, "sip:vip-queue@ivr.invalid", 2}, // the wrong queue
		{"0000", kamailio.VIPQueue, "480 Temporarily Unavailable", 0},         // the API says 500
	} {
		r, err := p.Call(t.Context(), kamailio.Calls{Count: 2, Caller: tc.caller, Queue: tc.queue})
		if err != nil {
			t.Fatal(err)
		}
		if r.Succeeded != 0 || r.Failed != 2 || !strings.Contains(r.Errors, tc.says) || r.Outcomes["ok"] != tc.outcomes {
			t.Errorf("%s: %+v", tc.caller, r)
		}
	}
}

func TestCallsThatCannotBeMade(t *testing.T) {
	p, _ := flow(t)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stopping again: %v", err)
	}
	if r, err := p.Call(t.Context(), kamailio.Calls{Timeout: time.Second}); err == nil {
		t.Errorf("nobody there: %+v", r)
	}
}

// A sipp that breaks off, or changes its files, must not look like calls that
// went well.
func TestSippThatFails(t *testing.T) {
	p, _ := flow(t)
	for name, script := range map[string]string{
		"another exit code":  `echo 'SuccessfulCall(C);FailedCall(C);\n1;0;' >stat.csv; exit 97`,
		"no statistics":      `exit 0`,
		"empty statistics":   `: >stat.csv`,
		"other columns":      `printf 'Calls;\n1;\n' >stat.csv`,
		"no failures column": `printf 'SuccessfulCall(C);\n1;\n' >stat.csv`,
		"other times":        `printf 'SuccessfulCall(C);FailedCall(C);\n1;0;\n' >stat.csv; printf 'response_time_ms\nx\n' >uac_1_rtt.csv`,
		"broken times":       `printf 'SuccessfulCall(C);FailedCall(C);\n1;0;\n' >stat.csv; mkdir uac_1_rtt.csv`,
	} {
		t.Run(name, func(t *testing.T) {
			program(t, "sipp", script)
			if r, err := p.Call(t.Context(), kamailio.Calls{}); err == nil {
				t.Errorf("no error: %+v", r)
			}
		})
	}
}

func TestKamailioThatEnds(t *testing.T) {
	program(t, "kamailio", "echo no such module; exit 3")
	p, err := kamailio.Start(t.Context(), "http://127.0.0.1/x", t.TempDir())
	if err == nil {
		_ = p.Stop()
	}
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such module") {
		t.Errorf("error: %v", err)
	}
}

func TestKamailioThatIsSilent(t *testing.T) {
	program(t, "kamailio", "exec sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if p, err := kamailio.Start(ctx, "http://127.0.0.1/x", t.TempDir()); !errors.Is(err, context.DeadlineExceeded) {
		_ = p.Stop()
		t.Errorf("error: %v", err)
	}
}

// program puts a shell script in the place of a program.
func program(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestStartRefuses(t *testing.T) {
	for name, start := range map[string][2]string{
		"a query":      {"http://127.0.0.1/x?y=1", t.TempDir()},
		"no directory": {"http://127.0.0.1/x", "/nonexistent"},
	} {
		if p, err := kamailio.Start(t.Context(), start[0], start[1]); err == nil {
			_ = p.Stop()
			t.Errorf("%s: started", name)
		}
	}
	t.Setenv("PATH", "/nonexistent")
	if p, err := kamailio.Start(t.Context(), "http://127.0.0.1/x", t.TempDir()); err == nil {
		_ = p.Stop()
		t.Error("started without Kamailio")
	}
}
