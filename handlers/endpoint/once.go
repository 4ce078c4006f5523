package endpoint

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/switchboard-ivr/switchboard/internal/jq"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/once"
)

// Once makes a write happen once: a phone system that repeats its request, because it
// heard nothing in time, gets the answer of the first one. The API gets the write once,
// whatever instance the repeat comes to.
type Once struct {
	// How long a write is remembered: a repeat within that time isn't sent.
	// Required; 1s to 744h.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// jq: params → the write's key: a text, a number, an object or an array of
	// these. Without a key (null or blank), or with a part of it missing (null),
	// nothing is sent. Default: the call id that the phone system sent as a param.
	Key string `json:"key,omitempty"`

	// Name of a request header that carries the key, for an API that recognizes
	// repeats itself, e.g. `Idempotency-Key`. A write whose result is unknown is then
	// sent again when it is repeated. Default: none.
	Header string `json:"header,omitempty"`

	// How long a write may run, whatever its caller does. Default: 30s, or the TTL
	// if that is shorter.
	Finish caddy.Duration `json:"finish,omitempty"`
}

const (
	minOnceTTL    = time.Second
	maxOnceTTL    = once.MaxTTL
	defaultFinish = 30 * time.Second
	maxFinish     = 5 * time.Minute
)

// Check validates the settings and compiles the key.
func (o *Once) Check(define string) (key *jq.Program, err error) {
	ttl, finish := time.Duration(o.TTL), time.Duration(o.Finish)
	switch {
	case ttl < minOnceTTL || ttl > maxOnceTTL:
		return nil, errors.New("the duration must be 1s to 744h; it says for how long a repeat is not sent again, e.g. `once 24h`")
	case finish < 0 || finish > maxFinish:
		return nil, errors.New("finish must be more than 0 and at most 5m, e.g. `finish 30s`")
	case finish > ttl:
		return nil, errors.New("finish is longer than the duration for which the write is remembered")
	case o.Key == "":
		return nil, nil
	}
	key, err = jq.Compile(o.Key, jq.Spec{Vars: []string{"request"}, Want: jq.Any, Define: define})
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if part := jq.Project(key); part != nil && len(part.Members) == 0 && !key.Uses("request") {
		return nil, errors.New("key: the program gives every write the same key; build it from the params, e.g. `once 24h .order_no`")
	}
	return key, nil
}

// writes is a provisioned Once: the writes of one API, in all servers that have it.
type writes struct {
	Once
	key      *jq.Program
	store    *once.Store
	finish   *Budgets      // of the detached calls that send
	patience time.Duration // of a write with the storage

	mu      sync.Mutex
	running map[string]*write // by key

	incomplete atomic.Int32 // records that wait for a storage that failed
}

// maxWrites bounds the writes of one API that are under way.
const maxWrites = 1024

// ProvisionOnce makes the route's writes happen once. key is what Check has compiled. The
// records are in the storage, sealed with a key that is derived from the API's
// credentials.
func (r *Route) ProvisionOnce(o *Once, key *jq.Program, backend certmagic.Storage, sealKey [32]byte) {
	finish := cmp.Or(time.Duration(o.Finish), min(defaultFinish, time.Duration(o.TTL)))
	r.once = switchboard.Shared(r.app, "once "+r.Name, func() *writes {
		w := &writes{
			Once:     *o,
			key:      key,
			store:    once.NewStore(backend, r.Name, sealKey, r.Logger),
			finish:   &Budgets{Each: finish},
			patience: min(r.Budget()/2, 5*time.Second),
			running:  make(map[string]*write),
		}
		r.app.OnStop(w.wait)
		return w
	})
}

// Writes returns the records of the route's writes, nil if they don't happen once.
func (r *Route) Writes() *once.Store {
	if r.once == nil {
		return nil
	}
	return r.once.store
}

// join returns the write of a key that is under way in this process, or a new one,
// which the caller has to start or to release. It returns nil if there are too many.
func (w *writes) join(key, request string) (f *write, created bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f, ok := w.running[key]; ok {
		return f, false
	}
	if len(w.running) >= maxWrites {
		return nil, false
	}
	f = &write{of: w, key: key, request: request, done: make(chan struct{})}
	w.running[key] = f
	return f, true
}

// leave removes a write that is no longer under way.
func (w *writes) leave(f *write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running[f.key] == f {
		delete(w.running, f.key)
	}
}

// release ends a write that is not sent by this process. Calls that wait for it look
// at its record.
func (f *write) release() {
	f.elsewhere = true
	f.of.leave(f)
	close(f.done)
}

// wait waits for the writes that are under way, so that a configuration isn't taken
// down, nor the process ended, before their records are complete.
func (w *writes) wait() {
	w.mu.Lock()
	under := slices.Collect(maps.Values(w.running))
	w.mu.Unlock()
	for _, f := range under {
		<-f.done
	}
}
