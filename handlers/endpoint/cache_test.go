package endpoint

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/call"
)

// fakeAPI answers the questions of a test.
type fakeAPI struct {
	mu    sync.Mutex
	does  func(ctx context.Context) (call.Outcome, any)
	why   string // not to be kept
	calls atomic.Int64
	late  atomic.Int64
}

func (a *fakeAPI) set(does func(ctx context.Context) (call.Outcome, any)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.does = does
}

// answers gives an outcome at once.
func (a *fakeAPI) answers(outcome call.Outcome, output any) {
	a.set(func(context.Context) (call.Outcome, any) { return outcome, output })
}

// question asks it.
type question struct {
	*Call
	api *fakeAPI
}

func (q *question) AppendKey(dst []byte) ([]byte, error) {
	return append(dst, q.Input.Params["tel"].(string)...), nil
}

func (q *question) AppendVary(dst []byte) []byte { return dst }

func (q *question) Detach(ctx context.Context) DetachedCall {
	f := q.Call.Detach(ctx, nil)
	return &question{&f, q.api}
}

func (q *question) Run() DetachedResult {
	q.api.calls.Add(1)
	q.api.mu.Lock()
	does, why := q.api.does, q.api.why
	q.api.mu.Unlock()
	q.Outcome, q.Output = does(q.Ctx)
	res := q.FinishDetached()
	res.NotStored = why
	return res
}

func (q *question) Overdue() call.Outcome {
	q.api.late.Add(1)
	return call.Timeout
}

// site is a route with a cache in front of a fake API.
type site struct {
	t     *testing.T
	route *Route
	api   *fakeAPI
	logs  *observer.ObservedLogs
}

func newSite(t *testing.T, settings Cache) *site {
	t.Helper()
	answers, err := cache.New(cache.DefaultSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answers.Destruct() })
	key, err := settings.Check("")
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.WarnLevel)
	s := &site{t: t, api: new(fakeAPI), logs: logs}
	s.route = &Route{
		Name: "order", Subject: "the API", StatusField: "_status", Logger: zap.New(core),
		Contract: answer.NewContract(map[string]any{"name": ""}),
		budgets:  &Budgets{Each: 2 * time.Second},
		cache: &responseCache{
			Cache: settings, answers: answers, group: "order", key: key, shared: settings.Scope == "shared",
			background: &Budgets{Each: backgroundFor}, inflight: inflight{limit: 2, budget: 2 * time.Second},
		},
	}
	s.api.answers(call.OK, map[string]any{"name": "Ann"})
	return s
}

// got is what the phone system gets.
type got struct {
	status int
	body   string
	cache  string
}

// call calls for a number.
func (s *site) call(tel string) got { return s.callAs(s.t.Context(), "", tel) }

func (s *site) callAs(ctx context.Context, principal, tel string) got {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/?tel="+tel+"&uniqueid=7", nil).WithContext(ctx)
	c := new(Call)
	c.Begin(s.route, w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server)))
	defer c.End()
	c.Principal = principal
	if c.Receive(false) && c.ServeCached(&question{c, s.api}) {
		s.api.calls.Add(1)
		c.Outcome, c.Output = s.api.does(c.Ctx)
	}
	if err := c.Answer(nil); err != nil {
		s.t.Error(err)
	}
	s.route.cache.answers.Wait() // as time would: it is taken in by another goroutine
	return got{w.Code, w.Body.String(), w.Header().Get("Cache-Status")}
}

func (s *site) want(g got, body, cacheStatus string) {
	s.t.Helper()
	if g.status != 200 || g.body != body || g.cache != cacheStatus {
		s.t.Errorf("got %d %s, Cache-Status %q, want %s, %q", g.status, g.body, g.cache, body, cacheStatus)
	}
}

func (s *site) wantCalls(n int64) {
	s.t.Helper()
	if got := s.api.calls.Load(); got != n {
		s.t.Errorf("the API was called %d times, want %d", got, n)
	}
}

func every(d time.Duration) caddy.Duration { return caddy.Duration(d) }

const ann = `{"_status":"ok","name":"Ann"}`

// An answer is served as it is while fresh, then at once while it is renewed, then
// only if the API fails, and then no more.
func TestTheLifeOfAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Cache{Fresh: every(30 * time.Second), StaleWhileRevalidate: every(time.Minute), StaleIfError: every(10 * time.Minute)})
		s.want(s.call("138"), ann, "switchboard; fwd=miss; stored")
		time.Sleep(29 * time.Second)
		s.want(s.call("138"), ann, "switchboard; hit; ttl=1")
		s.wantCalls(1)
		s.want(s.call("139"), ann, "switchboard; fwd=miss; stored")
		s.wantCalls(2)

		// renewed behind; nobody waits
		slow := make(chan struct{})
		s.api.set(func(context.Context) (call.Outcome, any) {
			<-slow
			return call.OK, map[string]any{"name": "Bea"}
		})
		time.Sleep(5 * time.Second)
		for range 5 {
			begin := time.Now()
			s.want(s.call("138"), `{"_age":34,"_status":"stale","name":"Ann"}`, "switchboard; hit; ttl=-4; detail=stale-while-revalidate")
			if waited := time.Since(begin); waited > 0 {
				t.Errorf("waited %v for a renewal", waited)
			}
		}
		synctest.Wait()
		s.wantCalls(3)
		close(slow)
		synctest.Wait()
		s.want(s.call("138"), `{"_status":"ok","name":"Bea"}`, "switchboard; hit; ttl=30")

		// the API fails
		s.api.answers(call.Unreachable, nil)
		time.Sleep(5 * time.Minute)
		s.want(s.call("138"), `{"_age":300,"_status":"stale","name":"Bea"}`, "switchboard; fwd=stale; ttl=-270; detail=stale-if-error")
		s.wantCalls(4)
		time.Sleep(6 * time.Minute)
		s.want(s.call("138"), `{"_status":"unreachable","name":""}`, "switchboard; fwd=miss")
	})
}

