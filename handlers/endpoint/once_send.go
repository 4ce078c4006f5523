package endpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/module/once"
	"github.com/switchboard-ivr/switchboard/module/storage"
)

// send runs the detached call of a write, completes the record, and publishes the
// result to all calls that wait.
func (r *Route) send(f *write) {
	defer f.of.leave(f)
	f.result = r.recovered(f.work)
	complete, kept := f.settle()
	if complete == nil {
		close(f.done)
		return
	}
	// The answer waits for its record, but not long. An operation that was begun is not
	// aborted: it could take effect later, after that of another attempt.
	publish := sync.OnceFunc(func() { close(f.done) })
	late := time.AfterFunc(completePatience, publish)
	defer late.Stop()
	err := complete(context.Background())
	publish()
	if err == nil {
		return
	}
	if !kept {
		f.of.leave(f) // a repeat may be sent
	}
	if f.of.incomplete.Add(1) <= maxWrites {
		for pause := time.Second; err != nil && pause <= time.Minute; pause *= 2 {
			<-time.After(pause)
			err = complete(context.Background())
		}
	}
	f.of.incomplete.Add(-1)
	if err != nil {
		r.Logger.Warn("the record of a write could not be completed; repeats of it end as unknown", zap.String("api", r.Name), zap.Error(err))
	}
}

// completePatience is how long an answer waits for its record to be completed. After
// that it is completed in the background.
const completePatience = 500 * time.Millisecond

// settle decides what became of a write. It returns how the record is completed, nil
// for no record, and whether it is kept.
func (f *write) settle() (complete func(context.Context) error, kept bool) {
	res, r, store := &f.result, f.record, f.of.store
	drop := func(ctx context.Context) error { return store.Drop(ctx, r) }
	save := func(ctx context.Context) error {
		if err := store.Save(ctx, r); !errors.Is(err, once.ErrExpired) {
			return err
		}
		return nil
	}
	switch {
	case r == nil:
		return nil, false // nothing was sent
	case f.needed.Load() && !f.connected.Load(), slices.Contains(refused, res.Outcome) && (res.Outcome != call.Rejected || !res.Doubtful):
		return drop, false
	case res.Outcome.Answered() && res.source != nil:
		r.Outcome, r.Status, r.Answer = res.Outcome, res.Status, res.source
		return save, true
	case res.Outcome.Answered():
		r.Outcome, r.Cause = call.Unknown, call.TooLarge // for repeats; this call has its answer
		return save, true
	}
	r.Outcome, r.Cause = call.Unknown, res.Outcome
	res.Status = 0
	res.Reason = "the write was sent, and its result is unknown (" + string(res.Outcome) + "): " + res.Reason
	res.Outcome = call.Unknown
	return save, true
}

// refused are the outcomes of a write that the API has refused, or that was not sent
// although a record was stored.
var refused = []call.Outcome{call.Rejected, call.TokenRefused, call.NoToken, call.BadRequest, call.NotSent}

// recordWrite stores the record of a write, unless it is sent for the second time, with
// a new token.
func (c *Call) recordWrite(f *write) bool {
	w := f.of
	if f.record != nil {
		return true
	}
	now := time.Now()
	record := &once.Record{
		Key: f.key, Request: f.request, Attempt: rand.Text(), Sent: now,
		Until: now.Add(w.finish.Each + clockSkew), Expires: now.Add(time.Duration(w.TTL)),
	}
	found, err := w.store.Claim(c.Ctx, record, w.patience, func(found *once.Record, _ error) bool {
		return w.Header != "" && (found == nil || found.Request == f.request && !found.Outcome.Answered() && !found.UnderWay(now))
	})
	switch {
	case found != nil, errors.Is(err, once.ErrUnreadable):
		f.elsewhere = true
		return c.notSent("another instance has sent it")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return c.notSent(storage.ErrDown.Error())
	case err != nil:
		return c.notSent(err.Error())
	}
	f.record = record
	return true
}

// clockSkew is by how much the clocks of instances may differ.
const clockSkew = 5 * time.Second
