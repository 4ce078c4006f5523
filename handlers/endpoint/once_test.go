package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/call"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/once"
)

// records is a storage in memory.
type records struct {
	certmagic.Storage // nil: what isn't implemented must not be called

	mu    sync.Mutex
	data  map[string][]byte
	locks map[string]chan struct{}
	ops   map[string]int
	hook  func(ctx context.Context, op string) error // before each operation
}

func newRecords() *records {
	return &records{data: map[string][]byte{}, locks: map[string]chan struct{}{}, ops: map[string]int{}}
}

func (s *records) begin(ctx context.Context, op string) error {
	s.mu.Lock()
	s.ops[op]++
	hook := s.hook
	s.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx, op)
}

// fault makes an operation do what f does; nil ends that.
func (s *records) fault(op string, f func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = func(ctx context.Context, now string) error {
		if f == nil || now != op {
			return nil
		}
		return f(ctx)
	}
}

func (s *records) Load(ctx context.Context, key string) ([]byte, error) {
	if err := s.begin(ctx, "load"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.data[key]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (s *records) Store(ctx context.Context, key string, b []byte) error {
	if err := s.begin(ctx, "store"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[key] = b
	return nil
}

func (s *records) Delete(ctx context.Context, key string) error {
	if err := s.begin(ctx, "delete"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.data, key)
	return nil
}

func (s *records) List(context.Context, string, bool) ([]string, error) { return nil, fs.ErrNotExist }

func (s *records) Lock(ctx context.Context, name string) error {
	if err := s.begin(ctx, "lock"); err != nil {
		return err
	}
	s.mu.Lock()
	if s.locks[name] == nil {
		s.locks[name] = make(chan struct{}, 1)
	}
	lock := s.locks[name]
	s.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *records) Unlock(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	<-s.locks[name]
	return nil
}

func (s *records) count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ops[op]
}

func (s *records) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.data)
}

// ticketAPI creates tickets.
type ticketAPI struct {
	fakeAPI
	headers   []string // Idempotency-Key of each request
	connect   func(trace *httptrace.ClientTrace)
	afterwork func(c *Call)
}

// ticket is a call that creates one.
type ticket struct {
	*Call
	api *ticketAPI
}

func (q *ticket) AppendWrite(dst []byte) ([]byte, error) {
	about := fmt.Sprint(q.Input.Params["about"])
	if about == "unreadable" {
		return nil, errors.New("it is unreadable")
	}
	return append(dst, about...), nil
}

func (q *ticket) Detach(ctx context.Context) DetachedCall {
	f := q.Call.Detach(ctx, nil)
	return &ticket{&f, q.api}
}

func (q *ticket) Run() DetachedResult {
	q.work()
	return q.FinishDetached()
}

func (q *ticket) work() {
	r, _ := http.NewRequestWithContext(q.Ctx, http.MethodPost, "/", nil)
	if r = q.BeforeSend(r); r == nil {
		return
	}
	q.api.calls.Add(1)
	q.api.mu.Lock()
	does := q.api.does
	q.api.headers = append(q.api.headers, r.Header.Get("Idempotency-Key"))
	q.api.mu.Unlock()
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && q.api.connect != nil {
		q.api.connect(trace)
	}
	q.Outcome, q.Output = does(q.Ctx)
	if q.api.afterwork != nil {
		q.api.afterwork(q.Call)
	}
}

func (q *ticket) Overdue() call.Outcome {
	q.api.late.Add(1)
	return call.Timeout
}

// desk is an instance with a route that creates tickets once.
type desk struct {
	t       *testing.T
	route   *Route
	api     *ticketAPI
	storage *records
	logs    *observer.ObservedLogs
}

func newDesk(t *testing.T, o Once) *desk {
	t.Helper()
	return newDeskOn(t, o, newRecords(), new(ticketAPI))
}

