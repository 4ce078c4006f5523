package endpoint

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// Trial is what a test asks of a call, and what it is told of it. It is in the
// context of the test's request, and nowhere else: a call without one is not
// traced.
type TestOptions struct {
	DryRun       bool   // stop before the API is called
	DryRunReason string // why it is a dry run: its reason
	NoCache      bool   // ask the API, whatever is cached, and keep nothing

	began    time.Time       // when the test was asked for
	work     []adminapi.Step // once told
	recorded chan struct{}
}

type testKey struct{}

// WithTrial returns a context for a call that is traced.
func WithTest(ctx context.Context, t *TestOptions) context.Context {
	t.recorded, t.began = make(chan struct{}), time.Now()
	return context.WithValue(ctx, testKey{}, t)
}

// apart returns a context for work that a test has begun and doesn't wait for: it
// is no traffic either, and nobody reads its steps.
func (t *TestOptions) detached(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return WithTest(ctx, new(TestOptions))
}

func testOf(ctx context.Context) *TestOptions {
	t, _ := ctx.Value(testKey{}).(*TestOptions)
	return t
}

// logged marks the line of a test.
func (t *TestOptions) logged() zap.Field {
	if t == nil {
		return zap.Skip()
	}
	return zap.Bool("test", true)
}

// asksAnew reports whether the cache is to be left alone.
func (t *TestOptions) bypassesCache() bool { return t != nil && (t.DryRun || t.NoCache) }

// Tell notes the steps of the work: what is between the cache and the contract. A
// trial has one work, which tells once.
func (t *TestOptions) record(steps []adminapi.Step) {
	if t != nil {
		t.work = steps
		close(t.recorded)
	}
}

// Told keeps the steps of the call's work, and tells them to who watches it.
func (c *Call) RecordSteps(steps []adminapi.Step) {
	c.Work = steps
	c.Test.record(steps)
}

// Work returns the steps of the work, once they are told; none when ctx ends before.
func (t *TestOptions) Work(ctx context.Context) []adminapi.Step {
	select {
	case <-t.recorded:
		return t.work
	case <-ctx.Done():
		return nil
	}
}
