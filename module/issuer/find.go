package issuer

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
)

// Find gives a handler the issuer of that name, out of the app `switchboard`.
// The error says which exist.
func Find(ctx caddy.Context, name string) (*Issuer, error) {
	app, err := ctx.App("switchboard")
	if err != nil {
		return nil, fmt.Errorf("loading the app switchboard: %w", err)
	}
	holder, ok := app.(interface {
		Issuer(name string) (*Issuer, error)
	})
	if !ok {
		return nil, fmt.Errorf("the app switchboard (%T) has no issuers", app)
	}
	return holder.Issuer(name)
}
