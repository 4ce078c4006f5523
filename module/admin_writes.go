package switchboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/once"
)

// maxWrites is the maximum number of writes that a list returns.
const maxWrites = 1000

// Writes returns the writes of an API that are remembered, the newest first. Keys are
// masked.
func (o Operator) Writes(ctx context.Context, name string) (adminapi.Writes, error) {
	store, err := o.writes(name)
	if err != nil {
		return adminapi.Writes{}, err
	}
	records, unreadable, more, err := store.List(ctx, maxWrites)
	if err != nil {
		return adminapi.Writes{}, apiError(http.StatusServiceUnavailable, err)
	}
	list := adminapi.Writes{Writes: make([]adminapi.Write, len(records)), Unreadable: unreadable, More: more}
	for i, r := range records {
		list.Writes[i] = describeWrite(r)
	}
	return list, nil
}

// Write returns the write of an API with that key.
func (o Operator) Write(ctx context.Context, name, key string) (adminapi.Write, error) {
	store, err := o.writes(name)
	if err != nil {
		return adminapi.Write{}, err
	}
	found, err := store.Load(ctx, key)
	switch {
	case errors.Is(err, once.ErrUnreadable):
		return adminapi.Write{Key: mask.Text(key), State: adminapi.WriteUnknown, Reason: err.Error()}, nil
	case err != nil:
		return adminapi.Write{}, apiError(http.StatusServiceUnavailable, err)
	case found == nil:
		return adminapi.Write{}, errNoWrite
	}
	return describeWrite(found), nil
}

// ForgetWrite deletes the record of a write, so that a repeat is sent again. It returns
// what the record said.
func (o Operator) ForgetWrite(ctx context.Context, name, key string) (adminapi.Write, error) {
	was, err := o.Write(ctx, name, key)
	if err != nil {
		return was, err
	}
	store, err := o.writes(name)
	if err != nil {
		return was, err
	}
	switch existed, err := store.Forget(ctx, key); {
	case errors.Is(err, once.ErrUnderWay):
		return was, apiError(http.StatusConflict, errors.New("the write is under way; forget it when it has ended"))
	case err != nil:
		return was, apiError(http.StatusServiceUnavailable, err)
	case !existed:
		return was, errNoWrite
	}
	o.app.logger.Warn("record of a write deleted by an operator; a repeat is sent again")
	was.Forgotten = true
	return was, nil
}

var errNoWrite = apiError(http.StatusNotFound, errors.New("no write with this key is remembered"))

// writes returns the records of an API's writes.
func (o Operator) writes(name string) (*once.Store, error) {
	api, ok := o.app.registered(name)
	if !ok {
		return nil, apiError(http.StatusNotFound, o.app.noSuchAPI(name))
	}
	store := api.Writes()
	if store == nil {
		return nil, apiError(http.StatusConflict, errors.New("api "+name+" has no `once`; its writes aren't remembered"))
	}
	return store, nil
}

func describeWrite(r *once.Record) adminapi.Write {
	w := adminapi.Write{Key: mask.Text(r.Key), Sent: r.Sent, Expires: r.Expires}
	switch {
	case r.UnderWay(time.Now()):
		w.State = adminapi.WriteUnderWay
	case r.Outcome.Answered():
		w.State, w.Outcome = adminapi.WriteAnswered, string(r.Outcome)
	case r.Outcome == call.Unknown:
		w.State, w.Reason = adminapi.WriteUnknown, "it ended as "+string(r.Cause)
	default:
		w.State, w.Reason = adminapi.WriteUnknown, "the process that sent it was stopped"
	}
	return w
}

// keyOf reads the key of a write from the body of a request: a key may name a customer,
// and URLs are logged.
func keyOf(r *http.Request) (string, error) {
	body, err := readBody(r)
	if err != nil {
		return "", err
	}
	var of adminapi.WriteKey
	if json.Unmarshal(body, &of) != nil || of.Key == "" {
		return "", apiError(http.StatusBadRequest, errors.New(`the body doesn't name a write; write e.g. {"key":"c-1"}`))
	}
	return of.Key, nil
}

// withKey makes an action of one that takes the name of an API and the key of a write.
func withKey(do func(o Operator, ctx context.Context, name, key string) (adminapi.Write, error)) func(Operator, *http.Request) (any, error) {
	return func(o Operator, r *http.Request) (any, error) {
		key, err := keyOf(r)
		if err != nil {
			return nil, err
		}
		return do(o, r.Context(), r.PathValue("name"), key)
	}
}
