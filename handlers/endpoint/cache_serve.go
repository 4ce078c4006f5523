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
	"github.com/switchboard-ivr/switchboard/internal/jq"
)

// Question is what a handler's call asks, as far as the cache has to know.
type Question interface {
	// AppendSubject appends what the phone system asks about, written down in one
	// way only. A `key` of the user's takes its place.
	AppendSubject(dst []byte) ([]byte, error)

	// AppendContext appends what else the answer depends on.
	AppendContext(dst []byte) []byte

	// Fork makes a call of its own that asks the same.
	Fork(ctx context.Context) Work
}

// Work is a call that was forked from another, and may outlive it.
type Work interface {
	// Do asks, once and in a goroutine of its own. It ends with the context that
	// the call was forked with.
	Do() Result
	// Late is told that the work took longer than a caller waits, who may have
	// given up, and says how the call has ended for that one: call.Timeout, or what
	// the work lacks: call.NoToken, or Overloaded. It may be told twice, and when the
	// work is done already.
	Late() call.Outcome
}

// Overloaded is what late work lacks when this instance has no room for a large
// answer; see [Call.NoRoom]. No call ends with it.
const Overloaded call.Outcome = "overloaded"

// Recall answers a call from the cache, or with the answer to the same question
// that is under way, or has it asked. It returns true when there is nothing to
// recall, and the handler has to ask by itself.
func (c *Call) Recall(q Question) bool {
	m := c.Route.memory
	if m == nil {
		return true
	}
	if c.Trial.asksAnew() {
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
		c.ask(q, key, entry)
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
func (c *Call) cacheKey(q Question) (key cache.Key, subject []byte, ok bool) {
	m := c.Route.memory
	buf := append(make([]byte, 0, 256), m.scope...)
	if !m.shared {
		buf = cache.AppendPart(buf, c.Principal)
	}
	buf = q.AppendContext(buf)
	from := len(buf)
	var err error
	if m.key == nil {
		buf, err = q.AppendSubject(buf)
	} else {
		var v any
		if v, err = m.key.Run(c.Clock, c.Input.Params, c.Request); err == nil && v == nil {
			return key, nil, true
		}
		if err == nil {
			buf, err = jq.Encode(buf, v, jq.Limits{})
		}
	}
	if err != nil {
		if c.Clock.Err() != nil {
			return key, nil, c.Ended("")
		}
		return key, nil, c.Refuse(http.StatusBadRequest, call.BadRequest, fmt.Sprintf("cache key: %v", err))
	}
	return m.answers.Key(buf), buf[from:], true
}

// ask waits for the answer, or until the call's own time is over. An older answer
// stands in for one that failed.
func (c *Call) ask(q Question, key cache.Key, older *cache.Entry) {
	shared := &c.Route.memory.flights
	if c.Trial != nil {
		shared = new(flights) // its steps are its own
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.R.Context()))
	f, created := shared.join(key, cancel)
	c.cached.forwarded(older, created)
	if created {
		c.depart(f, key, q.Fork(ctx))
	} else {
		cancel()
	}
	select {
	case <-f.done:
		c.take(&f.result, created)
	case <-c.Clock.Done():
		late := shared.leave(key, f, c.Clock.Spent() && !c.slowCaller())
		c.Ended("")
		if late == call.NoToken {
			c.RetryAfter = time.Second
			c.Fail(late, "no token came within the budget")
		}
		if late == Overloaded {
			c.NoRoom()
		}
	}
	if now := time.Now(); older != nil && !c.Outcome.Answered() && c.Outcome != call.Canceled && now.Before(older.StaleIfError) {
		c.cached.failed(older, now)
		c.serveStale(older, now)
	}
}

// renew has an answer renewed that is served meanwhile.
func (c *Call) renew(q Question, key cache.Key) {
	m := c.Route.memory
	if m.flights.under(key) {
		return // as most calls find it
	}
	ctx, cancel := context.WithCancel(c.Trial.apart(context.WithoutCancel(c.R.Context())))
	f, created := m.flights.renew(key, cancel)
	if !created {
		cancel()
		return
	}
	c.depart(f, key, q.Fork(ctx))
}

func (c *Call) depart(f *flight, key cache.Key, work Work) {
	f.of.begin(f, work)
	go c.Route.fly(f, key, c.Route.memory.note(c.cached.subject), work)
}

// fly asks the question, keeps the answer and hands it to all who wait. A panic
// is an answer that can't be used: nobody may wait for ever (reliability L6).
func (r *Route) fly(f *flight, key cache.Key, note string, work Work) {
	result := r.safely(work)
	m := r.memory
	if entry := m.entry(&result, note); entry != nil {
		result.kept = m.answers.Put(m.group, key, entry)
	} else if result.Outcome.Answered() {
		m.answers.Delete(key) // what is there is no longer true
	}
	if !f.of.land(key, f, result) {
		r.Metrics.Behind(result.Outcome)
		if f.renewal && !result.Uncharged { // the callers of another have told already
			r.answered(result.Outcome)
		}
		r.Logger.Debug("finished behind", zap.String("api", r.Name), zap.String("outcome", string(result.Outcome)))
	}
}

func (r *Route) safely(work Work) (result Result) {
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
	return work.Do()
}

// serveStale answers with what was right a while ago.
func (c *Call) serveStale(entry *cache.Entry, now time.Time) {
	v, err := jq.Decode(entry.Source, jq.Limits{Bytes: len(entry.Source)})
	if err != nil {
		c.Fail(call.BadAnswer, "an older answer could not be read")
		return
	}
	c.Outcome, c.Status = call.Stale, entry.Status
	c.Output, c.age = v, now.Sub(entry.Stored)
}
