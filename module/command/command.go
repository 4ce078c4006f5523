// Package command is `caddy switchboard`: the commands for operators.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/sandbox"
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
var commands = []func() *cobra.Command{apis, test, cases, last, hold, release, tokens, customers, dialects, systems, runProgram}

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

// runProgram is the process that runs a program which was typed in the console. It
// is nothing for people, and in no list.
func runProgram() *cobra.Command {
	return &cobra.Command{
		Use:    sandbox.Command,
		Short:  "Runs one jq program for the console",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return sandbox.Serve(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// color is an SGR parameter of two digits. All have the same length, so that the
// columns of a tabwriter, which counts them, stay aligned.
type color string

const (
	plain  color = "39"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
)

// painter colours text, or leaves it unchanged.
type painter bool

// colors returns a painter for the output of a command. It colours if the output
// is a terminal, TERM is not dumb, and NO_COLOR (no-color.org) is not set.
func colors(out io.Writer) painter {
	file, ok := out.(*os.File)
	return painter(ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd())))
}

// in returns a coloured text. All cells of a column must be coloured, the heading
// in plain.
func (p painter) in(c color, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[39m"
}

// outcome colours an outcome.
func (p painter) outcome(outcome string) string { return p.in(colorOfOutcome(outcome), outcome) }

func colorOfOutcome(outcome string) color {
	switch outcome {
	case "ok", "not_found", "ambiguous":
		return green
	case "":
		return plain
	case "stale", "partial", "dry_run", "incomplete", "bad_request", "unauthorized", "canceled":
		return yellow
	default:
		return red
	}
}

// state colours the state of an API, its breaker or a token source.
func (p painter) state(state string) string {
	switch state {
	case "fresh", "due", "closed", "ok", "called again":
		return p.in(green, state)
	case "failing", "open", "degraded", "breaker open":
		return p.in(red, state)
	case "-", "", "idle":
		return p.in(plain, state)
	default:
		return p.in(yellow, state)
	}
}