func newDeskOn(t *testing.T, o Once, storage *records, api *ticketAPI) *desk {
	t.Helper()
	key, err := o.Check("")
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.WarnLevel)
	d := &desk{t: t, api: api, storage: storage, logs: logs}
	d.route = &Route{
		Name: "ticket", Subject: "the API", StatusField: "_status", Logger: zap.New(core),
		Contract: answer.NewContract(map[string]any{"ticket": ""}), budgets: &Budgets{Each: 2 * time.Second},
		once: &writes{
			Once: o, key: key, store: once.NewStore(storage, "ticket", [32]byte{1}, zap.New(core)), finish: &Budgets{Each: 30 * time.Second},
			patience: time.Second, running: make(map[string]*write),
		},
	}
	api.creates("T-1")
	t.Cleanup(func() { time.Sleep(3 * time.Minute) }) // until nothing runs in the background
	return d
}

func (a *ticketAPI) creates(number string) { a.answers(call.OK, map[string]any{"ticket": number}) }

// takes makes the API answer after d, and create ticket T-1.
func (a *ticketAPI) takes(d time.Duration) {
	a.set(func(ctx context.Context) (call.Outcome, any) {
		select {
		case <-time.After(d):
			return call.OK, map[string]any{"ticket": "T-1"}
		case <-ctx.Done():
			return call.Timeout, nil
		}
	})
}

// heard is what the phone system hears.
type heard struct {
	body     string
	replayed bool
	call     *Call
}

func (d *desk) ask(query string) heard { return d.askUntil(d.t.Context(), query) }

func (d *desk) askUntil(ctx context.Context, query string) heard {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/?"+query, nil).WithContext(ctx)
	c := new(Call)
	c.Begin(d.route, w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server)))
	defer c.End()
	q := &ticket{c, d.api}
	if c.Receive(false) {
		c.Identify()
		if c.ServeOnce(q) {
			q.work()
		}
	}
	if err := c.Answer(nil); err != nil {
		d.t.Error(err)
	}
	return heard{strings.TrimSpace(w.Body.String()), w.Header().Get(replayedHeader) == "true", c}
}

// want checks what was heard, and how often the API was called.
func (d *desk) want(h heard, outcome, number string, replayed bool, calls int64) {
	d.t.Helper()
	body := fmt.Sprintf(`{"_status":%q,"ticket":%q}`, outcome, number)
	if h.body != body || h.replayed != replayed || d.api.calls.Load() != calls {
		d.t.Errorf("got %s, replayed %v, the API was called %d times; want %s, %v, %d (%s)", h.body, h.replayed, d.api.calls.Load(), body, replayed, calls, h.call.Reason)
	}
}

// writesFor is a setting that tests use.
func writesFor(ttl time.Duration) Once { return Once{TTL: every(ttl)} }

func TestAWriteAndItsRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, writesFor(time.Hour))
		d.want(d.ask("call_id=a"), "ok", "T-1", false, 1)
		if stored := d.storage.count("store"); stored != 2 {
			t.Errorf("a write cost %d writes to the storage, want 2", stored)
		}
		d.api.creates("T-2")
		for range 3 {
			h := d.ask("call_id=a&attempt=2")
			d.want(h, "ok", "T-1", true, 1)
			if h.call.once.repeat != switchboard.RepeatAnswered || !h.call.Uncharged {
				t.Errorf("a repeat is counted as %q, uncharged %v", h.call.once.repeat, h.call.Uncharged)
			}
		}
		if stored := d.storage.count("store"); stored != 2 {
			t.Errorf("repeats cost %d writes to the storage", stored-2)
		}
		d.want(d.ask("call_id=b"), "ok", "T-2", false, 2)
		time.Sleep(time.Hour)
		d.want(d.ask("call_id=a"), "ok", "T-2", false, 3)
	})
}

