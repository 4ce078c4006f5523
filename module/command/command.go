// Package command is `caddy switchboard`: what an operator does from a shell.
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

// color is an SGR parameter of two digits: all are of one length, so that a
// tabwriter, which counts them, keeps its columns straight.
type color string

const (
	plain  color = "39"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
)

// painter colours texts, or leaves them as they are.
type painter bool

// colors returns a painter for what a command writes: one that colours when that
// goes to a terminal, TERM is not dumb and NO_COLOR (no-color.org) is not set.
func colors(out io.Writer) painter {
	file, ok := out.(*os.File)
	return painter(ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd())))
}

// in returns a text in a colour. All cells of a column have to be painted, its
// head in plain.
func (p painter) in(c color, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[39m"
}

// outcome colours how a call ended.
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
