// Package command is `caddy switchboard`: what an operator does from a shell.
package command

import (
	"errors"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "switchboard",
		Usage: "<command>",
		Short: "Switchboard's commands",
		Long: `Switchboard's commands. Results go to stdout, everything else to stderr. The
exit status is 1 when something did not work.`,
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

// commands are what stands below `caddy switchboard`.
var commands = []func() *cobra.Command{apis, test, cases, last, hold, release, tokens, customers, dialects, systems}

// group makes a command that only holds others refuse what it doesn't know.
func group(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return errors.New("there is no such command; see caddy help, or --help")
	}
}

// place says where a configuration is, as Caddy's own commands do.
type place struct{ config, adapter string }

func (p *place) flags(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&p.config, "config", "c", "", "configuration `file`; default: the Caddyfile in this folder, if there is one")
	cmd.PersistentFlags().StringVarP(&p.adapter, "adapter", "a", "", "`name` of the adapter that reads it")
}
