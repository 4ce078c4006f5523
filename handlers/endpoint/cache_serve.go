package endpoint

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Cacheable is a handler's call whose answer may be cached.
type Cacheable interface {
	// AppendKey appends the default cache key: all input that the answer depends
	// on, in a canonical form. A configured `key` replaces it.
	AppendKey(dst []byte) ([]byte, error)

	// AppendVary appends what the answer depends on besides the key.
	AppendVary(dst []byte) []byte

	// Detach returns a call that does the same work and may outlive this one.
	Detach(ctx context.Context) DetachedCall
}

// DetachedCall does the work of a call, and may outlive it.
type DetachedCall interface {
	// Run does the work, once and in a goroutine of its own. It ends when the
	// context that was given to Detach ends.
	Run() DetachedResult
	// Overdue returns the outcome for a caller whose budget ran out while the
	// work goes on: call.Timeout, or what the work is waiting for: call.NoToken,
	// Overloaded or PartOverdue. It may be called more than once, and after the
	// work has ended.
	Overdue() call.Outcome
}

// Overloaded is the outcome of Overdue when this instance has no memory for a large
// answer; see [Call.Overloaded]. PartOverdue is its outcome while the call waits for a
// part of its chain. No call ends with either.
const (
	Overloaded  call.Outcome = "overloaded"
	PartOverdue call.Outcome = "part_overdue"
)

// serveCached is [Call.ServeCached] on a route with a cache.
func (c *Call) serveCached(q Cacheable) bool {
	m := c.Route.cache
	if c.Test.bypassesCache() {
		c.cached.bypassed()
		return true
	}
	key, subject, ok := c.cacheKey(q)
	if !ok {
		c.cached.keyless = true
		return false
	}
	if subject == nil {
		c.cached.bypassed()
		c.Route.Metrics.Cached(c.cached.result())
		return true
	}
	c.cached.subject = subject
	now := time.Now()
	entry, _ := m.answers.Get(key)
	if entry != nil && !c.canUse(entry) {
		entry = nil
	}
	switch {
	case entry != nil && now.Before(entry.Fresh):
		c.cached.hit(entry, now)
		c.Outcome, c.Status, c.text, c.source = call.Outcome(entry.Outcome), entry.Status, entry.Text, entry.Source
	case entry != nil && now.Before(entry.StaleWhileRevalidate):
		c.renew(q, key)
		c.cached.hit(entry, now)
		c.serveStale(entry, now)
	default:
		c.await(q, key, entry)
	}
	if hint, first := m.watch.useless(c.cached.isHit, c.uselessBecause); first {
		c.Route.Logger.Warn("no call of this api was answered from its cache yet; "+hint,
			zap.String("api", c.Route.Name), zap.Int("calls", enough))
	}
	c.Route.Metrics.Cached(c.cached.result())
	return false
}

// canUse reports whether an entry can answer the call. A part needs the value, which
// is missing in entries that are older than the chain.
func (c *Call) canUse(entry *cache.Entry) bool {
	return c.part == nil || entry.Source != nil || !call.Outcome(entry.Outcome).Knows()
}

// uselessBecause returns why the cache may be useless, and what to change.
func (c *Call) uselessBecause() string {
	if c.cached.notStored != "" {
		return "the last answer was not stored: " + c.cached.notStored
	}
	for _, name := range callIDs {
		if _, ok := c.Input.Params[name]; ok {
			return "its params hold " + name + ", which differs in every call; write what the answer depends on as `key`, e.g. `key `{tel: .tel}``"
		}
	}
	return "if something in its params or headers differs in every call, write what the answer depends on as `key`, e.g. `key `{tel: .tel}``"
}

// cacheKey returns the call's key and its subject, which is the part of the key
// that says whom or what the call is about. Without a subject the call bypasses
// the cache.
func (c *Call) cacheKey(q Cacheable) (key cache.Key, subject []byte, ok bool) {
	m := c.Route.cache
	buf := append(make([]byte, 0, 256), m.scope...)
	if !m.shared {
		buf = cache.AppendPart(buf, c.Principal)
	}
	buf = q.AppendVary(buf)
	from := len(buf)
	var err error
	if m.key == nil {
		buf, err = q.AppendKey(buf)
	} else {
		var v any
		if v, err = m.key.Run(c.Ctx, c.Input.Params, c.Request); err == nil && v == nil {
			return key, nil, true
		}
		if err == nil {
			buf, err = jsonval.Encode(buf, v, jsonval.Limits{})
		}
	}
	if err != nil {
		if c.Ctx.Err() != nil {
			return key, nil, c.Expire("")
		}
		return key, nil, c.Refuse(http.StatusBadRequest, call.BadRequest, fmt.Sprintf("cache key: %v", err))
	}
	return m.answers.Key(buf), buf[from:], true
}

// await joins or starts a detached call, and waits for it until the call's own
// budget ends. If that fails, an older answer is served, if there is one.
func (c *Call) await(q Cacheable, key cache.Key, older *cache.Entry) {
	shared := &c.Route.cache.inflight
	if c.Test != nil {
		shared = new(inflight) // a test never joins another call
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.R.Context()))
	f, created := shared.join(key, cancel)
	c.cached.forwarded(older, created)
	if created {
		c.start(f, key, q.Detach(ctx))
	} else {
		cancel()
	}
	select {
	case <-f.done:
		c.accept(&f.result, created)
	case <-c.Ctx.Done():
		late := shared.leave(key, f, c.Ctx.Spent() && !c.slowCaller())
		c.Expire("")
		if late == call.NoToken {
			c.RetryAfter = time.Second
			c.Fail(late, "no token was obtained within the budget")
		}
		if late == Overloaded {
			c.Overloaded()
		}
		if late == PartOverdue {
			c.Uncharged = true
			c.Fail(call.Timeout, "the budget ran out while the call waited for another api")
		}
	}
	if now := time.Now(); older != nil && !c.Outcome.Answered() && c.Outcome != call.Canceled && now.Before(older.StaleIfError) {
		c.cached.failed(older, now)
		c.serveStale(older, now)
	}
}

