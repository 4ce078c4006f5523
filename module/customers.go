package switchboard

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/pool"
)

// stores keeps the connections over a reload.
var stores = pool.New[customer.Store]()

// defaultStore is used if a route needs customers and no store is configured.
const defaultStore = `{"store": "sqlite"}`

// Customers returns the customer directory. Handlers call it in Provision;
// nothing is opened before the first lookup. The error is one of the
// configuration.
func (a *App) Customers() (*customer.Directory, error) {
	if a.customers == nil && a.guest == nil {
		a.CustomersRaw = json.RawMessage(defaultStore)
		if err := a.loadCustomers(); err != nil {
			return nil, err
		}
	}
	if a.customers == nil {
		directory, err := openDirectory(a.guest, customer.Env{Region: a.phones, Logger: a.logger})
		if err != nil {
			return nil, fmt.Errorf("customers: %w", err)
		}
		a.customers = directory
	}
	return a.customers, nil
}

// loadCustomers loads the store's module.
func (a *App) loadCustomers() error {
	guest, err := a.ctx.LoadModule(a, "CustomersRaw")
	if err != nil {
		return fmt.Errorf("customers: %w", err)
	}
	found, ok := guest.(customer.Guest)
	if !ok {
		return fmt.Errorf("customers: %T is not a customer store", guest)
	}
	a.guest = found
	return nil
}

// provisionCustomers provisions the configured directory. It opens nothing.
func (a *App) provisionCustomers() (err error) {
	if a.Region != "" {
		if a.phones, err = phone.ParseRegion(a.Region, a.AreaCode); err != nil {
			return fmt.Errorf("region: %w", err)
		}
	} else if a.AreaCode != "" {
		return fmt.Errorf("area_code needs a region")
	}
	if a.CustomersRaw == nil {
		return nil
	}
	if err := a.loadCustomers(); err != nil {
		return err
	}
	_, err = a.Customers() // for the admin API
	return err
}

// CustomersIdentity identifies a customer directory: where it is, and how it
// interprets telephone numbers. It contains secrets.
func (a *App) CustomersIdentity() string {
	if a.guest == nil {
		return ""
	}
	return identity(a.guest, a.phones)
}

func identity(guest customer.Guest, region phone.Region) string {
	return guest.Identity() + " " + region.Country + " " + region.AreaCode
}

// openDirectory opens the store, or shares the open one with the same settings.
func openDirectory(guest customer.Guest, env customer.Env) (*customer.Directory, error) {
	return customer.NewDirectory(env.Region, guest.Location(), func() (*pool.Held[customer.Store], error) {
		return stores.Hold(identity(guest, env.Region), func() (customer.Store, error) { return guest.Open(env) })
	})
}

// OpenCustomers opens the customer directory of an app's configuration without
// the app, for commands. A nil config is the default configuration. The directory
// must be released after use.
func OpenCustomers(ctx caddy.Context, config json.RawMessage) (*customer.Directory, error) {
	var settings struct {
		Customers json.RawMessage `json:"customers"`
		Region    string          `json:"region"`
		AreaCode  string          `json:"area_code"`
	}
	if len(config) > 0 && json.Unmarshal(config, &settings) != nil {
		return nil, errors.New("the settings of the app switchboard are not a JSON object")
	}
	a := &App{
		CustomersRaw: settings.Customers, Region: settings.Region, AreaCode: settings.AreaCode,
		ctx: ctx, logger: caddy.Log().Named("switchboard"),
	}
	if err := a.provisionCustomers(); err != nil {
		return nil, err
	}
	return a.Customers()
}
