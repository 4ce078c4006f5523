package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Test is a test call: POST /switchboard/apis/NAME/test. It takes the same way as
// a production call, from the handler on, and its trace has all steps. It isn't
// traffic: it counts in no metric, and affects neither the API's state nor its
// breaker.
type Test struct {
	Params map[string]any `json:"params,omitempty"`

	// The request of the phone system. Default: GET /, or POST if the params are
	// more than strings and numbers.
	Method  string            `json:"method,omitempty"`
	Path    string            `json:"path,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Vars    map[string]any    `json:"vars,omitempty"` // of Caddy's `vars`

	DryRun     bool `json:"dry_run,omitempty"`     // stop before the API is called
	NoCache    bool `json:"no_cache,omitempty"`    // bypass the cache
	FreshToken bool `json:"fresh_token,omitempty"` // renew the token first
	Live       bool `json:"live,omitempty"`        // call the API even if that may change something
}

// Trace is a call and its steps. In the steps, tokens, credentials, telephone
// numbers and email addresses are masked. Only a test has an Answer, which is
// exactly what the phone system gets.
type Trace struct {
	API     string          `json:"api"`
	Outcome string          `json:"outcome"`
	MS      float64         `json:"ms"`
	Status  int             `json:"status,omitempty"` // of the answer
	Answer  json.RawMessage `json:"answer,omitempty"` // a string, if the answer isn't JSON
	CallID  string          `json:"call_id,omitempty"`
	Time    time.Time       `json:"time"`
	Reason  string          `json:"reason,omitempty"` // why the API gave no answer
	Check   string          `json:"check,omitempty"`  // what to check then
	Steps   []Step          `json:"steps"`
}

// Step is one step of a call: receive, require, cache, chain, token, request, call,
// verdict, replay, output, contract or answer. Steps that were not reached are
// omitted. There is a step chain for each part of a chain, with the part's own steps.
type Step struct {
	Step    string  `json:"step"`
	Outcome string  `json:"outcome"` // ok, or the outcome, if the call ended here
	MS      float64 `json:"ms"`
	In      any     `json:"in"`
	Out     any     `json:"out"`
	Note    string  `json:"note,omitempty"`

	Steps []Step `json:"steps,omitempty"` // of a part of a chain
}

// StepOK is the outcome of a step that didn't end the call.
const StepOK = "ok"

// Millis converts a duration to milliseconds.
func Millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Test makes a test call by a running instance, and returns its trace.
func (c *Client) Test(ctx context.Context, api string, t Test) (Trace, error) {
	body, err := json.Marshal(t)
	if err != nil {
		return Trace{}, err
	}
	return do[Trace](ctx, c, http.MethodPost, "/switchboard/apis/"+url.PathEscape(api)+"/test", body)
}

// Failures returns the last failed calls of an API, newest first; with a callID,
// only those of that phone call.
func (c *Client) Failures(ctx context.Context, api, callID string) ([]Trace, error) {
	path := "/switchboard/apis/" + url.PathEscape(api) + "/failures"
	if callID != "" {
		path += "?call_id=" + url.QueryEscape(callID)
	}
	return do[[]Trace](ctx, c, http.MethodGet, path, nil)
}
