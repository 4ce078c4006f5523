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

// Cache keeps answers, so that the next call needn't wait for the API, or has
// something to say when the API fails. Identical calls at the same time share
// one call of the API, and a call whose budget ends is finished while nobody
// waits, for the next one. Writing it is the consent to keep the answers of a
// POST.
type Cache struct {
	// How long an answer is served as it is. Required.
	Fresh caddy.Duration `json:"fresh,omitempty"`

	// How much longer it is served at once, as `stale`, while it is renewed in
	// the background (RFC 5861, section 3).
	StaleWhileRevalidate caddy.Duration `json:"stale_while_revalidate,omitempty"`

	// How much longer than fresh it is served, as `stale`, when the API gives no
	// answer (RFC 5861, section 4).
	StaleIfError caddy.Duration `json:"stale_if_error,omitempty"`

	// How long it is remembered that the API knows nobody. Default: not at all.
	NotFound caddy.Duration `json:"not_found,omitempty"`

	// jq: params → what the answer depends on, of all that the phone system
	// sent. Null leaves a call out of the cache. Default: all params, and all of
	// the request where a program uses $request.
	Key string `json:"key,omitempty"`

	// Who shares an answer: `request`, those who are the same to `auth`
	// (default), or `shared`, all.
	Scope string `json:"scope,omitempty"`
}

// behindFor is how long a call may go on that nobody waits for, and maxBehind
// how many of one API may.
const (
	behindFor = 15 * time.Second
	maxBehind = 64
)

// memory is a Cache at work: one for all routes of the same settings.
type responseCache struct {
	Cache
	answers  *cache.Cache
	group    string
	key      *jq.Program
	shared   bool
	scope    []byte // what every key begins with: other settings are other answers
	behind   *Budgets
	inflight inflight
	watch    hitRate
}

// Remember gives the route a cache, if its settings say so. The identity stands
// for everything in the configuration that an answer depends on.
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
			Cache:    *s.Cache,
			answers:  answers,
			group:    r.Name,
			key:      key,
			shared:   s.Cache.Scope == "shared",
			scope:    sum[:],
			behind:   &Budgets{Each: behindFor},
			inflight: inflight{limit: maxBehind, budget: r.budgets.Each},
		}
	})
	return nil
}

// Check compiles the key, and says what can't work.
func (c *Cache) Check(define string) (key *jq.Program, err error) {
	switch {
	case c.Fresh <= 0:
		return nil, errors.New("it needs how long an answer is served, for example `cache 30s`")
	case c.StaleWhileRevalidate < 0 || c.StaleIfError < 0 || c.NotFound < 0:
		return nil, errors.New("a time below 0 can't be meant")
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

// entry is a call's answer as it is kept; nil when it isn't to be.
func (m *responseCache) entry(res *DetachedResult, note string) *cache.Entry {
	e := &cache.Entry{Outcome: string(res.Outcome), Status: res.Status, Text: res.text, Stored: res.began, Note: note}
	switch fresh := time.Duration(m.Fresh); {
	case res.NotStored != "" || !res.Outcome.Answered():
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

// servesStale tells whether an answer may be written anew, as an older one.
func (m *responseCache) servesStale() bool { return m.StaleWhileRevalidate > 0 || m.StaleIfError > 0 }

// watch looks whether a cache is of any use.
type hitRate struct {
	asked, hits atomic.Int64
	hint        atomic.Pointer[string] // once told
}

// enough is how many calls have to come, without one that is answered from the
// cache, for that to be said.
const enough = 200

// useless tells, once, that no call was ever answered from the cache, and keeps why
// that may be.
func (w *hitRate) useless(hit bool, because func() string) (hint string, told bool) {
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

// CacheHint says why the route's cache may be of no use; "" as long as it is of
// some, or nobody knows.
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
