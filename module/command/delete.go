package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/customer"
)

func (p *place) delete() *cobra.Command {
	var address string
	var offline bool
	cmd := &cobra.Command{
		Use:   "delete ID…",
		Short: "Deletes customers, and the cached answers about them",
		Long: `Deletes customers. The running instance does it, by its admin API, so that the
answers about them that it has cached go, too. When none answers, nothing is
deleted, unless --offline says that none is running: then they are deleted in
the directory itself.

For each customer a line says "deleted" or "not found". The exit status is 1
when one was not found.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			if offline {
				return p.withWriter(ctx, cmd.ErrOrStderr(), func(w customer.Writer) error {
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
				return fmt.Errorf("%w; name it with --address, or write --offline when none is running", err)
			}
			return stopped(ctx, err)
		},
	}
	addressFlag(cmd, &address)
	cmd.Flags().BoolVar(&offline, "offline", false, "delete in the directory itself, when no instance is running")
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
