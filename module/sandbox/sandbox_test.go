package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// This binary is a program's process, too, and others that misbehave.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		goleak.VerifyTestMain(m)
		return
	}
	switch os.Args[1] {
	case "switchboard":
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "hog":
		if err := bound(); err != nil {
			panic(err)
		}
		var held [][]byte
		for {
			b := make([]byte, 16<<20)
			for i := range b {
				b[i] = 1
			}
			held = append(held, b)
			if len(held) > 256 { // 4 GiB: it was not stopped
				fmt.Println(`{"value":1}`)
				return
			}
		}
	case "spin":
		if err := bound(); err != nil {
			panic(err)
		}
		for begin := time.Now(); time.Since(begin) < time.Minute; {
			continue
		}
		fmt.Println(`{"value":1}`)
	case "flood":
		for range 1 << 20 {
			if _, err := fmt.Println(strings.Repeat("x", 1000)); err != nil {
				return
			}
		}
	case "babble":
		fmt.Println("no result")
	case "environment":
		text, _ := json.Marshal(strings.Join(os.Environ(), " "))
		fmt.Printf(`{"value":%s}`, text)
	default:
		goleak.VerifyTestMain(m)
	}
}

func TestRun(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	vars := map[string]json.RawMessage{"status": raw("200"), "params": raw(`{"tel":"138"}`)}
	for _, tt := range []struct {
		program, define, input string
		want, wrong            string
	}{
		{program: ".data.nick", input: `{"data":{"nick":"one"}}`, want: `"one"`},
		{program: "{s: $status, t: $params.tel}", input: "null", want: `{"s":200,"t":"138"}`},
		{program: ".", input: "9007199254740993", want: "9007199254740993"},
		{program: "double", define: "def double: . * 2;", input: "4", want: "8"},
		{program: ".data.", input: "{}", wrong: "line 1, column"},
		{program: "$secret", input: "{}", wrong: "$secret"},
		{program: "error(\"no\")", input: "{}", wrong: "called error"},
		{program: "[range(1e9)]", input: "{}", wrong: "too long"},
		{program: "[limit(100000000; repeat(1))]", input: "{}", wrong: "jq: too"},
		{program: ".a", input: strings.Repeat("[", 2000) + strings.Repeat("]", 2000), wrong: "the answer to work on"},
		{program: "env", input: "{}", wrong: "env"},
	} {
		got, err := Run(t.Context(), Job{Program: tt.program, Define: tt.define, Input: raw(tt.input), Vars: vars})
		if err != nil || string(got.Value) != tt.want || (tt.wrong == "") != (got.Error == "") || !strings.Contains(got.Error, tt.wrong) || strings.Contains(got.Error, "Caddy") {
			t.Errorf("%s: %s, %q, %v", tt.program, got.Value, got.Error, err)
		}
	}
}

// Whatever a process does, it ends, and takes nothing with it.
func TestProcessesThatMisbehave(t *testing.T) {
	for _, mode := range []string{"hog", "spin", "flood", "babble"} {
		begin := time.Now()
		got, err := start(t.Context(), Job{}, self(), mode)
		if !errors.Is(err, ErrEnded) || time.Since(begin) > timeout+2*time.Second {
			t.Errorf("%s: %s, %v after %v", mode, got.Value, err, time.Since(begin))
		}
	}
	if _, err := start(t.Context(), Job{}, "/no/such/binary"); err == nil || errors.Is(err, ErrEnded) {
		t.Errorf("without a binary: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Job{Program: "1", Input: []byte("1")}); err == nil {
		t.Error("it ran for nobody")
	}
}

func TestTheEnvironmentStaysHere(t *testing.T) {
	t.Setenv("CRM_SECRET", "canary-secret")
	got, err := start(t.Context(), Job{}, self(), "environment")
	if err != nil || len(got.Value) == 0 || strings.Contains(string(got.Value), "CRM_SECRET") {
		t.Errorf("%s, %v", got.Value, err)
	}
}

// No more than a few at once: those who come later wait, or are told.
func TestFewAtOnce(t *testing.T) {
	for range maxBusy {
		busy <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, Job{Program: "1", Input: []byte("1")}); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	for range maxBusy {
		<-busy
	}
	if got, err := Run(t.Context(), Job{Program: "1", Input: []byte("1")}); err != nil || string(got.Value) != "1" {
		t.Errorf("%s, %v", got.Value, err)
	}
}

// What the process does with a job, without its bounds, which it keeps for good.
func TestServe(t *testing.T) {
	for _, tt := range []struct{ job, want string }{
		{`{"program":".a + $n","input":{"a":1},"vars":{"n":2}}`, `{"value":3}`},
		{`{"program":"f","define":"def f: 1.10;","input":null}`, `{"value":1.1}`},
		{`{"program":".","input":1.10}`, `{"value":1.10}`},
		{`{"program":".a.","input":null}`, `{"error":"line 1, column 4: unexpected EOF"}`},
		{`{"program":"$n","input":1,"vars":{"n":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}}`, `{"error":"$n: `},
		{`{"program":".a","input":{"a":error}}`, "reading the job"},
		{`{"program":".a.b","input":{"a":1}}`, `"error"`},
	} {
		var out bytes.Buffer
		err := serve(strings.NewReader(tt.job), &out)
		if got := out.String() + fmt.Sprint(err); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s", tt.job, got)
		}
	}
}
