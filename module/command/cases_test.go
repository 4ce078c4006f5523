package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// trial answers a test with what its params say.
func trial(_ context.Context, api string, t adminapi.Test) (adminapi.Trace, error) {
	if api == "none" {
		return adminapi.Trace{}, errors.New("there is no api none")
	}
	answer, err := json.Marshal(t.Params)
	return adminapi.Trace{API: api, Outcome: "ok", Status: 200, Answer: answer, MS: 1}, err
}

func TestCases(t *testing.T) {
	for lines, want := range map[string]string{
		`{"api":"order","params":{"n":9007199254740993},"answer":".n == 9007199254740993 and $status == 200"}`: "",
		"# a comment\n\n" + `{"name":"a VIP","api":"order","outcome":"ok"}`:                                    "",
		`{"api":"order","outcome":"IN(\"ok\",\"stale\")"}`:                                                     "",
		`{"api":"order","params":{"n":1},"answer":".n == 2"}`:                                                  "1 of 1 cases",
		`{"api":"order","outcome":"stale"}`:                                                                    "1 of 1 cases",
		`{"api":"none","outcome":"ok"}`:                                                                        "1 of 1 cases",
		`{"api":"order","answer":"]"}`:                                                                         "1 of 1 cases",
		`{"api":"order","outcome":"ok"}` + "\n" + `{"api":"order","answer":"false"}`:                           "1 of 2 cases",
		`{"api":"order","outcome":"ok","colour":1}`:                                                            "line 1: not a case",
		`{"api":"order"}`:              `"outcome" or "answer"`,
		`{"outcome":"ok"}`:             `"api" is missing`,
		"\n\n{":                        "line 3: not a case",
		"# nothing":                    "no cases",
		strings.Repeat("x", maxCase+1): "reading cases",
	} {
		var out bytes.Buffer
		err := runCases(t.Context(), strings.NewReader(lines), &out, trial)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q\n%s", lines, err, want, out.String())
		}
	}
}

func TestParamsAndHeaders(t *testing.T) {
	params, err := paramsOf([]string{"tel=138=0", "blank="})
	if err != nil || params["tel"] != "138=0" || params["blank"] != "" {
		t.Errorf("got %v, %v", params, err)
	}
	headers, err := headersOf([]string{"X-Tenant: 42", "X-Time:10:30"})
	if err != nil || headers["X-Tenant"] != "42" || headers["X-Time"] != "10:30" {
		t.Errorf("got %v, %v", headers, err)
	}
	for _, bad := range []string{"tel", "=1", ""} {
		if _, err := paramsOf([]string{bad}); err == nil {
			t.Errorf("%q is taken for a param", bad)
		}
	}
	if _, err := headersOf([]string{"X-Tenant"}); err == nil {
		t.Error("a name is taken for a header")
	}
}

func TestATraceForPeople(t *testing.T) {
	trace := adminapi.Trace{
		API: "order", Outcome: "rejected", MS: 7.94, Status: 200, CallID: "c-7", Answer: []byte(`{"name":""}`), Reason: "it said no", Check: "the signature",
		Steps: []adminapi.Step{
			{Step: "receive", Outcome: "ok", MS: .2, In: map[string]any{"method": "GET"}, Out: map[string]any{"a": "<b>"}},
			{Step: "verdict", Outcome: "rejected", Note: "it said no"},
		},
	}
	var out bytes.Buffer
	if err := printTrace(&out, trace); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"order: rejected in 7.9 ms, call c-7", "receive  ok", `{"a":"<b>"}`, "reason", "check", "the signature", `{"name":""}`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
	if answered(trace) || !answered(adminapi.Trace{Outcome: "dry_run"}) || !answered(adminapi.Trace{Outcome: "not_found"}) {
		t.Error("the exit status is another one")
	}
	out.Reset()
	now := time.Now()
	if err := printTokens(&out, []adminapi.Token{{Name: "crm", State: "fresh", Obtained: now, Expires: now.Add(time.Hour)}, {Name: "fixed", State: "fresh", Static: true}}); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "crm    fresh  0s") || !strings.Contains(text, "fixed  fresh  -") {
		t.Errorf("got\n%s", text)
	}
}
