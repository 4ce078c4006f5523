package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

func once() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "once NAME [KEY]",
		Short: "Shows the writes of an API that happen once, and settles those whose result is unknown",
		Long: `Shows the writes that an API with "once" remembers, the newest first: whether they were
answered, are under way, or have an unknown result, because the API may have acted although
its answer didn't come. Keys are masked. With a key, that write only.

With --forget, the record of that write is deleted, and a repeat is sent again. Look at the
API first: it may have the write.`,
		Args: cobra.RangeArgs(1, 2),
	}
	forget := cmd.Flags().Bool("forget", false, "delete the record of the write with this key")
	asJSON := jsonFlag(cmd)
	return query(cmd, apiNames(), func(ctx context.Context, client *adminapi.Client, out io.Writer, args []string) error {
		switch {
		case len(args) == 1 && *forget:
			return errors.New("--forget needs the key of a write; write e.g. once ticket c-1 --forget")
		case len(args) == 1:
			list, err := client.Writes(ctx, args[0])
			if err != nil {
				return err
			}
			return show(out, *asJSON, list, printWrites)
		}
		ask := client.Write
		if *forget {
			ask = client.ForgetWrite
		}
		write, err := ask(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		if err := show(out, *asJSON, write, func(out io.Writer, write adminapi.Write) error {
			return printWrites(out, adminapi.Writes{Writes: []adminapi.Write{write}})
		}); err != nil || !write.Forgotten || *asJSON {
			return err
		}
		_, err = fmt.Fprintln(out, "forgotten; a repeat is sent again")
		return err
	})
}

func printWrites(out io.Writer, list adminapi.Writes) error {
	w, paint := newTable(out), colors(out)
	fmt.Fprintf(w, "KEY\t%s\tSENT\tREMEMBERED FOR\tWHY\n", paint.in(plain, "STATE"))
	for _, write := range list.Writes {
		sent, left := "-", "-"
		if !write.Sent.IsZero() {
			sent = write.Sent.Local().Format(time.DateTime)
			left = span(write.Expires, time.Until(write.Expires))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(write.Key), paint.outcome(cmp.Or(write.Outcome, write.State)), sent, left, cmp.Or(write.Reason, "-"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if list.Unreadable > 0 {
		fmt.Fprintf(out, "%d more can't be read: they are damaged, or sealed with other credentials\n", list.Unreadable)
	}
	if list.More {
		fmt.Fprintln(out, "there are more")
	}
	return nil
}
