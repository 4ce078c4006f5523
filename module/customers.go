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

// defaultStore is used when a route asks for customers and none are configured.
const defaultStore = `{"store": "sqlite"}`

// Customers returns the customer directory. A handler calls it in its
// Provision; nothing is opened before the first lookup. The error says what is
// wrong with the configuration.
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

// loadCustomers loads the module of the store.
func (a *App) loadCustomers() error {
	guest, err := a.ctx.LoadModule(a, "CustomersRaw")
	if err != nil {
		return fmt.Errorf("customers: %w", err)
	}
	found, ok := guest.(customer.Guest)
	if !ok {
		return fmt.Errorf("customers: %T is no store of customers", guest)
	}
	a.guest = found
	return nil
}

// provisionCustomers loads what is written of the directory, and opens nothing.
func (a *App) provisionCustomers() (err error) {
	if a.Region != "" {
		if a.phones, err = phone.ParseRegion(a.Region, a.AreaCode); err != nil {
			return fmt.Errorf("region: %w", err)
		}
	} else if a.AreaCode != "" {
		return fmt.Errorf("area_code: it needs a region")
	}
	if a.CustomersRaw == nil {
		return nil
	}
	if err := a.loadCustomers(); err != nil {
		return err
	}
	_, err = a.Customers() // the admin API has it, too
	return err
}

// CustomersIdentity tells one customer directory from another: where it is, and
// how it reads telephone numbers. It holds secrets.
func (a *App) CustomersIdentity() string {
	if a.guest == nil {
		return ""
	}
	return identity(a.guest, a.phones)
}

func identity(guest customer.Guest, region phone.Region) string {
	return guest.Identity() + " " + region.Country + " " + region.AreaCode
}

// openDirectory holds the store that everyone with these settings uses.
func openDirectory(guest customer.Guest, env customer.Env) (*customer.Directory, error) {
	return customer.NewDirectory(env.Region, guest.Location(), func() (*pool.Held[customer.Store], error) {
		return stores.Hold(identity(guest, env.Region), func() (customer.Store, error) { return guest.Open(env) })
	})
}

// OpenCustomers opens the customer directory of an app's configuration without
// the app: for commands. A configuration of nil is the default one. Release the
// directory when it is done with.
func OpenCustomers(ctx caddy.Context, config json.RawMessage) (*customer.Directory, error) {
	var settings struct {
		Customers json.RawMessage `json:"customers"`
		Region    string          `json:"region"`
		AreaCode  string          `json:"area_code"`
	}
	if len(config) > 0 && json.Unmarshal(config, &settings) != nil {
		return nil, errors.New("the app switchboard is no JSON object of its settings")
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
