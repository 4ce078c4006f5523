package switchboard

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
)

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
