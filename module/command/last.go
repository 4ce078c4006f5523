package command

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	switchboard "github.com/switchboard-ivr/switchboard/module"
)

func last() *cobra.Command {
	var callID string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "last NAME",
		Short: "Shows the last calls of an API without an answer of its own",
		Long: `Shows the last calls of an API that had no answer of its own, newest first: the
running instance keeps 50 of them in memory, masked. With --call, those of one
phone call are shown step by step.`,
		Args: cobra.ExactArgs(1),
	}
	instance := newInstance(cmd)
	cmd.ValidArgsFunction = completing(instance.client, apiNames(switchboard.LookupName))
	cmd.Flags().StringVar(&callID, "call", "", "`id` of a phone call")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := instance.client()
		if err != nil {
			return err
		}
		failures, err := client.Failures(cmd.Context(), args[0], callID)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		switch {
		case asJSON:
			return printJSON(out, failures)
		case len(failures) == 0 && callID != "":
			return errors.New("no failed call of that id is kept")
		case callID != "":
			for _, t := range failures {
				if err := printTrace(out, t); err != nil {
					return err
				}
			}
			return nil
		}
		paint := colors(out)
		for _, t := range failures {
			fmt.Fprintf(out, "%s  %s  %8.1f ms  %s  %s\n", t.Time.Local().Format(time.DateTime),
				paint.in(colorOfOutcome(t.Outcome), fmt.Sprintf("%-13s", t.Outcome)), t.MS, t.CallID, t.Reason)
		}
		return nil
	}
	return cmd
}
