package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Test is a call to make: POST /switchboard/apis/NAME/test. It takes the way of a
// production call, from the handler inwards, with all steps told. It is no traffic:
// it is in no metric, changes no health and opens no breaker.
type Test struct {
	Params map[string]any `json:"params,omitempty"`

	// What else the phone system would send. Default: GET /, or POST where the
	// params are more than texts and numbers.
	Method  string            `json:"method,omitempty"`
	Path    string            `json:"path,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Vars    map[string]any    `json:"vars,omitempty"` // of Caddy's `vars`

	DryRun     bool `json:"dry_run,omitempty"`     // stop before the API is called
	NoCache    bool `json:"no_cache,omitempty"`    // neither look into the cache nor keep the answer
	FreshToken bool `json:"fresh_token,omitempty"` // renew the token first
	Live       bool `json:"live,omitempty"`        // call the API although it isn't a read
}

// Trace is a call and what each of its steps did. In the steps, tokens,
// credentials, telephone numbers and email addresses are masked. The answer is
// what the phone system gets, to the letter, and there only for a test.
type Trace struct {
	API     string          `json:"api"`
	Outcome string          `json:"outcome"`
	MS      float64         `json:"ms"`
	Status  int             `json:"status,omitempty"` // of the answer
	Answer  json.RawMessage `json:"answer,omitempty"` // a text, when the answer is no JSON
	CallID  string          `json:"call_id,omitempty"`
	Time    time.Time       `json:"time"`
	Reason  string          `json:"reason,omitempty"` // why there is no answer of the API's
	Check   string          `json:"check,omitempty"`  // what to look into then
	Steps   []Step          `json:"steps"`
}

// Step is one step of a call. The steps are receive, require, cache, token, request,
// call, verdict, replay, output, contract and answer, as far as the call got; what
// wasn't done isn't told.
type Step struct {
	Step    string  `json:"step"`
	Outcome string  `json:"outcome"` // ok, or the outcome that the call ended with here
	MS      float64 `json:"ms"`
	In      any     `json:"in"`
	Out     any     `json:"out"`
	Note    string  `json:"note,omitempty"`
}

// StepOK is the outcome of a step after which the call went on.
const StepOK = "ok"

// Millis is a time as a trace tells it.
func Millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Test has a running instance make a call, and tells its steps.
func (c *Client) Test(ctx context.Context, api string, t Test) (Trace, error) {
	body, err := json.Marshal(t)
	if err != nil {
		return Trace{}, err
	}
	return do[Trace](ctx, c, http.MethodPost, "/switchboard/apis/"+url.PathEscape(api)+"/test", body)
}

// Failures are the last calls of an API without an answer of its own, newest
// first; those of one phone call, when its id is given.
func (c *Client) Failures(ctx context.Context, api, callID string) ([]Trace, error) {
	path := "/switchboard/apis/" + url.PathEscape(api) + "/failures"
	if callID != "" {
		path += "?call_id=" + url.QueryEscape(callID)
	}
	return do[[]Trace](ctx, c, http.MethodGet, path, nil)
}
