package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

// withDirectory opens the customer directory of a configuration, and nothing
// else of it: no server, no log, no token source. It says on stderr which one
// it is.
func (p *place) withDirectory(ctx context.Context, stderr io.Writer, do func(*customer.Directory) error) error {
	config, _, _, err := caddycmd.LoadConfig(p.config, p.adapter)
	if err != nil {
		return err
	}
	app, err := switchboardOf(config)
	if err != nil {
		return err
	}
	cctx, cancel := caddy.NewContext(caddy.Context{Context: ctx})
	defer cancel()
	d, err := switchboard.OpenCustomers(cctx, app)
	if err != nil {
		return err
	}
	defer d.Release()
	fmt.Fprintln(stderr, "customers:", d.Location())
	return do(d)
}

func (p *place) withWriter(ctx context.Context, stderr io.Writer, do func(customer.Writer) error) error {
	return p.withDirectory(ctx, stderr, func(d *customer.Directory) error {
		w, err := d.Writer()
		if err != nil {
			return err
		}
		return do(w)
	})
}

// switchboardOf is the app's part of a configuration; nil where there is none.
func switchboardOf(config []byte) (json.RawMessage, error) {
	if len(config) == 0 {
		return nil, nil
	}
	var whole struct {
		Apps struct {
			Switchboard json.RawMessage `json:"switchboard"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &whole); err != nil {
		return nil, errors.New("the configuration is no JSON of Caddy's")
	}
	return whole.Apps.Switchboard, nil
}
