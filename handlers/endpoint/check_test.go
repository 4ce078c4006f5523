package endpoint_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-ivr/switchboard/handlers/endpoint"
	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
)

// Where to look depends on what the API answered. A 404 of a wrong path was once
// reported as a matter of signatures.
func TestWhereToLook(t *testing.T) {
	for _, test := range []struct {
		outcome call.Outcome
		status  int
		want    string
	}{
		{call.Rejected, 404, "path in `to`"},
		{call.Rejected, 301, "write that address in `to`"},
		{call.Rejected, 308, "write that address in `to`"},
		{call.Rejected, 405, "`method`"},
		{call.Rejected, 403, "account"},
		{call.Rejected, 200, "`success`"},
		{call.Failed, 502, "operator"},
		{call.Unreachable, 0, "cause that the reason names"},
		{call.Incomplete, 0, "step receive"},
		{call.TokenRefused, 401, "same credentials"},
		{call.OK, 200, ""},
		{call.Stale, 0, ""},
	} {
		if got := endpoint.Check(test.outcome, test.status); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s with status %d: %q", test.outcome, test.status, got)
		}
	}
}

// Whoever gets an error is told in words what happened, after every outcome. The
// words of some are the reason.
func TestErrorsHaveMessages(t *testing.T) {
	r, err := made(t, endpoint.Settings{Auth: &endpoint.Auth{Mode: "user"}}, endpoint.Defaults{})
	if err != nil {
		t.Fatal(err)
	}
	byReason := []call.Outcome{call.BadRequest, call.Incomplete}
	for _, outcome := range switchboard.Outcomes() {
		if outcome.Answered() || outcome == call.Canceled || slices.Contains(byReason, outcome) {
			continue
		}
		w, _ := answered(t, r, outcome, nil)
		var got struct {
			Error struct{ Message, Outcome string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Error.Outcome != string(outcome) || got.Error.Message == "" {
			t.Errorf("%s: %s", outcome, w.Body)
		}
	}
}

// Every outcome is in the tables of the manual, and every one that is a failure says
// where to look.
func TestOutcomesAreDocumented(t *testing.T) {
	for _, page := range []string{"outcomes.md"} {
		text, err := os.ReadFile("../../docs/reference/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, outcome := range switchboard.Outcomes() {
			if !strings.Contains(string(text), "| `"+string(outcome)+"`") {
				t.Errorf("%s is not in %s", outcome, page)
			}
		}
	}
	for _, outcome := range switchboard.Outcomes() {
		if !outcome.Answered() && outcome != call.Canceled && outcome != call.Unauthorized && endpoint.Check(outcome, 0) == "" {
			t.Errorf("nothing says where to look after %s", outcome)
		}
	}
}