func TestKeysOfWrites(t *testing.T) {
	for _, tc := range []struct{ name, key, header, query, want string }{
		{"the call id", "", "", "CallSid=c", "c"},
		{"no call id", "", "", "tel=1", "incomplete"},
		{"a blank call id", "", "", "call_id=%20", "incomplete"},
		{"a text", ".order", "", "order=77", "77"},
		{"missing", ".order", "", "call_id=c", "incomplete"},
		{"an object", "{call: .call_id, about: .about}", "", "call_id=c&about=x", `{"about":"x","call":"c"}`},
		{"an object with a part missing", "{call: .call_id, about: .about}", "", "about=x", "incomplete"},
		{"an object of nothing", "{call: .call_id}", "", "about=x", "incomplete"},
		{"an array with a part missing", "[.call_id, .about]", "", "about=x", "incomplete"},
		{"a program that fails", `error("no")`, "", "call_id=c", "incomplete"},
		{"256 bytes", "", "", "call_id=" + strings.Repeat("k", 256), strings.Repeat("k", 256)},
		{"257 bytes", "", "", "call_id=" + strings.Repeat("k", 257), "incomplete"},
		{"not a header", "", "Idempotency-Key", "call_id=a%0Ab", "incomplete"},
		{"what can't be compared", "", "", "call_id=a&about=unreadable", "incomplete"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, Once{TTL: every(time.Hour), Key: tc.key, Header: tc.header})
				h := d.ask(tc.query)
				if tc.want == "incomplete" {
					d.want(h, "incomplete", "", false, 0)
					if d.storage.count("load")+d.storage.count("store") > 0 {
						t.Error("the storage was asked")
					}
					return
				}
				d.want(h, "ok", "T-1", false, 1)
				if h.call.once.key != tc.want {
					t.Errorf("the key is %q, want %q", h.call.once.key, tc.want)
				}
			})
		})
	}
}

func TestAKeyOfAnotherWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, writesFor(time.Hour))
		d.api.takes(time.Second)
		go d.ask("call_id=a&about=parcel")
		synctest.Wait()
		d.want(d.ask("call_id=a&about=letter"), "incomplete", "", false, 1) // while it is under way
		time.Sleep(time.Second)
		d.want(d.ask("call_id=a&about=letter"), "incomplete", "", false, 1) // and later
	})
}

// A storage that fails while a repeat waits for another instance doesn't make a write
// that was sent one that wasn't.
func TestAStorageThatFailsWhileARepeatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here := newDesk(t, writesFor(time.Hour))
		there := newDeskOn(t, writesFor(time.Hour), here.storage, here.api)
		here.api.takes(3 * time.Second)
		go here.ask("call_id=a")
		synctest.Wait()
		go func() {
			time.Sleep(time.Second)
			here.storage.fault("load", func(context.Context) error { return errors.New("no space left") })
		}()
		there.want(there.ask("call_id=a"), "unknown", "", false, 1)
		here.storage.fault("load", nil)
		time.Sleep(2 * time.Second)
		there.want(there.ask("call_id=a"), "ok", "T-1", true, 1)
	})
}

// Repeats that come while a write is under way get its answer, in this instance and in
// another.
func TestRepeatsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here := newDesk(t, writesFor(time.Hour))
		there := newDeskOn(t, writesFor(time.Hour), here.storage, here.api)
		here.api.takes(time.Second)
		var all sync.WaitGroup
		all.Go(func() { here.want(here.ask("call_id=a"), "ok", "T-1", false, 1) })
		synctest.Wait()
		for range 5 {
			all.Go(func() { here.want(here.ask("call_id=a"), "ok", "T-1", true, 1) })
			all.Go(func() {
				h := there.ask("call_id=a")
				there.want(h, "ok", "T-1", true, 1)
				if h.call.once.repeat != switchboard.RepeatAnswered {
					t.Errorf("counted as %q", h.call.once.repeat)
				}
			})
		}
		all.Wait()
		synctest.Wait()
		for _, d := range []*desk{here, there} {
			d.route.once.mu.Lock()
			if n := len(d.route.once.running); n != 0 {
				t.Errorf("%d are still under way", n)
			}
			d.route.once.mu.Unlock()
		}
	})
}

