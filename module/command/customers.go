package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/internal/phone"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/exchange"
)

func customers() *cobra.Command {
	p := new(place)
	cmd := &cobra.Command{
		Use:   "customers",
		Short: "Imports, exports and looks after the customer directory",
		Long: `Imports, exports and looks after the customer directory.

The directory is the one of the configuration's global option switchboard, and
without that the SQLite database in Caddy's data directory. That belongs to the
user who runs the command: run it as the user who runs Caddy. Nothing else of
the configuration is loaded.`,
	}
	p.flags(cmd)
	cmd.AddCommand(p.importing(), p.exporting(), p.get(), p.delete(), p.count())
	group(cmd)
	return cmd
}

func (p *place) get() *cobra.Command {
	return &cobra.Command{
		Use:   "get ID",
		Short: "Prints a customer as JSON",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDirectory(cmd.Context(), cmd.ErrOrStderr(), func(d *customer.Directory) error {
				q, err := customer.NewQuery(map[string]any{string(customer.ByID): args[0]}, phone.Region{})
				if err != nil {
					return err
				}
				if q.Nobody() {
					return customer.ErrNoID
				}
				found, err := d.Find(cmd.Context(), q, 1)
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return errors.New("there is no such customer")
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", exchange.AppendJSON(nil, found[0]))
				return err
			})
		},
	}
}

func (p *place) count() *cobra.Command {
	return &cobra.Command{
		Use:   "count",
		Short: "Prints the number of customers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withWriter(cmd.Context(), cmd.ErrOrStderr(), func(w customer.Writer) error {
				n, err := w.Count(cmd.Context())
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), n)
				return err
			})
		},
	}
}

// errStopped says that a command ended with Ctrl-C. It stands in for what the
// store says about it, which sounds like a fault.
var errStopped = errors.New("stopped")

// stopped returns errStopped where an error comes from the end of the context.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errStopped
	}
	return err
}

// interruptible is a context that ends with Ctrl-C or SIGTERM.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
}
