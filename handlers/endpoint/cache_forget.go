package endpoint

import (
	"context"
	"errors"

	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// ErrNoCache says that a route keeps no answers.
var ErrNoCache = errors.New("it has no cache")

// ErrWholeRequest says that one answer can't be found by its params.
var ErrWholeRequest = errors.New("its answers depend on more of a request than params; purge the whole api, or write a `key`")

// Forget drops the answers that are kept under these params, whoever asked. A
// route whose default key holds more than params has to be purged as a whole.
func (r *Route) Forget(ctx context.Context, params map[string]any, paramsAreAll bool) error {
	m := r.cache
	if m == nil {
		return ErrNoCache
	}
	var subject any = params
	switch {
	case m.key != nil && m.key.Uses("request"), m.key == nil && !paramsAreAll:
		return ErrWholeRequest
	case m.key != nil:
		v, err := m.key.Run(ctx, params, nil)
		if err != nil {
			return errors.New("the key can't be made of these params")
		}
		subject = v
	}
	text, err := jsonval.Encode(nil, subject, jsonval.Limits{})
	if err != nil {
		return err
	}
	m.answers.PurgeNote(m.group, m.note(text))
	return nil
}

// note is what the answers to one question have in common in the cache.
func (m *responseCache) note(subject []byte) string {
	about := m.answers.Key(subject)
	return string(about[:8])
}
