// Package switchboard is the Caddy app `switchboard`: what all routes share. It
// holds the token sources with their keepers, the customer directory, the
// response cache and the metrics, and it knows the APIs by name.
package switchboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/switchboard-ivr/switchboard/internal/cache"
	"github.com/switchboard-ivr/switchboard/internal/jq"
	"github.com/switchboard-ivr/switchboard/internal/mask"
	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/issuer"
	"github.com/switchboard-ivr/switchboard/module/pool"
	"github.com/switchboard-ivr/switchboard/module/token"
	"github.com/switchboard-ivr/switchboard/module/token/keeper"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

func init() {
	caddy.RegisterModule(App{})
}

// App holds what the routes of one configuration share. Its token sources sign in
// to APIs and renew their tokens in the background. Every `api` that names a
// token source uses the same token.
//
// A token survives a reload of the configuration and, in Caddy's storage, a
// restart: neither causes a token request.
//
// Events (see Caddy's `events` option):
//
//   - `token_renewed` with `token`, `how` (`obtain`, `refresh`, or `adopt`: taken from
//     storage), `generation`, `expires` and `fingerprint`
//   - `token_failed` with `token`, `how` and `error`
//   - `api_degraded` with `api`, `degraded`, `since` and `outcome`: when callers begin
//     to get stale answers, defaults or errors, and when the API recovers. There is no
//     `outcome` if it recovers because no call has failed for 5 minutes
//   - `api_held` with `api` and `held`: when an operator stops or resumes calls
//
// Metrics: `switchboard_calls_total`, `switchboard_unhealthy_total`,
// `switchboard_call_duration_seconds`, `switchboard_api_degraded`,
// `switchboard_held`, `switchboard_breaker_state`,
// `switchboard_step_duration_seconds`, `switchboard_token_state`,
// `switchboard_token_expiry_timestamp_seconds`, `switchboard_token_generation`
// and `switchboard_token_renewals_total`.
type App struct {
	// The token sources, by name.
	Tokens map[string]*source.Source `json:"tokens,omitempty"`

	// The issuers, by name. Our callers sign in with them.
	Issuers map[string]*issuer.Issuer `json:"issuers,omitempty"`

	// The store of the customer directory. Default: `sqlite`, in Caddy's data
	// directory.
	CustomersRaw json.RawMessage `json:"customers,omitempty" caddy:"namespace=switchboard.customers inline_key=store"`

	// The country for customers' telephone numbers without a country code, as an
	// ISO 3166 code such as `CN`. Default: none, so that only international
	// numbers are found.
	Region string `json:"region,omitempty"`

	// The area code for telephone numbers without one, as it is dialled, e.g.
	// `010`.
	AreaCode string `json:"area_code,omitempty"`

	// Maximum memory for the cached answers of all routes together, in bytes.
	// Default: 64 MiB; at least 1 MiB. A reload keeps the answers, unless it
	// changes the size.
	CacheSize int64 `json:"cache_size,omitempty"`

	// Custom phone systems, by name.
	PhoneSystems map[string]*PhoneSystem `json:"phone_systems,omitempty"`

	// jq function definitions, prepended to every program of every route and
	// token source. In a Caddyfile: `define @lib.jq`.
	Define string `json:"define,omitempty"`

	ctx     caddy.Context
	logger  *zap.Logger
	sources map[string]*TokenSource
	apis    *registry

	apiStates *apiStates
	metrics   *Metrics
	events    *emitter

	// called in Cleanup, to undo MaskNames
	unmask []func()
	stops  []func() // called in Stop

	phones    phone.Region
	guest     customer.Guest      // nil if none is configured
	customers *customer.Directory // nil until Customers is called

	cache     *cache.Cache // nil if no route has a cache
	heldCache *pool.Held[*cache.Cache]
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "switchboard",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision resolves the credentials and compiles the programs of all token
// sources. It makes no requests: keepers begin in Start or with the first
// request.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	a.logger = ctx.Logger()
	a.sources = make(map[string]*TokenSource, len(a.Tokens))
	a.apis, a.apiStates = new(registry), new(apiStates)
	a.metrics = newMetrics(ctx.GetMetricsRegistry())
	a.metrics.watch(a.states)
	a.metrics.watchAPIs(a)
	if err := a.checkCacheSize(); err != nil {
		return err
	}
	if a.Define != "" {
		if _, err := jq.Compile(".", jq.Spec{Define: a.Define}); err != nil {
			return fmt.Errorf("define: %w", err)
		}
	}
	events, err := newEmitter(ctx)
	if err != nil {
		return err
	}
	a.events = events
	if err := a.provisionPhoneSystems(); err != nil {
		return err
	}
	if err := a.provisionCustomers(); err != nil {
		return err
	}

	for _, name := range slices.Sorted(maps.Keys(a.Tokens)) {
		src := a.Tokens[name]
		if src == nil {
			return fmt.Errorf("token %s is null; give it a dialect or a static token, or remove it", name)
		}
		source, err := acquire(ctx, name, src, a.Define)
		if err != nil {
			return fmt.Errorf("token %s: %w", name, err)
		}
		a.sources[name] = source
		if source.held.New {
			// attached before Start, because a request may come first
			source.Attach(a.tokenEnv())
		}
		for _, warning := range src.Warnings() {
			a.logger.Warn(warning, zap.String("token", name))
		}
		a.MaskNames(source.Injection().Name)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Issuers)) {
		if a.Issuers[name] == nil {
			return fmt.Errorf("issuer %s is null; give it a client, or remove it", name)
		}
		if err := a.Issuers[name].Provision(ctx, name); err != nil {
			return fmt.Errorf("issuer %s: %w", name, err)
		}
		a.MaskNames(a.Issuers[name].CredentialName())
	}
	return nil
}

