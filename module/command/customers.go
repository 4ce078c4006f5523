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
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/customer"
	"github.com/switchboard-ivr/switchboard/module/customer/exchange"
)

func customers() *cobra.Command {
	p := new(place)
	cmd := &cobra.Command{
		Use:   "customers",
		Short: "Imports, exports and manages the customer directory",
		Long: `Imports, exports and manages the customer directory.

The directory is that of the configuration's global option switchboard, or by default
the SQLite database in Caddy's data directory. That directory depends on the user: run
the command as the user who runs Caddy. Nothing else of the configuration is loaded.`,
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
			return p.withDirectory(cmd.Context(), cmd, func(d *customer.Directory) error {
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
			return p.withWriter(cmd.Context(), cmd, func(w customer.Writer) error {
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

// errStopped reports that a command was ended by Ctrl-C. It replaces the error of
// the store, which would look like a fault.
var errStopped = errors.New("stopped")

// stopped returns errStopped if an error was caused by the end of the context.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errStopped
	}
	return err
}

// interruptible returns a context that ends with Ctrl-C or SIGTERM.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
}

func (p *place) delete() *cobra.Command {
	var address string
	var offline bool
	cmd := &cobra.Command{
		Use:   "delete ID…",
		Short: "Deletes customers, and the cached answers about them",
		Long: `Deletes customers. The running instance does it, by its admin API, so that the cached
answers about them are dropped, too. If no instance responds, nothing is deleted. With
--offline, which requires that none is running, the customers are deleted in the store
itself.

For each customer it prints "deleted" or "not found". The exit status is 1 if a customer
was not found.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			if offline {
				return p.withWriter(ctx, cmd, func(w customer.Writer) error {
					return stopped(ctx, deleteAll(cmd, ids, func(id string) (bool, error) { return w.Delete(ctx, id) }))
				})
			}
			client, err := p.client(address)
			if err != nil {
				return err
			}
			told := false
			err = deleteAll(cmd, ids, func(id string) (bool, error) {
				changed, err := client.DeleteCustomer(ctx, id)
				if err == nil && !told {
					told = true
					fmt.Fprintln(cmd.ErrOrStderr(), "customers of the running instance:", changed.Store)
				}
				return changed.Existed, err
			})
			if errors.Is(err, adminapi.ErrNobody) {
				return fmt.Errorf("%w; set its address with --address, or use --offline if none is running", err)
			}
			return stopped(ctx, err)
		},
	}
	addressFlag(cmd, &address)
	cmd.Flags().BoolVar(&offline, "offline", false, "delete in the store itself, while no instance is running")
	return cmd
}

func deleteAll(cmd *cobra.Command, ids []string, del func(id string) (bool, error)) error {
	missing := 0
	for _, id := range ids {
		existed, err := del(id)
		switch {
		case err != nil:
			return err
		case existed:
			fmt.Fprintln(cmd.OutOrStdout(), "deleted", id)
		default:
			missing++
			fmt.Fprintln(cmd.OutOrStdout(), "not found", id)
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d customers were not found", missing, len(ids))
	}
	return nil
}
