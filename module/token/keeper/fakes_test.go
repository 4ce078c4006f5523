package keeper

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// issuer is a token endpoint in memory. Unless told otherwise each token call
// gives a new token and kills the old one, and refresh tokens are single-use.
type issuer struct {
	mu       sync.Mutex
	latency  time.Duration
	lifetime time.Duration // stated; 0 states none
	ledger   []tokenCall
	live     string          // the access token that the API accepts
	unused   map[string]bool // refresh tokens
	made     int

	noObtain, noRefresh bool
	// before runs before a call is processed, after when it was: an error of
	// the latter is a lost answer.
	before, after func(ctx context.Context, c tokenCall) error
	// grant changes what is given.
	grant func(g *token.Grant)
}

type tokenCall struct {
	at      time.Time
	how     string
	sent    string // the refresh token
	skew    time.Duration
	refused bool
	consent *token.Consent
}

func newIssuer() *issuer {
	return &issuer{latency: 150 * time.Millisecond, lifetime: 2 * time.Hour, unused: make(map[string]bool)}
}

func (i *issuer) CanObtain() bool { return !i.noObtain }

func (i *issuer) CanRefresh() bool { return !i.noRefresh }

func (i *issuer) Obtain(ctx context.Context, in token.Params) (token.Grant, error) {
	return i.answer(ctx, tokenCall{how: howObtain, skew: in.Skew, refused: in.Refused, consent: in.Consent})
}

func (i *issuer) Refresh(ctx context.Context, in token.Params) (token.Grant, error) {
	return i.answer(ctx, tokenCall{how: howRefresh, sent: in.Refresh, skew: in.Skew, refused: in.Refused})
}

func (i *issuer) answer(ctx context.Context, c tokenCall) (token.Grant, error) {
	c.at = time.Now()
	i.mu.Lock()
	i.ledger = append(i.ledger, c)
	before, after := i.before, i.after
	i.mu.Unlock()
	if before != nil {
		if err := before(ctx, c); err != nil {
			return token.Grant{}, err
		}
	}
	if err := pause(ctx, i.latency/2); err != nil {
		return token.Grant{}, err
	}
	g, err := i.process(c)
	if err != nil {
		return g, err
	}
	if err := pause(ctx, i.latency/2); err != nil {
		return token.Grant{}, err
	}
	if after != nil {
		if err := after(ctx, c); err != nil {
			return token.Grant{}, err
		}
	}
	return g, nil
}

func (i *issuer) process(c tokenCall) (token.Grant, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c.how == howRefresh && !i.unused[c.sent] {
		return token.Grant{}, &token.Failure{Kind: token.Refused, Status: 200, Code: "400001", Reason: "unknown refresh token"}
	}
	delete(i.unused, c.sent)
	i.made++
	g := token.Grant{Access: fmt.Sprintf("access-%d", i.made), Refresh: fmt.Sprintf("refresh-%d", i.made), Lifetime: i.lifetime}
	if i.noRefresh {
		g.Refresh = ""
	}
	if i.grant != nil {
		i.grant(&g)
	}
	i.live = g.Access
	i.unused[g.Refresh] = true
	return g, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return &token.Failure{Kind: token.Ambiguous, Reason: "timed out"}
	}
}

func (i *issuer) calls(how ...string) (n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, c := range i.ledger {
		if len(how) == 0 || c.how == how[0] {
			n++
		}
	}
	return n
}

// resent gives the refresh tokens that were sent more than once.
func (i *issuer) resent() (all []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	sent := make(map[string]int)
	for _, c := range i.ledger {
		if sent[c.sent]++; c.how == howRefresh && sent[c.sent] == 2 {
			all = append(all, c.sent)
		}
	}
	return all
}

// log gives the calls so far.
func (i *issuer) log() []tokenCall {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.ledger)
}

func (i *issuer) accepts(t *token.Token) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return t.Access == i.live
}

func (i *issuer) kill() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.live = ""
}

func (i *issuer) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// down makes every call fail like a dead host.
func down(context.Context, tokenCall) error {
	return &token.Failure{Kind: token.Ambiguous, Reason: "connecting"}
}

// seeded gives a keeper random numbers that are the same in each run.
func (k *Keeper) seeded(seed uint64) *Keeper {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 1))
	k.random = func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return r.Float64()
	}
	return k
}

// logbook is an Observer, and a log.
type logbook struct {
	mu      sync.Mutex
	renewed []string
	failed  []string
	logs    *observer.ObservedLogs
	logger  *zap.Logger
}

func newLogbook() *logbook {
	core, logs := observer.New(zapcore.DebugLevel)
	return &logbook{logs: logs, logger: zap.New(core)}
}

func (l *logbook) Renewed(_ string, _ *token.Token, how string, _ time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = append(l.renewed, how)
}

func (l *logbook) Failed(_ string, _ error, how string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, how)
}

// heard gives what was observed so far.
func (l *logbook) heard() (renewed, failed []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.renewed), slices.Clone(l.failed)
}

func (l *logbook) count(level zapcore.Level, message string) int {
	return l.logs.FilterLevelExact(level).FilterMessageSnippet(message).Len()
}

// keeping gives a keeper on s (nil: memory only) that the test destructs.
func keeping(t *testing.T, p token.Policy, e Endpoint, s certmagic.Storage) (*Keeper, *logbook) {
	t.Helper()
	k := New(p, e).seeded(1)
	l := newLogbook()
	k.Attach(Env{Storage: s, Logger: l.logger, Events: l})
	t.Cleanup(func() {
		_ = k.Destruct()
		time.Sleep(2 * time.Minute) // fake: a renewal that runs goes on to its end
		for _, entry := range l.logs.All() {
			if line := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(line, "access-") || strings.Contains(line, "refresh-") {
				t.Errorf("a token in the log: %s", line)
			}
		}
	})
	return k, l
}

// within gives a context for a request with that budget.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// must gives the token that a request with a budget of 2 s gets.
func must(t *testing.T, k *Keeper) *token.Token {
	t.Helper()
	tok, err := k.Token(within(t, 2*time.Second))
	if err != nil {
		t.Fatalf("Token: %v", err)
	}
	if !tok.Valid(time.Now()) {
		t.Fatalf("Token gave an expired token")
	}
	return tok
}

// bubble runs a test in fake time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
