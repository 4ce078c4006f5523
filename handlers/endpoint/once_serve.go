package endpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/switchboard-ivr/switchboard/internal/call"
	"github.com/switchboard-ivr/switchboard/internal/jqhttp"
	"github.com/switchboard-ivr/switchboard/internal/jsonval"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/once"
	"github.com/switchboard-ivr/switchboard/module/storage"
)

// Writer is a handler's call that writes.
type Writer interface {
	// AppendWrite appends what the write asks for: a repeat asks for the same.
	AppendWrite(dst []byte) ([]byte, error)

	// Detach returns a call that does the same work and may outlive this one.
	Detach(ctx context.Context) DetachedCall
}

// write is a write that is under way in this process. A detached call sends it; all
// calls with its key wait for that one.
type write struct {
	of      *writes
	key     string
	request string // digest of what it asks for
	work    DetachedCall

	record    *once.Record // set once it is stored, just before the write is sent
	elsewhere bool         // this process doesn't send it; set before done is closed
	found     *once.Record // that says so, if it was read
	// Whether a connection was needed, and whether there was one: without one,
	// nothing can have been sent.
	needed, connected atomic.Bool

	done   chan struct{}
	result DetachedResult // once done
}

// writeUse describes what `once` did for a call.
type writeUse struct {
	key       string
	started   *write // that the call's own work sends; nil for none
	elsewhere bool   // another process sends it, or has been stopped
	repeat    string // what a repeat got, such as [switchboard.RepeatAnswered]; "" for no repeat
}

// ServeOnce answers a repeated write from its record, or from the call that sends it,
// or starts the detached call that sends it. It returns true when writes of the route
// may happen more than once, so that the handler must do the work itself.
func (c *Call) ServeOnce(q Writer) bool { return c.Route.once == nil || c.serveOnce(q) }

func (c *Call) serveOnce(q Writer) bool {
	w := c.Route.once
	request, ok := c.identifyWrite(q)
	if !ok {
		return false
	}
	if c.Test != nil && c.Test.DryRun {
		return true // nothing is sent
	}
	w.store.TestLock()
	w.store.Sweep()
	for wait := time.Duration(0); ; wait = min(wait+50*time.Millisecond, 250*time.Millisecond) {
		if wait > 0 && !c.sleep(wait) {
			return c.overdueWrite()
		}
		f, created := w.join(c.once.key, request)
		switch {
		case f == nil:
			return c.notSent("too many writes of this api are under way")
		case created && c.firstWrite(f, q):
			return false
		case !created && f.request != request:
			return c.otherWrite()
		case !created:
			c.once.repeat = switchboard.RepeatWaited
		}
		if (!created || c.once.started != nil) && c.awaitWrite(f) {
			return false
		}
	}
}

// firstWrite looks for the record of a write that isn't under way in this process, and
// starts to send the write if it is not under way elsewhere. It returns true if that
// ended the call.
func (c *Call) firstWrite(f *write, q Writer) (ended bool) {
	defer func() {
		if c.once.started == nil {
			f.release()
		}
	}()
	found, err := f.of.store.Load(c.Ctx, f.key)
	f.found = found
	switch {
	case c.answerFromRecord(found, err, f.request):
		c.countRepeat()
		return true
	case found != nil && found.UnderWay(time.Now()): // in another instance
		c.once.repeat, c.once.elsewhere = switchboard.RepeatWaited, true
		return false
	case found != nil || err != nil:
		c.once.repeat = switchboard.RepeatSentAgain
	default:
		c.once.repeat = "" // one that was waited for was not sent
	}
	c.startWrite(f, q)
	return false
}

