package switchboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/pool"
)

// registry tells one API from another. A name stands for one set of settings:
// the same block in several servers is one API, a name used twice for
// different things is a mistake.
type registry struct {
	mu   sync.Mutex
	apis map[string]registered
	// lookups of different settings, in the order in which they were provisioned
	lookups []registeredLookup
	// what handlers of the same settings have in common, by a name of theirs
	shared map[string]any
}

type registered struct {
	fingerprint string
	api         API
}

// API is an `api` handler as the app sees it, for the admin API, the console and the
// commands.
type API interface {
	Tester
	// Forget drops the cached answers to what was asked with these params, whoever asked.
	Forget(ctx context.Context, params map[string]any) error
	// BreakerState is one of [BreakerStates], "" without a breaker.
	BreakerState() string
	// Describe adds what the handler knows of itself.
	Describe(to *adminapi.API)
	// Playground is what the work on its output begins with; Systems are left to the
	// caller.
	Playground() Playground
	// WriteOutput writes the value of an output program as the API would for a phone
	// system, "" for its own.
	WriteOutput(v any, system string, to *PlaygroundResult)
}

// Tester is an API or a customer lookup, which can be tested.
type Tester interface {
	// Test makes a call as a phone system would, and returns its steps. An error is about
	// what was asked for, not about how the call went.
	Test(ctx context.Context, t adminapi.Test) (adminapi.Trace, error)
}

type registeredLookup struct {
	fingerprint, what string
	lookup            Tester
}

// LookupName is what the customer lookup is called where APIs have names: in logs
// and as a label of metrics.
const LookupName = "customer_lookup"

// RegisterAPI notes an API under its name. The fingerprint stands for its
// settings. A name that is taken by other settings is an error.
func (a *App) RegisterAPI(name, fingerprint string, api API) error {
	if name == LookupName {
		return fmt.Errorf("the name %s is taken by the customer lookup; give the api another one", name)
	}
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	if a.apis.apis == nil {
		a.apis.apis = make(map[string]registered)
	}
	if was, ok := a.apis.apis[name]; ok {
		if was.fingerprint != fingerprint {
			return fmt.Errorf("api %s is defined twice with different settings; give the second one a name of its own", name)
		}
		return nil
	}
	a.apis.apis[name] = registered{fingerprint, api}
	return nil
}

// RegisterLookup notes a customer lookup, once for each way in which one is written.
// What tells people which one it is.
func (a *App) RegisterLookup(fingerprint, what string, lookup Tester) {
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	if !slices.ContainsFunc(a.apis.lookups, func(r registeredLookup) bool { return r.fingerprint == fingerprint }) {
		a.apis.lookups = append(a.apis.lookups, registeredLookup{fingerprint, what, lookup})
	}
}

// Tested is a name under which something can be tested, and what it is.
type Tested struct {
	Name string `json:"name"`
	What string `json:"what,omitempty"`

	by Tester
}

// lookups are the customer lookups as they are tested: LookupName, or with a number
// behind it when there are several.
func (a *App) lookups() []Tested {
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	var all []Tested
	for i, l := range a.apis.lookups {
		name := LookupName
		if len(a.apis.lookups) > 1 {
			name += "." + strconv.Itoa(i+1)
		}
		all = append(all, Tested{name, l.what, l.lookup})
	}
	return all
}

// tester finds an API or a customer lookup that can be tested.
func (a *App) tester(name string) (Tester, error) {
	if api, ok := a.registered(name); ok {
		return api, nil
	}
	lookups := a.lookups()
	if i := slices.IndexFunc(lookups, func(l Tested) bool { return l.Name == name }); i >= 0 {
		return lookups[i].by, nil
	}
	if name == LookupName && len(lookups) > 1 {
		var list []string
		for _, l := range lookups {
			list = append(list, l.Name+" ("+l.What+")")
		}
		return nil, apiError(http.StatusConflict, errors.New("there are several customer lookups; write "+strings.Join(list, " or ")))
	}
	return nil, apiError(http.StatusNotFound, a.noSuchAPI(name))
}

func (a *App) registered(name string) (api API, ok bool) {
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	found, ok := a.apis.apis[name]
	return found.api, ok
}

func (a *App) noSuchAPI(name string) error {
	known := a.APIs()
	if len(known) == 0 {
		return fmt.Errorf("there is no api %s; the running configuration has none", name)
	}
	return fmt.Errorf("there is no api %s; there are: %s", name, strings.Join(known, ", "))
}

// APIs returns the names of all APIs of this configuration, sorted.
func (a *App) APIs() []string {
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	names := make([]string, 0, len(a.apis.apis))
	for name := range a.apis.apis {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Shared returns what the handlers of one API have in common, however many
// servers it is written in: the first one makes it. The key stands for the
// settings.
func Shared[T any](a *App, key string, create func() T) T {
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	if found, ok := a.apis.shared[key].(T); ok {
		return found
	}
	made := create()
	if a.apis.shared == nil {
		a.apis.shared = make(map[string]any)
	}
	a.apis.shared[key] = made
	return made
}

// Alone provisions a configuration for a test: with its routes and token sources,
// and without listeners, log files or an admin API. Whatever it holds goes with
// the process.
func ProvisionStandalone(config []byte) (*App, error) {
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(config, &whole); err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	whole["admin"] = json.RawMessage(`{"disabled":true,"config":{"persist":false}}`)
	whole["logging"] = json.RawMessage(`{"logs":{"default":{"writer":{"output":"discard"}}}}`)
	text, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	cfg := new(caddy.Config)
	if err := json.Unmarshal(text, cfg); err != nil {
		return nil, err
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		return nil, err
	}
	app, err := ctx.AppIfConfigured("switchboard")
	if err != nil {
		return nil, errors.New("the configuration has no switchboard and no api")
	}
	return app.(*App), nil
}

// caches keeps the answers over a reload.
var caches = pool.New[*cache.Cache]()

// Cache returns the cache of answers that all routes share. A handler calls it in its
// Provision; without such a call there is no cache. It may still be used after the
// configuration has been replaced: then it is empty.
func (a *App) Cache() (*cache.Cache, error) {
	if a.cache == nil {
		size := a.cacheSize()
		held, err := caches.Hold(size, func() (*cache.Cache, error) { return cache.New(cache.Options{Size: size}) })
		if err != nil {
			return nil, fmt.Errorf("cache_size: %w", err)
		}
		a.cache, a.heldCache = held.Value, held
		a.metrics.watchCache(a.cache)
	}
	return a.cache, nil
}

func (a *App) cacheSize() int64 {
	if a.CacheSize == 0 {
		return cache.DefaultSize
	}
	return a.CacheSize
}

func (a *App) checkCacheSize() error {
	if a.CacheSize != 0 && a.CacheSize < cache.MinSize {
		return fmt.Errorf("cache_size is %d bytes; write at least 1MiB", a.CacheSize)
	}
	return nil
}

// customerWritten forgets what lookups have answered: any of it may be about
// that customer, as a telephone number can move from one to another.
func (a *App) customerWritten() {
	if a.cache != nil {
		a.cache.PurgeGroup(LookupName)
	}
}

// customerErased forgets all answers, those of APIs too: nobody can tell from
// their keys whom they are about.
func (a *App) customerErased() {
	if a.cache != nil {
		a.cache.Purge()
	}
}