// Repeats that meet while the storage is slow to give the record all get its answer.
func TestRepeatsThatMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, writesFor(time.Hour))
		d.ask("call_id=a")
		d.storage.fault("load", func(context.Context) error { time.Sleep(300 * time.Millisecond); return nil })
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { d.want(d.ask("call_id=a"), "ok", "T-1", true, 1) })
		}
		all.Wait()
	})
}

// Of two instances that begin at the same time, one sends.
func TestTwoInstancesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here := newDesk(t, writesFor(time.Hour))
		there := newDeskOn(t, writesFor(time.Hour), here.storage, here.api)
		here.api.takes(100 * time.Millisecond)
		var loads atomic.Int32
		both := make(chan struct{})
		here.storage.fault("load", func(context.Context) error { // both see that there is no record
			if loads.Add(1) == 2 {
				close(both)
			}
			<-both
			return nil
		})
		var replayed atomic.Int32
		var all sync.WaitGroup
		for _, d := range []*desk{here, there} {
			all.Go(func() {
				h := d.ask("call_id=a")
				if h.replayed {
					replayed.Add(1)
				}
				d.want(h, "ok", "T-1", h.replayed, 1)
			})
		}
		all.Wait()
		if replayed.Load() != 1 {
			t.Errorf("%d of two answers are replayed", replayed.Load())
		}
	})
}

// A caller whose budget ends first hears unknown, and a repeat gets the answer.
func TestAWriteThatOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, writesFor(time.Hour))
		d.api.takes(5 * time.Second)
		begin := time.Now()
		h := d.ask("call_id=a")
		d.want(h, "unknown", "", false, 1)
		if took := time.Since(begin); took != 2*time.Second || h.call.Uncharged || d.api.late.Load() != 1 {
			t.Errorf("after %v, uncharged %v, overdue %d times", took, h.call.Uncharged, d.api.late.Load())
		}
		h = d.ask("call_id=a") // still under way
		d.want(h, "unknown", "", false, 1)
		if !h.call.Uncharged || d.api.late.Load() != 1 {
			t.Error("a repeat is charged to the API")
		}
		d.want(d.ask("call_id=a"), "ok", "T-1", true, 1)

		// one that hangs up
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if h := d.askUntil(ctx, "call_id=b"); h.call.Outcome != call.Canceled {
			t.Errorf("%s after a hang-up", h.call.Outcome)
		}
		time.Sleep(4 * time.Second)
		d.want(d.ask("call_id=b"), "ok", "T-1", true, 2)

		// an API that never answers
		d.api.takes(time.Hour)
		d.want(d.ask("call_id=c"), "unknown", "", false, 3)
		time.Sleep(time.Minute)
		h = d.ask("call_id=c")
		d.want(h, "unknown", "", false, 3)
		if h.call.Reason != "the write was sent before, and its result is unknown: it ended as timeout" {
			t.Error(h.call.Reason)
		}
	})
}

// A write whose process was killed has an unknown result once it can't be under way.
func TestAWriteWhoseProcessWasKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, writesFor(time.Hour))
		d.api.takes(time.Hour)
		go d.ask("call_id=a")
		synctest.Wait()
		left := &records{data: maps.Clone(d.storage.data), locks: map[string]chan struct{}{}, ops: map[string]int{}}
		next := newDeskOn(t, writesFor(time.Hour), left, new(ticketAPI))
		h := next.ask("call_id=a")
		next.want(h, "unknown", "", false, 0)
		if !strings.Contains(h.call.Reason, "under way") {
			t.Error(h.call.Reason)
		}
		time.Sleep(time.Minute)
		h = next.ask("call_id=a")
		next.want(h, "unknown", "", false, 0)
		if !strings.Contains(h.call.Reason, "the process that sent it was stopped") || h.call.once.repeat != switchboard.RepeatUnknown {
			t.Error(h.call.Reason, h.call.once.repeat)
		}
	})
}