// identifyWrite finds the key of the write, and the digest of what it asks for. It
// ends the call if there is none.
func (c *Call) identifyWrite(q Writer) (request string, ok bool) {
	w := c.Route.once
	key := ""
	if w.key == nil {
		key = c.givenID
	} else {
		v, err := w.key.Run(c.Ctx, c.Input.Params, c.Request)
		if err == nil {
			key, err = writeKey(v)
		}
		if err != nil {
			if c.Ctx.Err() != nil {
				return "", c.Expire("")
			}
			return "", c.Fail(call.Incomplete, "the key of once can't be built from the params: "+err.Error())
		}
	}
	key = strings.TrimSpace(key) // as a header carries it
	c.once.key = key
	switch {
	case key == "":
		if w.key == nil {
			return "", c.Fail(call.Incomplete, "the write has no key; send call_id, CallSid, ContactId or uniqueid, or write a program for the key in once")
		}
		return "", c.Fail(call.Incomplete, "the write has no key: the program of once gives null or a blank")
	case len(key) > once.MaxKey:
		return "", c.Fail(call.Incomplete, "the key of the write is longer than "+strconv.Itoa(once.MaxKey)+" bytes")
	case w.Header != "" && !httpguts.ValidHeaderFieldValue(key):
		return "", c.Fail(call.Incomplete, "the key of the write has a character that a header can't carry")
	}
	about, err := q.AppendWrite(nil)
	if err != nil {
		return "", c.Fail(call.Incomplete, "the params can't be compared with those of a repeat: "+err.Error())
	}
	sum := sha256.Sum256(about)
	return hex.EncodeToString(sum[:]), true
}

// writeKey returns a key as a text: a scalar as it is, an object or array in JSON. A
// null in those is a part that is missing: without it, writes that differ in it would
// have the same key.
func writeKey(v any) (string, error) {
	switch v.(type) {
	case nil:
		return "", nil
	case bool:
		return "", errors.New("true and false don't tell writes apart")
	case map[string]any, []any:
		if !call.HasContent(v) {
			return "", nil
		}
		if jsonval.Any(v, func(_ string, v any) bool { return v == nil }) {
			return "", errors.New("a part of it is null")
		}
		text, err := jsonval.Encode(nil, v, jsonval.Limits{})
		return string(text), err
	default:
		return jqhttp.Scalar(v)
	}
}

// answerFromRecord ends a call whose write has a record that is decisive, or whose
// record can't be loaded. It returns false if the write is to be sent or awaited.
func (c *Call) answerFromRecord(found *once.Record, err error, request string) bool {
	resend := c.Route.once.Header != ""
	switch {
	case errors.Is(err, once.ErrUnreadable):
		if resend {
			return false
		}
		c.once.repeat = switchboard.RepeatUnknown
		c.failWrite(call.Unknown, "the write may have been sent before: "+err.Error())
	case err != nil:
		switch sent := c.once.repeat != ""; { // it was under way when its record was read
		case c.Ctx.Spent() && sent:
			c.overdueWrite()
		case sent:
			c.once.repeat = switchboard.RepeatUnknown
			c.failWrite(call.Unknown, "the write may have been sent before: "+err.Error())
		case c.Ctx.Spent():
			c.notSent(storage.ErrDown.Error())
		case c.R.Context().Err() != nil:
			c.Expire("")
		default:
			c.notSent(err.Error())
		}
	case found == nil:
		return false
	case found.Request != request:
		c.otherWrite()
	case found.Outcome.Answered():
		c.repeatAnswer(found)
	case found.UnderWay(time.Now()), resend:
		return false
	default:
		c.once.repeat = switchboard.RepeatUnknown
		reason := "the write was sent before, and its result is unknown: "
		if found.Cause != "" {
			reason += "it ended as " + string(found.Cause)
		} else {
			reason += "the process that sent it was stopped"
		}
		c.failWrite(call.Unknown, reason)
	}
	return true
}

// repeatAnswer answers a repeat with the answer of the first call.
func (c *Call) repeatAnswer(found *once.Record) {
	v, err := jsonval.Decode(found.Answer, jsonval.Limits{Bytes: once.MaxAnswer})
	if err != nil {
		c.once.repeat = switchboard.RepeatUnknown
		c.failWrite(call.Unknown, "the write was sent before, and its recorded answer can't be read")
		return
	}
	c.once.repeat = switchboard.RepeatAnswered
	c.Outcome, c.Status, c.Output = found.Outcome, found.Status, v
	c.Uncharged = true // the API wasn't called
	c.age = time.Since(found.Sent)
	c.W.Header().Set(replayedHeader, "true")
}

