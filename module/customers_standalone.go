package switchboard

import (
	"encoding/json"
	"errors"

	"github.com/caddyserver/caddy/v2"

	"github.com/switchboard-ivr/switchboard/module/customer"
)

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
