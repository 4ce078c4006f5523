package endpoint

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	switchboard "github.com/switchboard-ivr/switchboard/module"
)

// Cache configures the response cache: the next call needn't wait for the API,
// and there is an answer to give when the API fails. Identical calls at the same
// time share one call of the API. A call whose budget ends is finished in the
// background, for the next caller. Configuring a cache is the consent to keep the
// answers of a POST.
type Cache struct {
	// How long an answer is fresh, that is, served without asking the API.
	// Required.
	Fresh caddy.Duration `json:"fresh,omitempty"`

	// How much longer an answer is served at once, as `stale`, while it is
	// renewed in the background (RFC 5861, section 3).
	StaleWhileRevalidate caddy.Duration `json:"stale_while_revalidate,omitempty"`

	// How much longer than fresh an answer is served, as `stale`, when the API
	// fails (RFC 5861, section 4).
	StaleIfError caddy.Duration `json:"stale_if_error,omitempty"`

	// How long a `not_found` is kept. Default: not at all.
	NotFound caddy.Duration `json:"not_found,omitempty"`

	// jq: params → what the answer depends on. Null bypasses the cache. Default:
	// all params, and the whole request where a program uses $request.
	Key string `json:"key,omitempty"`

	// Who shares an answer: `request`, callers with the same principal (default),
	// or `shared`, all callers.
	Scope string `json:"scope,omitempty"`
}

// behindFor is how long a detached call may run in the background, and maxBehind
// how many of them one API may have.
const (
	backgroundFor = 15 * time.Second
	maxBackground = 64
)

// responseCache is a provisioned Cache. Routes with the same settings share one.
type responseCache struct {
	Cache
	answers    *cache.Cache
	group      string
	key        *jq.Program
	shared     bool
	scope      []byte // prefix of every key: other settings don't share answers
	background *Budgets
	inflight   inflight
	watch      hitRate
	values     atomic.Bool // answers are also kept as values, for chains
}

// ProvisionCache gives the route a cache, if the settings have one. identity is
// everything in the configuration that an answer depends on: routes with the same
// identity share their answers.
func (s *Settings) ProvisionCache(app *switchboard.App, r *Route, identity ...string) error {
	if s.Cache == nil {
		return nil
	}
	key, err := s.Cache.Check(app.Define)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	settings, err := json.Marshal([]any{s, app.PhoneSystems[s.For]})
	if err != nil {
		return err
	}
	scope := cache.AppendPart(cache.AppendPart(nil, r.Name), string(settings))
	for _, part := range append(identity, app.Define) {
		scope = cache.AppendPart(scope, part)
	}
	sum := sha256.Sum256(scope)
	answers, err := app.Cache()
	if err != nil {
		return err
	}
	r.cache = switchboard.Shared(app, "cache "+string(sum[:]), func() *responseCache {
		return &responseCache{
			Cache:      *s.Cache,
			answers:    answers,
			group:      r.Name,
			key:        key,
			shared:     s.Cache.Scope == "shared",
			scope:      sum[:],
			background: &Budgets{Each: backgroundFor},
			inflight:   inflight{limit: maxBackground, budget: r.budgets.Each},
		}
	})
	return nil
}

// Check validates the settings and compiles the key.
func (c *Cache) Check(define string) (key *jq.Program, err error) {
	switch {
	case c.Fresh <= 0:
		return nil, errors.New("a duration is missing: how long an answer is fresh, e.g. `cache 30s`")
	case c.StaleWhileRevalidate < 0 || c.StaleIfError < 0 || c.NotFound < 0:
		return nil, errors.New("durations must not be negative")
	case c.Scope != "" && c.Scope != "request" && c.Scope != "shared":
		return nil, fmt.Errorf("scope %q is unknown; write request or shared", c.Scope)
	case c.Key == "":
		return nil, nil
	}
	key, err = jq.Compile(c.Key, jq.Spec{Vars: []string{"request"}, Want: jq.Any, Define: define})
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return key, nil
}

// entry returns the cache entry for a call's result, or nil if it must not be
// stored.
func (m *responseCache) entry(res *DetachedResult, note string) *cache.Entry {
	e := &cache.Entry{Outcome: string(res.Outcome), Status: res.Status, Text: res.text, Stored: res.began, Note: note}
	switch fresh := time.Duration(m.Fresh); {
	case res.NotStored != "" || !res.Outcome.Own():
		return nil
	case res.Outcome.Knows():
		e.Source = res.source
		e.Fresh = res.began.Add(fresh)
		e.StaleWhileRevalidate = e.Fresh.Add(time.Duration(m.StaleWhileRevalidate))
		e.StaleIfError = e.Fresh.Add(time.Duration(m.StaleIfError))
	case m.NotFound == 0:
		return nil
	default:
		e.Fresh = res.began.Add(time.Duration(m.NotFound))
	}
	return e
}

// keepsSource reports whether the output of an answer is kept beside its text,
// because it may be served as stale or be a part of another answer.
func (m *responseCache) keepsSource() bool {
	return m.StaleWhileRevalidate > 0 || m.StaleIfError > 0 || m.values.Load()
}

// hitRate notices a cache that never has a hit.
type hitRate struct {
	asked, hits atomic.Int64
	hint        atomic.Pointer[string] // once it was logged
}

// enough is how many calls without a hit it takes to call a cache useless.
const enough = 200

// useless returns a hint, once, when no call was ever answered from the cache. It
// keeps the hint, which because returns.
func (w *hitRate) useless(hit bool, because func() string) (hint string, first bool) {
	if hit {
		w.hits.Add(1)
		return "", false
	}
	if w.asked.Add(1) < enough || w.hits.Load() > 0 || w.hint.Load() != nil {
		return "", false
	}
	hint = because()
	return hint, w.hint.CompareAndSwap(nil, &hint)
}

// CacheHint returns why the route's cache may be useless; "" while it has hits,
// or when there were too few calls to tell.
func (r *Route) CacheHint() string {
	m := r.cache
	if m == nil || m.watch.hits.Load() > 0 {
		return ""
	}
	if hint := m.watch.hint.Load(); hint != nil {
		return *hint
	}
	return ""
}

// ErrNoCache is the error of a route without a cache.
var ErrNoCache = errors.New("it has no cache")

// ErrWholeRequest is the error when params alone don't identify an answer.
var ErrWholeRequest = errors.New("its answers depend on more than the params; purge the whole api, or configure a `key`")

// Forget drops the answers that are stored for these params, for every caller. A
// route whose default key holds more than params must be purged as a whole.
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
			return errors.New("the key can't be built from these params")
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

// note returns a keyed hash of the subject of a key. All entries about one
// subject have it in common.
func (m *responseCache) note(subject []byte) string {
	about := m.answers.Key(subject)
	return string(about[:8])
}
