package switchboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// Tester is an API that can be tested.
type Tester interface {
	// Test makes a call as a phone system would, and tells its steps. An error is
	// about what was asked for, not about how the call went.
	Test(ctx context.Context, t adminapi.Test) (adminapi.Trace, error)
}

func (a *App) testAPI(r *http.Request) (any, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	t, err := ParseTest(body)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	return a.Operator().Test(r.Context(), r.PathValue("name"), t)
}

// Test makes a call of an API, or of a customer lookup, as a phone system would, and
// tells its steps.
func (o Operator) Test(ctx context.Context, name string, t adminapi.Test) (adminapi.Trace, error) {
	tester, err := o.app.tester(name)
	if err != nil {
		return adminapi.Trace{}, err
	}
	trace, err := tester.Test(ctx, t)
	if err != nil {
		return trace, apiError(http.StatusBadRequest, err)
	}
	return trace, nil
}

// Failures are the last calls of an API without an answer of its own, newest
// first, masked; those of one phone call, when its id is given.
func (o Operator) Failures(name, callID string) ([]adminapi.Trace, error) {
	s := o.app.apiStates.find(name)
	if s == nil {
		return nil, apiError(http.StatusNotFound, o.app.noSuchAPI(name))
	}
	return s.Failures(callID), nil
}

// ParseTest reads a test; an empty body is a call without params. Numbers stay as
// they are written.
func ParseTest(body []byte) (t adminapi.Test, err error) {
	if len(body) == 0 {
		return t, nil
	}
	doc, err := jsonval.Decode(body, jsonval.Limits{Bytes: maxBody})
	if err != nil {
		return t, errors.New("the body is not one JSON document")
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return t, errors.New(`the body is no test; write for example {"params":{"tel":"13800138000"}}`)
	}
	if object, ok := doc.(map[string]any); ok {
		t.Params, _ = object["params"].(map[string]any)
	}
	return t, nil
}

func (a *App) listFailures(r *http.Request) (any, error) {
	return a.Operator().Failures(r.PathValue("name"), r.URL.Query().Get("call_id"))
}