// What a first call and its repeat get, for each way in which a write can end.
func TestHowWritesEnd(t *testing.T) {
	const again = "again" // the write is sent once more
	connected := func(trace *httptrace.ClientTrace) { trace.GetConn(""); trace.GotConn(httptrace.GotConnInfo{}) }
	dialled := func(trace *httptrace.ClientTrace) { trace.GetConn("") }
	for _, tc := range []struct {
		ends          call.Outcome
		connect       func(trace *httptrace.ClientTrace)
		first, repeat string
	}{
		{call.OK, connected, "ok", "ok"},
		{call.NotFound, connected, "not_found", "not_found"},
		{call.Rejected, connected, "rejected", again},
		{call.TokenRefused, connected, "token_refused", again},
		{call.NoToken, connected, "no_token", again},
		{call.NoToken, nil, "no_token", again},
		{call.Unreachable, dialled, "unreachable", again},
		{call.Timeout, dialled, "timeout", again},
		{call.Unreachable, connected, "unknown", "unknown"},
		{call.Unreachable, nil, "unknown", "unknown"}, // a handler that doesn't say whether it connected
		{call.Timeout, connected, "unknown", "unknown"},
		{call.Failed, connected, "unknown", "unknown"},
		{call.BadAnswer, connected, "unknown", "unknown"},
		{call.TooLarge, connected, "unknown", "unknown"},
		{call.Incomplete, connected, "unknown", "unknown"},
	} {
		t.Run(fmt.Sprint(tc.ends, " ", tc.connect != nil), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, writesFor(time.Hour))
				d.api.connect = tc.connect
				number := ""
				if tc.ends == call.OK {
					number = "T-1"
				}
				d.api.answers(tc.ends, map[string]any{"ticket": number})
				h := d.ask("call_id=a")
				d.want(h, tc.first, number, false, 1)
				if tc.first == "unknown" && !strings.HasPrefix(h.call.Reason, "the write was sent, and its result is unknown ("+string(tc.ends)+")") {
					t.Error(h.call.Reason)
				}
				time.Sleep(time.Second)
				d.api.creates("T-2")
				if tc.repeat == again {
					if d.storage.left() != 0 {
						t.Error("its record is left")
					}
					d.want(d.ask("call_id=a"), "ok", "T-2", false, 2)
					return
				}
				d.want(d.ask("call_id=a"), tc.repeat, number, call.Outcome(tc.repeat).Answered(), 1)
			})
		})
	}
}

func TestAHandlerThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, writesFor(time.Hour))
		d.api.set(func(context.Context) (call.Outcome, any) { panic("at the disco") })
		d.want(d.ask("call_id=a"), "unknown", "", false, 1)
		d.want(d.ask("call_id=a"), "unknown", "", false, 1)
	})
}

// The caller of an answer that is too large to keep gets it; repeats get unknown.
func TestAnAnswerTooLargeToKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, writesFor(time.Hour))
		d.api.answers(call.OK, map[string]any{"ticket": strings.Repeat("T", once.MaxAnswer)})
		if h := d.ask("call_id=a"); h.call.Outcome != call.OK || len(h.body) < once.MaxAnswer {
			t.Errorf("%s, %d bytes", h.call.Outcome, len(h.body))
		}
		d.want(d.ask("call_id=a"), "unknown", "", false, 1)
	})
}

// With its key in a header, a write whose result is unknown is sent again under that key.
func TestAKeyInAHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, Once{TTL: every(time.Hour), Header: "Idempotency-Key"})
		d.api.answers(call.Failed, nil)
		d.want(d.ask("call_id=a"), "unknown", "", false, 1)
		d.api.creates("T-1")
		h := d.ask("call_id=a")
		d.want(h, "ok", "T-1", false, 2)
		if h.call.once.repeat != switchboard.RepeatSentAgain {
			t.Errorf("counted as %q", h.call.once.repeat)
		}
		d.want(d.ask("call_id=a"), "ok", "T-1", true, 2)
		d.want(d.ask("call_id=a&about=letter"), "incomplete", "", false, 2)

		// a record that can't be read
		time.Sleep(10 * time.Second) // it is in memory for a moment
		for name := range d.storage.data {
			d.storage.data[name] = []byte("{")
		}
		d.want(d.ask("call_id=a"), "ok", "T-1", false, 3)
		if got := strings.Join(d.api.headers, ","); got != "a,a,a" {
			t.Errorf("Idempotency-Key: %s", got)
		}
	})
}

func TestARecordThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, writesFor(time.Hour))
		d.ask("call_id=a")
		for name := range d.storage.data {
			d.storage.data[name] = []byte("{")
		}
		h := d.ask("call_id=a")
		d.want(h, "unknown", "", false, 1)
		if h.call.Reason != "the write may have been sent before: the record can't be read: the record is damaged" {
			t.Error(h.call.Reason)
		}
	})
}

// Without its record a write isn't sent, and the caller hears so in time.
func TestAStorageThatFails(t *testing.T) {
	for _, op := range []string{"load", "store", "lock"} {
		for how, fault := range map[string]func(ctx context.Context) error{
			"fails": func(context.Context) error { return errors.New("no space left") },
			"hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			"slow":  func(context.Context) error { time.Sleep(3 * time.Second); return nil },
		} {
			t.Run(op+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newDesk(t, writesFor(time.Hour))
					d.storage.fault(op, fault)
					begin := time.Now()
					h := d.ask("call_id=a")
					d.want(h, "not_sent", "", false, 0)
					if took := time.Since(begin); took > 2*time.Second || !h.call.Uncharged || strings.Contains(h.call.Reason, "context") {
						t.Errorf("after %v, uncharged %v: %s", took, h.call.Uncharged, h.call.Reason)
					}
					d.storage.fault(op, nil)
					time.Sleep(time.Minute)
					d.want(d.ask("call_id=a"), "ok", "T-1", false, 1)
				})
			})
		}
	}
}

// An answer doesn't wait for a record that can't be completed, which is tried again.
func TestARecordThatIsCompletedLate(t *testing.T) {
	for name, tc := range map[string]struct {
		fault  func(ctx context.Context) error
		heals  bool
		delay  time.Duration
		repeat string
	}{
		"fails and recovers": {func(context.Context) error { return errors.New("no space left") }, true, 0, "ok"},
		"hangs and recovers": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, true, completePatience, "ok"},
		"slow":               {func(context.Context) error { time.Sleep(3 * time.Second); return nil }, true, completePatience, "ok"},
		"never recovers":     {func(context.Context) error { return errors.New("no space left") }, false, 0, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, writesFor(time.Hour))
				d.api.set(func(context.Context) (call.Outcome, any) {
					d.storage.fault("store", tc.fault)
					return call.OK, map[string]any{"ticket": "T-1"}
				})
				begin := time.Now()
				d.want(d.ask("call_id=a"), "ok", "T-1", false, 1)
				if took := time.Since(begin); took != tc.delay {
					t.Errorf("the answer took %v, want %v", took, tc.delay)
				}
				d.want(d.ask("call_id=a"), "ok", "T-1", true, 1) // from memory
				if tc.heals {
					d.storage.fault("store", nil)
				}
				time.Sleep(2 * time.Minute)
				if warned := d.logs.FilterMessageSnippet("could not be completed").Len() == 1; warned == tc.heals {
					t.Errorf("warned %v", warned)
				}
				other := newDeskOn(t, writesFor(time.Hour), d.storage, d.api)
				if h := other.ask("call_id=a"); string(h.call.Outcome) != tc.repeat {
					t.Errorf("another instance says %s, want %s", h.call.Outcome, tc.repeat)
				}
			})
		})
	}
}

