package module

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// Forgetter is an API that can forget one of its cached answers.
type Forgetter interface {
	// Forget drops the answers to what was asked with these params, whoever asked.
	Forget(ctx context.Context, params map[string]any) error
}

// maxPurge is how long the body of a purge may be.
const maxPurge = 64 << 10

// cacheNumbers tells how the cache does.
func (a *App) cacheNumbers(*http.Request) (any, error) {
	if a.cache == nil {
		return adminapi.Cache{Size: a.cacheSize()}, nil
	}
	s := a.cache.Stats()
	return adminapi.Cache{
		Size: a.cache.size, Entries: s.Entries, Bytes: s.Bytes,
		Hits: s.Hits, Misses: s.Misses, Refused: s.Dropped, Evicted: s.Evicted,
	}, nil
}

// purgeCache drops answers: all, those of one API, or those of one question to
// it. Who is a customer of ours can't be told from the keys, so of a customer all
// answers go.
func (a *App) purgeCache(r *http.Request) (any, error) {
	what, err := readPurge(r)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	switch {
	case what.API != "" && what.Customer != "":
		return nil, apiError(http.StatusBadRequest, errors.New("write api or customer, not both"))
	case what.API == "" && what.Params != nil:
		return nil, apiError(http.StatusBadRequest, errors.New("params need an api"))
	case what.API == "":
		a.customerErased()
		return adminapi.Purged{Purged: "all"}, nil
	case what.API == LookupName:
		a.customerWritten()
		return adminapi.Purged{Purged: what.API}, nil
	}
	api, ok := a.registered(what.API)
	if !ok {
		return nil, apiError(http.StatusNotFound, a.noSuchAPI(what.API))
	}
	if what.Params == nil {
		if a.cache != nil {
			a.cache.PurgeGroup(what.API)
		}
		return adminapi.Purged{Purged: what.API}, nil
	}
	forgetter, ok := api.(Forgetter)
	if !ok {
		return nil, apiError(http.StatusConflict, errors.New("api "+what.API+" has no cache"))
	}
	params, err := paramsOf(what.Params)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	if err := forgetter.Forget(r.Context(), params); err != nil {
		return nil, apiError(http.StatusConflict, err)
	}
	return adminapi.Purged{Purged: what.API}, nil
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
	doc, err := jq.Decode(raw, jq.Limits{Bytes: maxPurge})
	if err != nil {
		return nil, errors.New("params can't be read")
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, errors.New("params are no object")
	}
	return call.Given(object), nil
}
