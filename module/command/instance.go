package command

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// instance is a running Caddy that a command asks.
type instance struct {
	place
	address string
}

// newInstance gives a command the flags that say which one.
func newInstance(cmd *cobra.Command) *instance {
	i := new(instance)
	i.flags(cmd)
	addressFlag(cmd, &i.address)
	return i
}

func addressFlag(cmd *cobra.Command, address *string) {
	cmd.Flags().StringVar(address, "address", "", "`address` of the admin API; default: the configuration's")
}

func (i *instance) client() (*adminapi.Client, error) { return i.place.client(i.address) }

// client is that of the running instance: at an address, or where the
// configuration says.
func (p *place) client(address string) (*adminapi.Client, error) {
	if address == "" {
		config, file, adapter, err := caddycmd.LoadConfig(p.config, p.adapter)
		if err != nil {
			return nil, err
		}
		if address, err = caddycmd.DetermineAdminAPIAddress("", config, file, adapter); err != nil {
			return nil, err
		}
	}
	return adminapi.New(address)
}
