package issuer

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/switchboard-ivr/switchboard/module/storage"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}

const (
	testKey    = "partner-1"
	testSecret = "s3cret-canary-0123456789"
	nextSecret = "s3cret-canary-9876543210"
	otherKey   = "partner-2"
	otherSec   = "s3cret-canary-otherother"
)

// memory is a storage whose faults a test can turn on. Its lock works unless
// noLock is set.
type memory struct {
	mu    sync.Mutex
	data  map[string][]byte
	locks map[string]chan struct{}
	ops   map[string]int

	before func(ctx context.Context, op string) error // runs before each operation
	noLock bool
}

var (
	errDisk = errors.New("disk on fire")
	nop     = zap.NewNop()
)

func newMemory() *memory {
	return &memory{data: map[string][]byte{}, locks: map[string]chan struct{}{}, ops: map[string]int{}}
}

func (m *memory) enter(ctx context.Context, op string) error {
	m.mu.Lock()
	m.ops[op]++
	before := m.before
	m.mu.Unlock()
	if before != nil {
		return before(ctx, op)
	}
	return nil
}

// fault makes the named operations do what f does; all, when none is named.
func (m *memory) fault(f func(ctx context.Context) error, ops ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = nil
	if f != nil {
		m.before = func(ctx context.Context, op string) error {
			if len(ops) == 0 || slices.Contains(ops, op) {
				return f(ctx)
			}
			return nil
		}
	}
}

func fails(context.Context) error { return errDisk }

// hangs until its context ends.
func hangs(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func (m *memory) count(op string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops[op]
}

func (m *memory) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.data))
}

func (m *memory) Store(ctx context.Context, key string, value []byte) error {
	if err := m.enter(ctx, "store"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data[key] = slices.Clone(value)
	return nil
}

func (m *memory) Load(ctx context.Context, key string) ([]byte, error) {
	if err := m.enter(ctx, "load"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.data[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(b), nil
}

func (m *memory) Delete(ctx context.Context, key string) error {
	if err := m.enter(ctx, "delete"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.data, key)
	return nil
}

func (m *memory) Exists(ctx context.Context, key string) bool {
	_, err := m.Load(ctx, key)
	return err == nil
}

func (m *memory) List(ctx context.Context, prefix string, _ bool) ([]string, error) {
	if err := m.enter(ctx, "list"); err != nil {
		return nil, err
	}
	var found []string
	for _, name := range m.names() {
		if strings.HasPrefix(name, prefix+"/") {
			found = append(found, name)
		}
	}
	return found, nil
}

func (m *memory) Stat(context.Context, string) (certmagic.KeyInfo, error) {
	return certmagic.KeyInfo{}, errDisk
}

func (m *memory) lock(name string) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] == nil {
		m.locks[name] = make(chan struct{}, 1)
	}
	return m.locks[name]
}

func (m *memory) Lock(ctx context.Context, name string) error {
	if err := m.enter(ctx, "lock"); err != nil {
		return err
	}
	if m.noLock {
		return nil
	}
	select {
	case m.lock(name) <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) Unlock(ctx context.Context, name string) error {
	if err := m.enter(ctx, "unlock"); err != nil {
		return err
	}
	if m.noLock {
		return nil
	}
	select {
	case <-m.lock(name):
		return nil
	default:
		return errors.New("not locked")
	}
}

func (m *memory) heldLocks() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.locks {
		n += len(l)
	}
	return n
}

// instance is an issuer with its log, as one process of a fleet has it.
type instance struct {
	*Issuer
	t    *testing.T
	logs *observer.ObservedLogs

	mu     sync.Mutex
	issued []string
}

func start(t *testing.T, storage certmagic.Storage, change ...func(*Issuer)) *instance {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	i := &Issuer{Clients: []Client{{testKey, testSecret}, {otherKey, otherSec}}}
	for _, f := range change {
		f(i)
	}
	i.logger = zap.New(core)
	i.storage = func() certmagic.Storage { return storage }
	i.state = newState()
	if err := i.prepare("partners"); err != nil {
		t.Fatal(err)
	}
	in := &instance{Issuer: i, t: t, logs: logs}
	t.Cleanup(in.keptSecrets)
	return in
}

// keptSecrets looks for secrets and tokens in everything that was logged.
func (in *instance) keptSecrets() {
	for _, entry := range in.logs.All() {
		line, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "m"}).EncodeEntry(entry.Entry, entry.Context)
		if err != nil {
			in.t.Fatal(err)
		}
		for _, secret := range append(in.issued, "s3cret-canary") {
			if strings.Contains(line.String(), secret) {
				in.t.Errorf("the log holds a secret: %s", line)
			}
		}
	}
}

// reasons are those of the refusals so far, in order.
func (in *instance) reasons() (all []string) {
	for _, entry := range in.logs.All() {
		if why, ok := entry.ContextMap()["reason"].(string); ok {
			all = append(all, why)
		}
	}
	return all
}

func (in *instance) lastReason() string {
	all := in.reasons()
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

func md5hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func signed(key, timestamp, secret string) map[string]any {
	return map[string]any{"app_key": key, "timestamp": timestamp, "sign": md5hex(key + timestamp + secret)}
}

var lastStamp struct {
	sync.Mutex
	ms int64
}

// signedNow is a sign-in at this moment, or the next millisecond that no
// sign-in of this process had yet.
func signedNow(secret string) map[string]any {
	lastStamp.Lock()
	defer lastStamp.Unlock()
	ms := time.Now().UnixMilli()
	if ms <= lastStamp.ms && lastStamp.ms-ms < 1000 {
		ms = lastStamp.ms + 1
	}
	lastStamp.ms = ms
	return signed(testKey, strconv.FormatInt(ms, 10), secret)
}

func (in *instance) obtain() *Pair {
	in.t.Helper()
	return in.obtainWith(testSecret)
}

func (in *instance) obtainWith(secret string) *Pair {
	in.t.Helper()
	p, err := in.Obtain(in.t.Context(), signedNow(secret))
	if err != nil {
		in.t.Fatalf("obtain: %v (%s)", err, in.lastReason())
	}
	return in.note(p)
}

func (in *instance) refreshed(token string) *Pair {
	in.t.Helper()
	p, err := in.refreshToken(token)
	if err != nil {
		in.t.Fatalf("refresh: %v (%s)", err, in.lastReason())
	}
	return in.note(p)
}

func (in *instance) note(p *Pair) *Pair {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.issued = append(in.issued, p.AccessToken, p.RefreshToken)
	return p
}

func (in *instance) refreshToken(token string) (*Pair, error) {
	return in.Refresh(in.t.Context(), map[string]any{"refresh_token": token})
}

// takes reports whether a request with that access token gets in.
func (in *instance) takes(token string) bool {
	in.t.Helper()
	r := httptest.NewRequestWithContext(in.t.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	principal, ok := in.Authenticate(r)
	if ok != (principal != "") {
		in.t.Fatalf("Authenticate: %q, %v", principal, ok)
	}
	return ok
}

// inOurDays moves the fake time of a test, which begins in the year 2000, to one
// that has as many digits as ours. At the test's end, whatever still runs in the
// background ends.
func inOurDays(t *testing.T) {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
	t.Cleanup(func() { time.Sleep(2 * sweepLimit) })
}

// Interface guards
var _ certmagic.Storage = (*memory)(nil)

// storeOn is the store of an issuer on a storage that is well.
func storeOn(backend certmagic.Storage) store {
	return store{storage.Storage{Backend: backend, Health: new(storage.Health)}, "partners"}
}

// readLimit is how long a read of a record may take.
const readLimit = storage.Limit
