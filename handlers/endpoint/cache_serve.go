package endpoint

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
)

// Question is what a handler's call asks, as far as the cache has to know.
type Cacheable interface {
	// AppendSubject appends what the phone system asks about, written down in one
	// way only. A `key` of the user's takes its place.
	AppendKey(dst []byte) ([]byte, error)

	// AppendContext appends what else the answer depends on.
	AppendVary(dst []byte) []byte

	// Fork makes a call of its own that asks the same.
	Detach(ctx context.Context) DetachedCall
}

// Work is a call that was forked from another, and may outlive it.
type DetachedCall interface {
	// Do asks, once and in a goroutine of its own. It ends with the context that
	// the call was forked with.
	Run() Result
	// Late is told that the work took longer than a caller waits, who may have
	// given up, and says how the call has ended for that one: call.Timeout, or what
	// the work lacks: call.NoToken, or Overloaded. It may be told twice, and when the
	// work is done already.
	Overdue() call.Outcome
}

// Overloaded is what late work lacks when this instance has no room for a large
// answer; see [Call.NoRoom]. No call ends with it.
const Overloaded call.Outcome = "overloaded"

// Recall answers a call from the cache, or with the answer to the same question
// that is under way, or has it asked. It returns true when there is nothing to
// recall, and the handler has to ask by itself.
func (c *Call) ServeCached(q Cacheable) bool {
	m := c.Route.cache
	if m == nil {
		return true
	}
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
	switch {
	case entry != nil && now.Before(entry.Fresh):
		c.cached.hit(entry, now)
		c.Outcome, c.Status, c.text = call.Outcome(entry.Outcome), entry.Status, entry.Text
	case entry != nil && now.Before(entry.StaleWhileRevalidate):
		c.renew(q, key)
		c.cached.hit(entry, now)
		c.serveStale(entry, now)
	default:
		c.await(q, key, entry)
	}
	if hint, told := m.watch.useless(c.cached.isHit, c.uselessBecause); told {
		c.Route.Logger.Warn("no call of this api was answered from its cache yet; "+hint,
			zap.String("api", c.Route.Name), zap.Int("calls", enough))
	}
	c.Route.Metrics.Cached(c.cached.result())
	return false
}

// uselessBecause says why a cache may be of no use, and what to do.
func (c *Call) uselessBecause() string {
	if c.cached.unkept != "" {
		return "the last answer was not kept: " + c.cached.unkept
	}
	for _, name := range callIDs {
		if _, ok := c.Input.Params[name]; ok {
			return "its params hold " + name + ", which is another one in every call; write what the answer depends on as `key`, for example `key `{tel: .tel}``"
		}
	}
	return "if something in its params or headers is another one in every call, write what the answer depends on as `key`, for example `key `{tel: .tel}``"
}

// cacheKey is the key of a call in the cache, and what of it tells whom or what it
// is about. Without a subject the call is left out of the cache.
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

// ask waits for the answer, or until the call's own time is over. An older answer
// stands in for one that failed.
func (c *Call) await(q Cacheable, key cache.Key, older *cache.Entry) {
	shared := &c.Route.cache.flights
	if c.Test != nil {
		shared = new(inflight) // its steps are its own
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
			c.Fail(late, "no token came within the budget")
		}
		if late == Overloaded {
			c.Overloaded()
		}
	}
	if now := time.Now(); older != nil && !c.Outcome.Answered() && c.Outcome != call.Canceled && now.Before(older.StaleIfError) {
		c.cached.failed(older, now)
		c.serveStale(older, now)
	}
}

// renew has an answer renewed that is served meanwhile.
func (c *Call) renew(q Cacheable, key cache.Key) {
	m := c.Route.cache
	if m.flights.has(key) {
		return // as most calls find it
	}
	ctx, cancel := context.WithCancel(c.Test.detached(context.WithoutCancel(c.R.Context())))
	f, created := m.flights.renew(key, cancel)
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

// fly asks the question, keeps the answer and hands it to all who wait. A panic
// is an answer that can't be used: nobody may wait for ever (reliability L6).
func (r *Route) run(f *inflightCall, key cache.Key, note string, work DetachedCall) {
	result := r.recovered(work)
	m := r.cache
	if entry := m.entry(&result, note); entry != nil {
		result.stored = m.answers.Put(m.group, key, entry)
	} else if result.Outcome.Answered() {
		m.answers.Delete(key) // what is there is no longer true
	}
	if !f.group.finish(key, f, result) {
		r.Metrics.Behind(result.Outcome)
		if f.renewal && !result.Uncharged { // the callers of another have told already
			r.answered(result.Outcome)
		}
		r.Logger.Debug("finished behind", zap.String("api", r.Name), zap.String("outcome", string(result.Outcome)))
	}
}

func (r *Route) recovered(work DetachedCall) (result Result) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			result = Result{Outcome: call.BadAnswer, Reason: "the answer broke off"}
		default:
			result = Result{Outcome: call.BadAnswer, Reason: "a handler panicked"}
			r.Logger.Error("a handler panicked", zap.String("api", r.Name), zap.ByteString("stack", debug.Stack()))
		}
	}()
	return work.Run()
}

// serveStale answers with what was right a while ago.
func (c *Call) serveStale(entry *cache.Entry, now time.Time) {
	v, err := jsonval.Decode(entry.Source, jsonval.Limits{Bytes: len(entry.Source)})
	if err != nil {
		c.Fail(call.BadAnswer, "an older answer could not be read")
		return
	}
	c.Outcome, c.Status = call.Stale, entry.Status
	c.Output, c.age = v, now.Sub(entry.Stored)
}