// renew starts a background renewal of an answer that is being served stale.
func (c *Call) renew(q Cacheable, key cache.Key) {
	m := c.Route.cache
	if m.inflight.has(key) {
		return // the usual case: a renewal is running
	}
	ctx, cancel := context.WithCancel(c.Test.detached(context.WithoutCancel(c.R.Context())))
	f, created := m.inflight.renew(key, cancel)
	if !created {
		cancel()
		return
	}
	c.start(f, key, q.Detach(ctx))
}

func (c *Call) start(f *inflightCall, key cache.Key, work DetachedCall) {
	f.group.begin(f, work)
	go c.Route.run(f, key, c.Route.cache.note(c.cached.subject), work)
}

// run runs a detached call, stores its answer and publishes it to all waiters. A
// panic is turned into a result, because the waiters would hang otherwise.
func (r *Route) run(f *inflightCall, key cache.Key, note string, work DetachedCall) {
	result := r.recovered(work)
	m := r.cache
	if entry := m.entry(&result, note); entry != nil {
		result.stored = m.answers.Put(m.group, key, entry)
	} else if result.Outcome.Own() {
		m.answers.Delete(key) // the stored answer is outdated
	}
	if !f.group.finish(key, f, result) {
		r.Metrics.Background(result.Outcome)
		if f.renewal && !result.Uncharged { // otherwise the waiters have counted it
			r.answered(result.Outcome)
		}
		r.Logger.Debug("finished in the background", zap.String("api", r.Name), zap.String("outcome", string(result.Outcome)))
	}
}

func (r *Route) recovered(work DetachedCall) (result DetachedResult) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			result.Outcome, result.Reason = call.BadAnswer, "the answer was cut off"
		default:
			result.Outcome, result.Reason = call.BadAnswer, "a handler panicked"
			r.Logger.Error("a handler panicked", zap.String("api", r.Name), zap.ByteString("stack", debug.Stack()))
		}
	}()
	return work.Run()
}

// serveStale answers with an older answer.
func (c *Call) serveStale(entry *cache.Entry, now time.Time) {
	v, err := jsonval.Decode(entry.Source, jsonval.Limits{Bytes: len(entry.Source)})
	if err != nil {
		c.Fail(call.BadAnswer, "the stale answer could not be read")
		return
	}
	c.Outcome, c.Status = call.Stale, entry.Status
	c.Output, c.age = v, now.Sub(entry.Stored)
}

// cacheUse describes what the cache did for a call, in the terms of Cache-Status
// (RFC 9211).
type cacheUse struct {
	isHit     bool
	forward   string // why the API was called: miss, stale or bypass
	ttl       time.Duration
	hasTTL    bool
	status    int // of the API's answer
	stored    bool
	collapsed bool   // another call asked the API
	detail    string // stale-while-revalidate, stale-if-error
	notStored string // why the answer was not stored
	subject   []byte // what the call is about; nil if the cache wasn't searched
	keyless   bool   // the key could not be made, which ended the call
}

// forwardBypass is the value of forward for a call that bypassed the cache.
const forwardBypass = "bypass"

func (u *cacheUse) bypassed() { u.forward = forwardBypass }

func (u *cacheUse) hit(e *cache.Entry, now time.Time) {
	u.isHit = true
	u.ttl, u.hasTTL = e.Fresh.Sub(now), true
	if u.ttl <= 0 {
		u.detail = "stale-while-revalidate"
	}
}

func (u *cacheUse) forwarded(older *cache.Entry, created bool) {
	u.forward, u.collapsed = "miss", !created
	if older != nil {
		u.forward = "stale"
	}
}

// answered notes the API's answer. own says that the work was started for this
// call: only that call reports that it stored the answer.
func (u *cacheUse) answered(res *DetachedResult, own bool) {
	u.status, u.notStored, u.stored = res.Received, res.NotStored, own && res.stored
}

func (u *cacheUse) failed(e *cache.Entry, now time.Time) {
	u.ttl, u.hasTTL, u.detail = e.Fresh.Sub(now), true, "stale-if-error"
}

// result returns the cache's result for metrics and logs; "" without a cache.
func (u *cacheUse) result() string {
	switch {
	case u.detail != "":
		return "stale"
	case u.isHit:
		return "hit"
	case u.collapsed:
		return "collapsed"
	default:
		return u.forward
	}
}

// append appends the member of Cache-Status.
func (u *cacheUse) append(b []byte) []byte {
	b = append(b, "switchboard"...)
	switch {
	case u.isHit:
		b = append(b, "; hit"...)
	case u.forward == "":
		b = append(b, "; fwd="+forwardBypass...)
	default:
		b = append(append(b, "; fwd="...), u.forward...)
	}
	if u.status != 0 {
		b = strconv.AppendInt(append(b, "; fwd-status="...), int64(u.status), 10)
	}
	if u.hasTTL {
		b = strconv.AppendInt(append(b, "; ttl="...), int64(u.ttl/time.Second), 10)
	}
	if u.stored {
		b = append(b, "; stored"...)
	}
	if u.collapsed {
		b = append(b, "; collapsed"...)
	}
	if u.detail != "" {
		b = append(append(b, "; detail="...), u.detail...)
	}
	return b
}