// What an API no longer says isn't served as stale, either.
func TestAnAnswerThatIsNoLongerTrue(t *testing.T) {
	for name, change := range map[string]func(s *site){
		"not found": func(s *site) { s.api.answers(call.NotFound, nil) },
		"not kept": func(s *site) {
			s.api.why = "the API's answer says Cache-Control: no-store"
			s.api.answers(call.OK, map[string]any{"name": "secret"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, Cache{Fresh: every(30 * time.Second), StaleIfError: every(time.Hour)})
				s.call("138")
				time.Sleep(time.Minute)
				change(s)
				s.call("138")
				s.api.answers(call.Timeout, nil)
				s.want(s.call("138"), `{"_status":"timeout","name":""}`, "switchboard; fwd=miss")
			})
		})
	}
}

func TestUnknownCallersAreRememberedWhereWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Cache{Fresh: every(time.Minute), NotFound: every(5 * time.Second)})
		s.api.answers(call.NotFound, nil)
		nobody := `{"_status":"not_found","name":""}`
		s.want(s.call("138"), nobody, "switchboard; fwd=miss; stored")
		s.want(s.call("138"), nobody, "switchboard; hit; ttl=5")
		time.Sleep(6 * time.Second)
		s.want(s.call("138"), nobody, "switchboard; fwd=miss; stored")

		s = newSite(t, Cache{Fresh: every(time.Minute)})
		s.api.answers(call.NotFound, nil)
		s.want(s.call("138"), nobody, "switchboard; fwd=miss")
		s.want(s.call("138"), nobody, "switchboard; fwd=miss")
	})
}

// 500 at once are one call of the API.
func TestIdenticalCallsShareOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Cache{Fresh: every(time.Minute)})
		s.api.set(func(context.Context) (call.Outcome, any) {
			time.Sleep(time.Second)
			return call.OK, map[string]any{"name": "Ann"}
		})
		var wg sync.WaitGroup
		var collapsed atomic.Int64
		for range 500 {
			wg.Go(func() {
				g := s.call("138")
				if g.body != ann {
					t.Errorf("got %s", g.body)
				}
				if strings.HasSuffix(g.cache, "; collapsed") {
					collapsed.Add(1)
				}
			})
		}
		wg.Wait()
		s.wantCalls(1)
		if n := collapsed.Load(); n != 499 {
			t.Errorf("%d calls say that they came along, want 499", n)
		}
	})
}

// Who hangs up, or whose time is over, harms nobody, and the work isn't lost.
func TestLeavingHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Cache{Fresh: every(time.Minute)})
		s.api.set(func(context.Context) (call.Outcome, any) {
			time.Sleep(3 * time.Second)
			return call.OK, map[string]any{"name": "Ann"}
		})
		ctx, hangUp := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if g := s.callAs(ctx, "", "138"); g.status != 499 {
				t.Errorf("who hung up got %d %s", g.status, g.body)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			s.want(s.call("138"), `{"_status":"timeout","name":""}`, "switchboard; fwd=miss; collapsed")
		})
		synctest.Wait()
		time.Sleep(time.Second)
		hangUp()
		time.Sleep(500 * time.Millisecond)
		wg.Go(func() { s.want(s.call("138"), ann, "switchboard; fwd=miss; collapsed") })
		wg.Wait()
		s.want(s.call("138"), ann, "switchboard; hit; ttl=57")
		s.wantCalls(1)
		if n := s.api.late.Load(); n != 1 {
			t.Errorf("Overdue was called %d times; one caller ran out of time", n)
		}
	})
}

