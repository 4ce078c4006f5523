// Package command is `caddy switchboard`: the commands for operators.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "switchboard",
		Usage: "<command>",
		Short: "Switchboard's commands",
		Long: `Switchboard's commands. Results go to stdout, everything else to stderr. The exit
status is 1 if a command failed.`,
		CobraFunc: addCommands,
	})
}

func addCommands(cmd *cobra.Command) {
	for _, add := range commands {
		cmd.AddCommand(add())
	}
	completeRest(cmd)
	group(cmd)
}

// commands are the subcommands of `caddy switchboard`.
var commands = []func() *cobra.Command{apis, test, cases, last, hold, release, once, tokens, customers, dialects, systems}

// group makes a command that only has subcommands refuse unknown ones.
func group(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return errors.New("there is no such command; see caddy help, or --help")
	}
}

// place is the location of a configuration, with the flags of Caddy's own
// commands.
type place struct{ config, adapter string }

func (p *place) flags(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&p.config, "config", "c", "", "configuration `file`; default: the Caddyfile in this folder, if there is one")
	cmd.PersistentFlags().StringVarP(&p.adapter, "adapter", "a", "", "`name` of the config adapter")
}

// instance is a running Caddy that a command talks to.
type instance struct {
	place
	address string
}

// newInstance adds the flags that select the instance to a command.
func newInstance(cmd *cobra.Command) *instance {
	i := new(instance)
	i.flags(cmd)
	addressFlag(cmd, &i.address)
	return i
}

// query makes a command that talks to a running instance, which also completes its
// arguments.
func query(cmd *cobra.Command, complete names, run func(ctx context.Context, client *adminapi.Client, out io.Writer, args []string) error) *cobra.Command {
	i := newInstance(cmd)
	if complete != nil {
		cmd.ValidArgsFunction = completing(i.client, complete)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := i.client()
		if err != nil {
			return err
		}
		return run(cmd.Context(), client, cmd.OutOrStdout(), args)
	}
	return cmd
}

func addressFlag(cmd *cobra.Command, address *string) {
	cmd.Flags().StringVar(address, "address", "", "`address` of the admin API; default: that of the configuration")
}

func (i *instance) client() (*adminapi.Client, error) { return i.place.client(i.address) }

// client returns a client for the running instance: at the address, or at that in
// the configuration.
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

// withDirectory opens the customer directory of a configuration and nothing else:
// no server, no log, no token source. It prints the store's name to stderr.
func (p *place) withDirectory(ctx context.Context, cmd *cobra.Command, do func(*customer.Directory) error) error {
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
	fmt.Fprintln(cmd.ErrOrStderr(), "customers:", d.Location())
	return do(d)
}

func (p *place) withWriter(ctx context.Context, cmd *cobra.Command, do func(customer.Writer) error) error {
	return p.withDirectory(ctx, cmd, func(d *customer.Directory) error { return d.Write(do) })
}

// switchboardOf returns the app's part of a configuration, or nil if it has none.
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
		return nil, errors.New("the configuration is not valid Caddy JSON")
	}
	return whole.Apps.Switchboard, nil
}
