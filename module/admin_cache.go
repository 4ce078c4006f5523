package switchboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// Forgetter is an API that can forget one of its cached answers.
type Forgetter interface {
	// Forget drops the answers to what was asked with these params, whoever asked.
	Forget(ctx context.Context, params map[string]any) error
}

// maxPurge is how long the body of a purge may be.
const maxPurge = 64 << 10

func (a *App) cacheNumbers(*http.Request) (any, error) { return a.Operator().Cache(), nil }

func (a *App) purgeCache(r *http.Request) (any, error) {
	what, err := readPurge(r)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	return a.Operator().Purge(r.Context(), what)
}

// readPurge reads what to purge; an empty body is everything.
func readPurge(r *http.Request) (what adminapi.Purge, err error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPurge+1))
	switch {
	case err != nil:
		return what, errors.New("the body could not be read")
	case len(body) > maxPurge:
		return what, errors.New("the body is longer than 64 KiB")
	case len(body) == 0:
		return what, nil
	}
	if err := json.Unmarshal(body, &what); err != nil {
		return what, errors.New(`the body is not what to purge; write for example {"api":"order","params":{"tel":"13800138000"}}`)
	}
	return what, nil
}

// paramsOf decodes params as a phone system's are: without blank ones.
func paramsOf(raw json.RawMessage) (map[string]any, error) {
	doc, err := jsonval.Decode(raw, jsonval.Limits{Bytes: maxPurge})
	if err != nil {
		return nil, errors.New("params can't be read")
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, errors.New("params are no object")
	}
	return call.Given(object), nil
}