// Work in the background is overdue when a caller would have given up, and only
// then.
func TestBackgroundWorkIsOverdueToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Cache{Fresh: every(time.Minute), StaleWhileRevalidate: every(time.Hour)})
		takes := func(d time.Duration) {
			s.api.set(func(context.Context) (call.Outcome, any) {
				time.Sleep(d)
				return call.OK, map[string]any{"name": "Ann"}
			})
		}
		wantLate := func(when string, want int64) {
			t.Helper()
			synctest.Wait()
			if n := s.api.late.Load(); n != want {
				t.Errorf("%s: Overdue was called %d times, want %d", when, n, want)
			}
		}
		takes(time.Second)
		s.call("138")
		time.Sleep(61 * time.Second)
		s.call("138") // is served at once, and renewed in a second
		time.Sleep(5 * time.Second)
		wantLate("a renewal in time", 0)

		takes(3 * time.Second)
		time.Sleep(time.Minute)
		s.call("138")
		time.Sleep(1900 * time.Millisecond)
		wantLate("a renewal that is still in time", 0)
		time.Sleep(200 * time.Millisecond)
		wantLate("a renewal that takes too long", 1)
		time.Sleep(time.Minute)

		ctx, hangUp := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { s.callAs(ctx, "", "139") })
		time.Sleep(time.Second)
		hangUp()
		wg.Wait()
		wantLate("a caller hangs up", 1)
		time.Sleep(10 * time.Second)
		wantLate("what was left behind takes too long", 2)
	})
}

// The work of those who have gone is finished for the next, but not for many at
// once, and not for ever.
func TestFinishingBehindIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Cache{Fresh: every(time.Minute)})
		var ended atomic.Int64
		s.api.set(func(ctx context.Context) (call.Outcome, any) {
			<-ctx.Done()
			ended.Add(1)
			return call.Timeout, nil
		})
		var wg sync.WaitGroup
		for _, tel := range []string{"1", "2", "3", "4", "5"} {
			wg.Go(func() { s.call(tel) })
		}
		wg.Wait() // 2s
		synctest.Wait()
		if n := ended.Load(); n != 3 {
			t.Errorf("%d of 5 were ended with their callers, want 3: 2 may go on", n)
		}
		time.Sleep(backgroundFor - 3*time.Second)
		if n := ended.Load(); n != 3 {
			t.Errorf("%d were ended, want 3", n)
		}
		time.Sleep(2 * time.Second)
		if n := ended.Load(); n != 5 {
			t.Errorf("%d of 5 ended after %v", n, backgroundFor)
		}
		synctest.Wait()
		f := &s.route.cache.inflight
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.background != 0 || len(f.calls) != 0 {
			t.Errorf("%d are still counted, %d open", f.background, len(f.calls))
		}
	})
}

// A handler that panics is a bad answer to all who wait.
func TestAPanicReachesEverybodyAsAnAnswer(t *testing.T) {
	for _, p := range []any{http.ErrAbortHandler, "oops"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, Cache{Fresh: every(time.Minute)})
			s.api.set(func(context.Context) (call.Outcome, any) {
				time.Sleep(time.Second)
				panic(p)
			})
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if g := s.call("138"); g.body != `{"_status":"bad_answer","name":""}` {
						t.Errorf("got %d %s", g.status, g.body)
					}
				})
			}
			wg.Wait()
			s.wantCalls(1)
		})
	}
}

// An answer for one isn't one for another, unless that is written.
func TestPrincipals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Cache{Fresh: every(time.Minute)})
		s.callAs(t.Context(), "north", "138")
		s.callAs(t.Context(), "south", "138")
		s.callAs(t.Context(), "north", "138")
		s.wantCalls(2)
		s = newSite(t, Cache{Fresh: every(time.Minute), Scope: "shared"})
		s.callAs(t.Context(), "north", "138")
		s.callAs(t.Context(), "south", "138")
		s.wantCalls(1)
	})
}

func TestAKeyOfTheUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Cache{Fresh: every(time.Minute), Key: `.tel | if . == "0" then null elif . == "x" then error("no") else .[0:2] end`})
		s.call("138")
		s.want(s.call("139"), ann, "switchboard; hit; ttl=60")
		s.wantCalls(1)
		s.want(s.call("0"), ann, "switchboard; fwd=bypass")
		s.want(s.call("0"), ann, "switchboard; fwd=bypass")
		s.wantCalls(3)
		if g := s.call("x"); g.status != 400 || !strings.Contains(g.body, "cache key") {
			t.Errorf("a key that fails: got %d %s", g.status, g.body)
		}
	})
}

// A cache that is of no use says so once, and what to do.
func TestAUselessCacheSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Cache{Fresh: every(time.Nanosecond)})
		for range 2 * enough {
			s.call("138")
			time.Sleep(time.Second)
		}
		lines := s.logs.FilterMessageSnippet("uniqueid").All()
		if len(lines) != 1 || !strings.Contains(lines[0].Message, "key `{tel: .tel}`") {
			t.Errorf("got %v", lines)
		}
	})
}

// No answer gets another's name, outcome or age, whatever the order of events.
func TestNumbersAreKeptExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Cache{Fresh: every(time.Second), StaleWhileRevalidate: every(time.Minute)})
		s.api.answers(call.OK, map[string]any{"name": "Ann", "id": json.Number("9007199254740993"), "x": []any{json.Number("1.10")}})
		want := `"id":9007199254740993,"name":"Ann","x":[1.10]}`
		if g := s.call("138"); g.body != `{"_status":"ok",`+want {
			t.Errorf("got %s", g.body)
		}
		time.Sleep(10 * time.Second)
		if g := s.call("138"); g.body != `{"_age":10,"_status":"stale",`+want {
			t.Errorf("got %s", g.body)
		}
		synctest.Wait()
	})
}
