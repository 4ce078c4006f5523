package keeper

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/switchboard-ivr/switchboard/module/token"
)

// storage is a certmagic.Storage in memory with a real lock.
type memory struct {
	certmagic.Storage // nil: what isn't implemented must not be called

	mu    sync.Mutex
	data  map[string][]byte
	locks map[string]chan struct{}
	ops   []string

	noLock bool // Lock gives the lock to everybody
	noop   bool // nothing is kept
	// hook runs before each operation: "Load", "Store", "Lock", "Unlock".
	hook func(ctx context.Context, op string) error
}

func newMemory() *memory {
	return &memory{data: make(map[string][]byte), locks: make(map[string]chan struct{})}
}

func (s *memory) begin(ctx context.Context, op string) error {
	s.mu.Lock()
	s.ops = append(s.ops, op)
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		return hook(ctx, op)
	}
	return nil
}

func (s *memory) setHook(f func(ctx context.Context, op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

func (s *memory) Load(ctx context.Context, key string) ([]byte, error) {
	if err := s.begin(ctx, "Load"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.data[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return b, nil
}

func (s *memory) Store(ctx context.Context, key string, value []byte) error {
	if err := s.begin(ctx, "Store"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.noop {
		s.data[key] = value
	}
	return nil
}

func (s *memory) Lock(ctx context.Context, name string) error {
	if err := s.begin(ctx, "Lock"); err != nil {
		return err
	}
	if s.noLock {
		return nil
	}
	for {
		s.mu.Lock()
		held, ok := s.locks[name]
		if !ok {
			s.locks[name] = make(chan struct{})
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *memory) Unlock(ctx context.Context, name string) error {
	if err := s.begin(ctx, "Unlock"); err != nil {
		return err
	}
	s.free(name)
	return nil
}

func (s *memory) free(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held, ok := s.locks[name]; ok {
		close(held)
		delete(s.locks, name)
	}
}

func (s *memory) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.locks)
}

func (s *memory) count(op string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.ops {
		if o == op {
			n++
		}
	}
	return n
}

// stored gives the record that lies in s.
func (s *memory) stored(t *testing.T, p token.Policy) *record {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	v := newStore(s, &p)
	b, ok := s.data[v.key]
	if !ok {
		return nil
	}
	plain, err := v.sealer.Open(b, v.key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := decodeRecord(plain)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var errDisk = errors.New("no space left on device")

func testPolicy() token.Policy {
	return token.Policy{
		Name: "crm", RefreshBefore: 10 * time.Minute, MustDiffer: true, Warm: true,
		RetryRefused: 5 * time.Minute, Timeout: 10 * time.Second,
		Identity: "an identity", SealKey: [32]byte{1, 2, 3},
	}
}
