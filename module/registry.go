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
	"github.com/switchboard-ivr/switchboard/module/once"
	"github.com/switchboard-ivr/switchboard/module/pool"
)

// registry knows the APIs by name. A name stands for one set of settings: the
// same block in several servers is one API; the same name with different settings
// is an error.
type registry struct {
	mu   sync.Mutex
	apis map[string]registered
	// lookups with different settings, in the order in which they were
	// provisioned
	lookups []registeredLookup
	// what handlers with the same settings share, by key
	shared map[string]any
}

type registered struct {
	fingerprint string
	api         API
}

// API is an `api` handler as the app sees it, for the admin API, the console and
// the commands.
type API interface {
	Tester
	// Link finds the APIs that the API is chained to, once all are registered. An
	// error stops the load.
	Link() error
	// Forget drops the cached answers for these params, for all callers.
	Forget(ctx context.Context, params map[string]any) error
	// BreakerState returns one of [BreakerStates], "" without a breaker.
	BreakerState() string
	// Writes returns the records of writes that happen once, nil if they don't.
	Writes() *once.Store
	// Describe adds what the handler knows about the API.
	Describe(to *adminapi.API)
	// Playground returns the initial state of the playground, without Systems.
	Playground() Playground
	// WriteOutput renders the value of an output program for a phone system, ""
	// for the API's own.
	WriteOutput(v any, system string, to *PlaygroundResult)
}

// Tester is an API or a customer lookup that can be tested.
type Tester interface {
	// Test makes a call as a phone system would, and returns its trace. An error
	// is about the test itself, not about the outcome of the call.
	Test(ctx context.Context, t adminapi.Test) (adminapi.Trace, error)
}

type registeredLookup struct {
	fingerprint, what string
	lookup            Tester
}

// LookupName is the name of the customer lookup where APIs have theirs: in logs
// and metric labels.
const LookupName = "customer_lookup"

// RegisterAPI registers an API under its name. fingerprint identifies its
// settings. It is an error if the name is taken by other settings.
func (a *App) RegisterAPI(name, fingerprint string, api API) error {
	if name == LookupName {
		return fmt.Errorf("the name %s is reserved for the customer lookup; give the api another name", name)
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

// RegisterLookup registers a customer lookup, once for each set of settings. what
// describes it to people.
func (a *App) RegisterLookup(fingerprint, what string, lookup Tester) {
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	if !slices.ContainsFunc(a.apis.lookups, func(r registeredLookup) bool { return r.fingerprint == fingerprint }) {
		a.apis.lookups = append(a.apis.lookups, registeredLookup{fingerprint, what, lookup})
	}
}

// Tested is the name of something that can be tested, with a description.
type Tested struct {
	Name string `json:"name"`
	What string `json:"what,omitempty"`

	by Tester
}

// lookups returns the customer lookups with their names for tests: LookupName,
// followed by a number if there are several.
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

// tester returns the API or customer lookup with that name.
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
		return nil, apiError(http.StatusConflict, errors.New("there are several customer lookups; use "+strings.Join(list, " or ")))
	}
	return nil, apiError(http.StatusNotFound, a.noSuchAPI(name))
}

func (a *App) registered(name string) (api API, ok bool) {
	a.apis.mu.Lock()
	defer a.apis.mu.Unlock()
	found, ok := a.apis.apis[name]
	return found.api, ok
}

// Registered returns the API with that name, for the API by. The error lists the
// names of the others.
func (a *App) Registered(name, by string) (API, error) {
	if api, ok := a.registered(name); ok {
		return api, nil
	}
	return nil, a.noSuchAPI(name, by)
}

// link links all APIs, once they are registered.
func (a *App) link() error {
	for _, name := range a.APIs() {
		if api, ok := a.registered(name); ok {
			if err := api.Link(); err != nil {
				return fmt.Errorf("api %s: %w", name, err)
			}
		}
	}
	return nil
}

func (a *App) noSuchAPI(name string, except ...string) error {
	known := slices.DeleteFunc(a.APIs(), func(other string) bool { return slices.Contains(except, other) })
	if len(known) == 0 && len(except) > 0 {
		return fmt.Errorf("there is no api %s, and none but %s", name, except[0])
	}
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

// Shared returns what handlers with the same key share, e.g. one API that is in
// several servers. The first caller creates it. key identifies the settings.
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

// ProvisionStandalone provisions a configuration for a test call: its routes and
// token sources, without listeners, log files and admin API. It is never cleaned
// up; its resources are released when the process ends.
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
		return nil, errors.New("the configuration has neither the app switchboard nor an api")
	}
	return app.(*App), app.(*App).link()
}

// caches keeps the answers over a reload.
var caches = pool.New[*cache.Cache]()

// Cache returns the cache that all routes share. Handlers call it in Provision;
// there is no cache if none does. It may still be used after the configuration
// was replaced, but may be empty then.
func (a *App) Cache() (*cache.Cache, error) {
	if a.cache == nil {
		size := a.cacheSize()
		held, err := caches.Hold(size, func() (*cache.Cache, error) { return cache.New(size) })
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

// customerWritten drops the cached answers of lookups. Any of them may be about
// that customer, because a telephone number can move from one customer to
// another.
func (a *App) customerWritten() {
	if a.cache != nil {
		a.cache.PurgeGroup(LookupName)
	}
}

// customerErased drops all answers, including those of APIs: their keys don't
// show whom they are about.
func (a *App) customerErased() {
	if a.cache != nil {
		a.cache.Purge()
	}
}
