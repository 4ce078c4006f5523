package storage

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a backend whose operations a test can spoil.
type memory struct {
	certmagic.Storage // nil: what isn't implemented must not be called

	mu    sync.Mutex
	data  map[string][]byte
	locks map[string]chan struct{}
	hook  func(ctx context.Context, op string) error // before each operation
}

func newMemory() *memory {
	return &memory{data: make(map[string][]byte), locks: make(map[string]chan struct{})}
}

func (m *memory) begin(ctx context.Context, op string) error {
	if m.hook == nil {
		return nil
	}
	return m.hook(ctx, op)
}

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
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data[key] = b
	return nil
}

func (m *memory) Delete(ctx context.Context, key string) error {
	if err := m.begin(ctx, "delete"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.data[key]; !ok {
		return fs.ErrNotExist
	}
	delete(m.data, key)
	return nil
}

func (m *memory) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	return certmagic.KeyInfo{Key: key, Modified: modified}, m.begin(ctx, "stat")
}

func (m *memory) List(ctx context.Context, prefix string, _ bool) ([]string, error) {
	if prefix != "a" {
		return nil, fs.ErrNotExist
	}
	return []string{"a/1"}, m.begin(ctx, "list")
}

var modified = time.Unix(1_700_000_000, 0)

func (m *memory) lock(name string) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] == nil {
		m.locks[name] = make(chan struct{}, 1)
	}
	return m.locks[name]
}

func (m *memory) Lock(ctx context.Context, name string) error {
	if err := m.begin(ctx, "lock"); err != nil {
		return err
	}
	select {
	case m.lock(name) <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) Unlock(ctx context.Context, name string) error {
	if err := m.begin(ctx, "unlock"); err != nil {
		return err
	}
	<-m.lock(name)
	return nil
}

func (m *memory) held() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.locks {
		n += len(l)
	}
	return n
}

func on(m *memory) Storage { return Storage{Backend: m, Health: &Health{Pause: 30 * time.Second}} }

func hang(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestLoadAndStore(t *testing.T) {
	m := newMemory()
	s := on(m)
	if b, err := s.Load(t.Context(), "a", 10); b != nil || err != nil {
		t.Errorf("nothing stored: %q, %v", b, err)
	}
	if err := s.Store(t.Context(), "a", []byte("record")); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Load(t.Context(), "a", 6); string(b) != "record" || err != nil {
		t.Errorf("stored: %q, %v", b, err)
	}
	if b, err := s.Load(t.Context(), "a", 5); b != nil || !errors.Is(err, ErrDamaged) {
		t.Errorf("too large: %q, %v", b, err)
	}
	m.data["b"] = nil
	if b, err := s.Load(t.Context(), "b", 5); b != nil || err != nil {
		t.Errorf("what a no-op storage gives: %q, %v", b, err)
	}
	m.data["b"] = []byte{}
	if b, err := s.Load(t.Context(), "b", 5); b != nil || !errors.Is(err, ErrDamaged) {
		t.Errorf("an empty one: %q, %v", b, err)
	}
}

// A panic is an error that shows nothing of what the backend worked on.
func TestPanic(t *testing.T) {
	m := newMemory()
	m.hook = func(context.Context, string) error { panic("canary") }
	err := on(m).Store(t.Context(), "a", nil)
	panicked, ok := errors.AsType[*PanicError](err)
	if !ok || len(panicked.Stack) == 0 || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

// A storage that hangs costs its first caller the limit and the others nothing, and
// is used again after a pause, unless it hangs still.
func TestHangingStorage(t *testing.T) {
	release := make(chan struct{})
	for name, hangs := range map[string]func(context.Context) error{
		"until its context ends":  hang,
		"and ignores its context": func(context.Context) error { <-release; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release = make(chan struct{})
				m := newMemory()
				s := on(m)
				m.hook = func(ctx context.Context, _ string) error { return hangs(ctx) }
				began := time.Now()
				if err := s.Store(t.Context(), "a", nil); err == nil || time.Since(began) != Limit {
					t.Errorf("%v after %s", err, time.Since(began))
				}
				began = time.Now()
				if _, err := s.Load(t.Context(), "a", 1); !errors.Is(err, ErrDown) || time.Since(began) > 0 {
					t.Errorf("%v after %s", err, time.Since(began))
				}
				close(release)
				synctest.Wait()
				m.hook = nil
				time.Sleep(s.Health.Pause)
				if err := s.Store(t.Context(), "a", []byte("b")); err != nil {
					t.Errorf("after the pause: %v", err)
				}
			})
		})
	}
}

// A caller who leaves says nothing about the storage.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := on(m)
		m.hook = func(ctx context.Context, _ string) error { return hang(ctx) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Load(ctx, "a", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if s.Health.Down() {
			t.Error("the storage counts as down")
		}
	})
}

// So many operations may hang; no more are begun while they do.
func TestHangingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, release := newMemory(), make(chan struct{})
		var begun atomic.Int32
		s := Storage{Backend: m, Health: &Health{MaxHanging: 3}}
		m.hook = func(context.Context, string) error { begun.Add(1); <-release; return nil }
		for range 10 {
			_ = s.Store(t.Context(), "a", nil)
		}
		if n := begun.Load(); n != 3 {
			t.Errorf("%d operations were begun", n)
		}
		close(release)
		synctest.Wait()
		if s.Health.Down() {
			t.Error("still down")
		}
	})
}

// Deleting, listing and looking at records is as safe as storing them.
func TestDeleteListModified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := on(m)
		m.data["a"] = []byte("record")
		for range 2 { // the second time there is none
			if err := s.Delete(t.Context(), "a"); err != nil || len(m.data) != 0 {
				t.Errorf("deleting: %v", err)
			}
		}
		if names, err := s.List(t.Context(), "a", true); len(names) != 1 || err != nil {
			t.Errorf("listing: %v, %v", names, err)
		}
		if names, err := s.List(t.Context(), "b", true); len(names) != 0 || err != nil {
			t.Errorf("listing nothing: %v, %v", names, err)
		}
		if when, err := s.Modified(t.Context(), "a"); !when.Equal(modified) || err != nil {
			t.Errorf("modified: %v, %v", when, err)
		}
		all := map[string]func() error{
			"deleting the record: ":   func() error { return s.Delete(t.Context(), "a") },
			"listing the records: ":   func() error { _, err := s.List(t.Context(), "a", true); return err },
			"looking at the record: ": func() error { _, err := s.Modified(t.Context(), "a"); return err },
		}
		m.hook = func(ctx context.Context, _ string) error { return hang(ctx) }
		for what, ask := range all {
			time.Sleep(time.Minute)
			begin := time.Now()
			if err := ask(); !errors.Is(err, ErrDown) && !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), what) || time.Since(begin) != Limit {
				t.Errorf("a storage that hangs: %v after %v", err, time.Since(begin))
			}
		}
		for what, ask := range all { // left alone now
			if err := ask(); !errors.Is(err, ErrDown) || !strings.HasPrefix(err.Error(), what) {
				t.Errorf("a storage that hung: %v", err)
			}
		}
	})
}
