package keeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-ivr/switchboard/module/token"
)

var errKilled = errors.New("killed")

// process is one instance that can be killed: from some step on, nothing that
// it does to the storage or the endpoint has an effect. Its lock goes stale
// after 10 s, as with FileStorage.
type process struct {
	*memory
	issuer *issuer

	mu    sync.Mutex
	step  int
	die   int  // the step to die at
	after bool // when the step is done, not before
	dead  bool
	holds map[string]bool
}

func (p *process) do(op func() error) error {
	p.mu.Lock()
	p.step++
	last := p.step == p.die
	if p.dead || last && !p.after {
		p.end()
		p.mu.Unlock()
		return errKilled
	}
	p.mu.Unlock()
	err := op()
	if last {
		p.mu.Lock()
		p.end()
		p.mu.Unlock()
		return errKilled
	}
	return err
}

func (p *process) end() {
	if !p.dead {
		p.dead = true
		for lock := range p.holds {
			time.AfterFunc(10*time.Second, func() { p.free(lock) })
		}
	}
}

func (p *process) killed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

func (p *process) Load(ctx context.Context, key string) (b []byte, err error) {
	err = p.do(func() (err error) { b, err = p.memory.Load(ctx, key); return err })
	return b, err
}

func (p *process) Store(ctx context.Context, key string, b []byte) error {
	return p.do(func() error { return p.memory.Store(ctx, key, b) })
}

func (p *process) Lock(ctx context.Context, name string) error {
	return p.do(func() error {
		err := p.memory.Lock(ctx, name)
		if err == nil {
			p.mu.Lock()
			p.holds[name] = true
			p.mu.Unlock()
		}
		return err
	})
}

func (p *process) Unlock(ctx context.Context, name string) error {
	return p.do(func() error {
		p.mu.Lock()
		delete(p.holds, name)
		p.mu.Unlock()
		return p.memory.Unlock(ctx, name)
	})
}

func (p *process) CanObtain() bool  { return true }
func (p *process) CanRefresh() bool { return true }

func (p *process) Obtain(ctx context.Context, in token.Params) (g token.Grant, err error) {
	err = p.do(func() (err error) { g, err = p.issuer.Obtain(ctx, in); return err })
	return g, err
}

func (p *process) Refresh(ctx context.Context, in token.Params) (g token.Grant, err error) {
	err = p.do(func() (err error) { g, err = p.issuer.Refresh(ctx, in); return err })
	return g, err
}

// An instance that is killed at any step of its first sign-in or of a
// renewal leaves the fleet serving within 15 s, and no refresh token is sent
// twice.
func TestKilledAtEachStep(t *testing.T) {
	for _, phase := range []string{"sign-in", "renewal"} {
		for _, after := range []bool{false, true} {
			for step, more := 1, true; more; step++ {
				name := fmt.Sprintf("%s, step %d, done %v", phase, step, after)
				t.Run(name, func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						more = killed(t, phase == "renewal", step, after)
					})
				})
				if step > 30 {
					t.Fatal("a renewal of more than 30 steps")
				}
			}
		}
	}
}

func killed(t *testing.T, renewal bool, step int, after bool) bool {
	t.Helper()
	i, s := newIssuer(), newMemory()
	victim := &process{memory: s, issuer: i, after: after, holds: make(map[string]bool)}
	k := New(testPolicy(), victim).seeded(1)
	if renewal {
		before, _ := keeping(t, testPolicy(), i, s)
		must(t, before)
		_ = before.Destruct()
		k.Attach(Env{Storage: s})
		k.Start()
		must(t, k)
		for k.State().Phase != "due" {
			time.Sleep(time.Second)
		}
		time.Sleep(time.Until(k.State().NextAttempt) - time.Millisecond)
	}
	victim.die = step
	k.Attach(Env{Storage: victim})
	k.Start()
	time.Sleep(time.Second)
	_ = k.Destruct()
	if !victim.killed() {
		return false
	}

	// the fleet goes on; where the victim got the token, the API knows no other
	mate, _ := keeping(t, testPolicy(), i, s)
	mate.seeded(2)
	mate.Start()
	began := time.Now()
	tok, err := mate.Token(within(t, 15*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if !i.accepts(tok) {
		mate.Invalidate(tok.Generation, 0, "status 401")
		if tok, err = mate.Token(within(t, 15*time.Second)); err != nil || !i.accepts(tok) {
			t.Errorf("the token is dead, and so is the next: %v", err)
		}
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("serving after %v", took)
	}
	if again := i.resent(); again != nil {
		t.Errorf("sent twice: %v", again)
	}
	if n := i.calls(); n > 3 {
		t.Errorf("%d calls", n)
	}
	time.Sleep(time.Minute)
	return true
}

// A holder of the lock that is stopped (SIGSTOP) in the middle of its call and
// goes on much later adopts what the others made meanwhile.
func TestPausedHolderAdopts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i, s := newIssuer(), newMemory()
		first, _ := keeping(t, testPolicy(), i, s)
		must(t, first)
		other, _ := keeping(t, testPolicy(), i, s)
		must(t, other)

		var stopped atomic.Bool
		i.set(func() {
			i.after = func(context.Context, tokenCall) error {
				if stopped.CompareAndSwap(false, true) {
					time.Sleep(60 * time.Second)
				}
				return nil
			}
		})
		first.Invalidate(1, 0, "status 401")
		time.Sleep(30 * time.Second)
		other.Invalidate(1, 0, "status 401")
		time.Sleep(29 * time.Second)
		tok := must(t, other)
		if !i.accepts(tok) {
			t.Error("the other has no live token")
		}
		time.Sleep(time.Minute)
		if now := must(t, first); now.Access != tok.Access || now.Generation != tok.Generation {
			t.Errorf("generation %d (%s), the fleet's is %d (%s)", now.Generation, now.Access, tok.Generation, tok.Access)
		}
		if r := s.stored(t, testPolicy()); r.Access != tok.Access {
			t.Errorf("overwritten by generation %d", r.Generation)
		}
	})
}