// MaskNames masks the values of headers, parameters and fields with these names
// in logs and traces, as long as this configuration is in use. They are the names
// that the configuration uses for secrets. It must be called while the
// configuration is provisioned. Blank names are ignored.
func (a *App) MaskNames(names ...string) {
	a.unmask = append(a.unmask, mask.AddSecrets(names))
}

// Start links the APIs, gives the keepers the storage and logger of this
// configuration, and starts those that must hold a token before the first call.
func (a *App) Start() error {
	if err := a.link(); err != nil {
		return err
	}
	for name, source := range a.sources {
		if text := source.Unused(source.apis); text != "" { // by now all APIs are known
			a.logger.Warn(text, zap.String("token", name))
		}
		if source.HasToken() {
			source.Attach(a.tokenEnv())
			source.Start()
		}
	}
	return nil
}

// Stop waits for what must end before Caddy closes the storage: writes that happen
// once. A keeper ends when the last configuration releases it.
func (a *App) Stop() error {
	for _, wait := range a.stops {
		wait()
	}
	return nil
}

// OnStop registers a function that Stop calls, and that returns after a limited time.
// It may only be called while the configuration is provisioned.
func (a *App) OnStop(wait func()) { a.stops = append(a.stops, wait) }

// Cleanup releases what the configuration uses. Running requests may still use
// it. It is also called after a failed Provision.
func (a *App) Cleanup() error {
	for _, source := range a.sources {
		source.held.Release()
	}
	if a.customers != nil {
		a.customers.Release()
	}
	a.heldCache.Release()
	for _, remove := range a.unmask {
		remove()
	}
	if a.apiStates != nil {
		a.apiStates.release()
	}
	var errs []error
	for _, i := range a.Issuers {
		if i != nil {
			errs = append(errs, i.Cleanup())
		}
	}
	return errors.Join(errs...)
}

// Token returns the token source with that name. The error lists the existing
// names.
func (a *App) Token(name string) (*TokenSource, error) {
	return find(a.sources, "token", name)
}

// Issuer returns the issuer with that name. The error lists the existing names.
func (a *App) Issuer(name string) (*issuer.Issuer, error) {
	return find(a.Issuers, "issuer", name)
}

func find[T any](all map[string]T, kind, name string) (T, error) {
	if found, ok := all[name]; ok {
		return found, nil
	}
	var none T
	known := slices.Sorted(maps.Keys(all))
	if len(known) == 0 {
		return none, fmt.Errorf("%s %s is not defined; add `switchboard { %s %s { … } }` to the global options", kind, name, kind, name)
	}
	return none, fmt.Errorf("%s %s is not defined; defined are: %s", kind, name, strings.Join(known, ", "))
}

// Metrics returns the metrics of this configuration.
func (a *App) Metrics() *Metrics { return a.metrics }

func (a *App) tokenEnv() keeper.Env {
	return keeper.Env{
		Storage: a.ctx.Storage(),
		Logger:  a.logger,
		Events:  observer{a.metrics, a.events},
	}
}

func (a *App) states() []token.State {
	states := make([]token.State, 0, len(a.sources))
	for _, source := range a.sources {
		if source.HasToken() {
			states = append(states, source.State())
		}
	}
	return states
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