// replayedHeader tells a caller that the answer is that of an earlier request with the
// same key.
const replayedHeader = "Idempotency-Replayed"

// failWrite ends a call with an outcome that doesn't say anything about the API.
func (c *Call) failWrite(outcome call.Outcome, reason string) bool {
	c.Uncharged = true
	return c.Fail(outcome, reason)
}

func (c *Call) notSent(why string) bool {
	return c.failWrite(call.NotSent, "the write was not sent, because its record could not be kept: "+why)
}

// otherWrite ends a call whose key belongs to a write that asks for something else. An
// answer to that one would be wrong.
func (c *Call) otherWrite() bool {
	return c.Fail(call.Incomplete, "the key was already used for another write; include in the key of once whatever identifies the write")
}

// sleep waits, and reports whether the call still has time.
func (c *Call) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.Ctx.Done():
		return false
	}
}

// startWrite starts the detached call that sends the write.
func (c *Call) startWrite(f *write, q Writer) {
	ctx := context.WithValue(context.WithoutCancel(c.R.Context()), writeOf{}, f)
	f.work = q.Detach(ctx)
	c.once.started = f
	go c.Route.send(f)
}

type writeOf struct{}

// awaitWrite waits for a write that is under way until the call's own budget ends. It
// returns false if this process turned out not to send it.
func (c *Call) awaitWrite(f *write) bool {
	select {
	case <-f.done:
	case <-c.Ctx.Done():
		c.overdueWrite()
		c.countRepeat()
		return true
	}
	if f.elsewhere {
		c.once.started = nil
		if f.found == nil || !c.answerFromRecord(f.found, nil, f.request) {
			return false
		}
		c.countRepeat()
		return true
	}
	own := c.once.started != nil
	c.accept(&f.result, own)
	if !own {
		c.Uncharged = true // the call that was started counts
		if c.Outcome.Answered() {
			c.W.Header().Set(replayedHeader, "true")
		}
	}
	c.countRepeat()
	return true
}

// overdueWrite ends a call whose budget ran out while its write is under way.
func (c *Call) overdueWrite() bool {
	if c.R.Context().Err() != nil && !c.Ctx.Spent() {
		return c.Expire("")
	}
	c.Uncharged = c.once.started == nil || c.slowCaller()
	if !c.Uncharged {
		// the API is slow, however the write ends, unless another one is
		c.Uncharged = c.once.started.work.Overdue() == PartOverdue
	}
	if c.once.elsewhere {
		return c.Fail(call.Unknown, "the budget ran out before the API answered; the write is under way in another process, or that was stopped, and a repeat gets to know")
	}
	return c.Fail(call.Unknown, "the budget ran out before the API answered; the write is under way, and a repeat gets its answer")
}

func (c *Call) countRepeat() {
	if c.once.repeat != "" {
		c.Route.Metrics.Repeated(c.once.repeat)
	}
}

// BeforeSend must be called just before the API's request is sent, and returns the
// request to send. For a write that happens once it stores the record. If that fails, or
// another instance has done so, it ends the call and returns nil.
func (c *Call) BeforeSend(req *http.Request) *http.Request {
	f := c.sends
	if f == nil {
		return req
	}
	if !c.recordWrite(f) {
		return nil
	}
	if f.of.Header != "" {
		req.Header.Set(f.of.Header, f.key)
	}
	return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { f.needed.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { f.connected.Store(true) },
	}))
}

// onceStep returns the trace's step about the write's record.
func (c *Call) onceStep(secrets []string) adminapi.Step {
	step := adminapi.Step{Step: "once", Outcome: adminapi.StepOK, In: map[string]any{"key": mask.Hide("", c.once.key, secrets)}}
	switch {
	case c.once.repeat != "":
		step.Out = map[string]any{"repeat": c.once.repeat}
	case c.once.started != nil:
		step.Out = map[string]any{"repeat": false}
	}
	return step
}