// A record that is completed late doesn't replace that of a later write with its key.
func TestARecordThatIsCompletedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here := newDesk(t, writesFor(10*time.Second))
		there := newDeskOn(t, writesFor(10*time.Second), here.storage, here.api)
		here.api.set(func(context.Context) (call.Outcome, any) {
			here.storage.fault("store", func(context.Context) error { return errors.New("no space left") })
			return call.OK, map[string]any{"ticket": "T-1"}
		})
		here.want(here.ask("call_id=a"), "ok", "T-1", false, 1) // tried again after 1, 3, 7, 15 s
		time.Sleep(11 * time.Second)
		here.storage.fault("store", nil)
		here.api.creates("T-2")
		there.want(there.ask("call_id=a"), "ok", "T-2", false, 2)
		time.Sleep(6 * time.Second)
		there.want(there.ask("call_id=a"), "ok", "T-2", true, 2)
		time.Sleep(2 * time.Minute)
	})
}

func TestTooManyWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, writesFor(time.Hour))
		d.api.takes(time.Second)
		var all sync.WaitGroup
		for i := range maxWrites {
			all.Go(func() { d.ask(fmt.Sprint("call_id=", i)) })
		}
		synctest.Wait()
		d.want(d.ask("call_id=one-more"), "not_sent", "", false, maxWrites)
		all.Wait()
		d.want(d.ask("call_id=one-more"), "ok", "T-1", false, maxWrites+1)
	})
}

// A configuration that is taken down waits for the writes that are under way.
func TestStopWaitsForWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, writesFor(time.Hour))
		d.api.takes(5 * time.Second)
		d.ask("call_id=a") // 2 s
		begin := time.Now()
		d.route.once.wait()
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("waited %v", took)
		}
		other := newDeskOn(t, writesFor(time.Hour), d.storage, d.api)
		other.want(other.ask("call_id=a"), "ok", "T-1", true, 1)
	})
}

// A test of an API is a dry run that touches no record, or a write like any other.
func TestTestsOfWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, writesFor(time.Hour))
		dry := d.askUntil(WithTest(t.Context(), &TestOptions{DryRun: true}), "call_id=13800138000")
		if n := d.storage.count("load") + d.storage.count("store"); n != 0 {
			t.Errorf("a dry run asked the storage %d times", n)
		}
		if step := dry.call.onceStep(nil); step.In.(map[string]any)["key"] == "13800138000" || step.Out != nil {
			t.Errorf("%+v", step)
		}
		d.api.calls.Store(0)
		live := d.askUntil(WithTest(t.Context(), new(TestOptions)), "call_id=a")
		d.want(live, "ok", "T-1", false, 1)
		if step := live.call.onceStep(nil); step.Out.(map[string]any)["repeat"] != false {
			t.Errorf("%+v", step)
		}
		again := d.askUntil(WithTest(t.Context(), new(TestOptions)), "call_id=a")
		d.want(again, "ok", "T-1", true, 1)
		if step := again.call.onceStep(nil); step.Out.(map[string]any)["repeat"] != switchboard.RepeatAnswered {
			t.Errorf("%+v", step)
		}
	})
}

func TestSettingsOfOnce(t *testing.T) {
	for _, tc := range []struct {
		once Once
		want string
	}{
		{Once{TTL: every(time.Second)}, ""},
		{Once{TTL: every(744 * time.Hour), Finish: every(5 * time.Minute), Key: ".order"}, ""},
		{Once{}, "the duration must be 1s to 744h"},
		{Once{TTL: every(time.Second - 1)}, "the duration must be 1s to 744h"},
		{Once{TTL: every(745 * time.Hour)}, "the duration must be 1s to 744h"},
		{Once{TTL: every(time.Hour), Finish: -1}, "finish must be more than 0"},
		{Once{TTL: every(time.Hour), Finish: every(6 * time.Minute)}, "finish must be more than 0 and at most 5m"},
		{Once{TTL: every(time.Second), Finish: every(2 * time.Second)}, "finish is longer than the duration"},
		{Once{TTL: every(time.Hour), Key: ".["}, "key: "},
	} {
		if _, err := tc.once.Check(""); (err != nil) != (tc.want != "") || err != nil && !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%+v: %v", tc.once, err)
		}
	}
}
