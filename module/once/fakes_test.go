package once

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/switchboard-ivr/switchboard/internal/call"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDisk = errors.New("no space left on device")

// memory is a storage in memory whose faults a test can turn on.
type memory struct {
	certmagic.Storage // nil: what isn't implemented must not be called

	mu     sync.Mutex
	data   map[string][]byte
	stored map[string]time.Time
	locks  map[string]chan struct{}
	ops    []string

	noLock bool // Lock gives the lock to everybody
	// hook runs before each operation: "load", "store", "delete", "list", "stat",
	// "lock", "unlock".
	hook func(ctx context.Context, op string) error
}

func newMemory() *memory {
	return &memory{data: map[string][]byte{}, stored: map[string]time.Time{}, locks: map[string]chan struct{}{}}
}

func (m *memory) begin(ctx context.Context, op string) error {
	m.mu.Lock()
	m.ops = append(m.ops, op)
	hook := m.hook
	m.mu.Unlock()
	if hook != nil {
		return hook(ctx, op)
	}
	return nil
}

// fault makes the named operations do what f does; nil ends that.
func (m *memory) fault(f func(ctx context.Context) error, ops ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = func(ctx context.Context, op string) error {
		if f != nil && slices.Contains(ops, op) {
			return f(ctx)
		}
		return nil
	}
}

func fails(context.Context) error { return errDisk }

// hangs until its context ends.
func hangs(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func (m *memory) Load(ctx context.Context, key string) ([]byte, error) {
	if err := m.begin(ctx, "load"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.data[key]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) Store(ctx context.Context, key string, b []byte) error {
	if err := m.begin(ctx, "store"); err != nil {
		return err
	}
	m.put(key, b)
	return nil
}

func (m *memory) put(key string, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data[key], m.stored[key] = b, time.Now()
}

func (m *memory) Delete(ctx context.Context, key string) error {
	if err := m.begin(ctx, "delete"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.data, key)
	return nil
}

func (m *memory) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	if err := m.begin(ctx, "stat"); err != nil {
		return certmagic.KeyInfo{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return certmagic.KeyInfo{Key: key, Modified: m.stored[key]}, nil
}

// List returns the names below a prefix, and their folders, as storages of files do.
func (m *memory) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if err := m.begin(ctx, "list"); err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, name := range m.names() {
		rest, ok := strings.CutPrefix(name, prefix+"/")
		if !ok {
			continue
		}
		parts := strings.Split(rest, "/")
		if !recursive {
			parts = parts[:1]
		}
		for i := range parts {
			found[prefix+"/"+strings.Join(parts[:i+1], "/")] = true
		}
	}
	if len(found) == 0 {
		return nil, fs.ErrNotExist
	}
	return slices.Sorted(maps.Keys(found)), nil
}

func (m *memory) Lock(ctx context.Context, name string) error {
	if err := m.begin(ctx, "lock"); err != nil || m.noLock {
		return err
	}
	m.mu.Lock()
	if m.locks[name] == nil {
		m.locks[name] = make(chan struct{}, 1)
	}
	lock := m.locks[name]
	m.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) Unlock(ctx context.Context, name string) error {
	if err := m.begin(ctx, "unlock"); err != nil || m.noLock {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	<-m.locks[name]
	return nil
}

func (m *memory) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.data))
}

func (m *memory) count(op string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.ops {
		if o == op {
			n++
		}
	}
	return n
}

var sealKey = [32]byte{1, 2, 3}

func newStore(m *memory) *Store { return NewStore(m, "ticket", sealKey, zap.NewNop()) }

func observed(m *memory) (*Store, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.WarnLevel)
	return NewStore(m, "ticket", sealKey, zap.New(core)), logs
}

// newRecord is the record of a write that begins now.
func newRecord(key, attempt string) *Record {
	now := time.Now()
	return &Record{Key: key, Request: "of " + key, Attempt: attempt, Sent: now, Until: now.Add(35 * time.Second), Expires: now.Add(time.Hour)}
}

// answered completes a record.
func answered(r *Record) *Record {
	done := *r
	done.Outcome, done.Answer = call.OK, []byte(`{"ticket":"T-1"}`)
	return &done
}

func never(*Record, error) bool { return false }

func (s *Store) mustClaim(t *testing.T, r *Record) {
	t.Helper()
	if found, err := s.Claim(t.Context(), r, time.Second, never); found != nil || err != nil {
		t.Fatalf("claiming %s: %+v, %v", r.Key, found, err)
	}
}

func (s *Store) mustLoad(t *testing.T, key string) *Record {
	t.Helper()
	r, err := s.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
