package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

func hold() *cobra.Command {
	return holding("hold", "Stops calls of an API, until it is released or Caddy restarts", (*adminapi.Client).Hold)
}

func release() *cobra.Command {
	return holding("release", "Resumes calls of an API that is held", (*adminapi.Client).Release)
}

func holding(use, short string, do func(*adminapi.Client, context.Context, string) (adminapi.API, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1)}
	instance := newInstance(cmd)
	cmd.ValidArgsFunction = completing(instance.client, apiNames())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := instance.client()
		if err != nil {
			return err
		}
		api, err := do(client, cmd.Context(), args[0])
		if err != nil {
			return err
		}
		state := "called again"
		if api.Held {
			state = "held"
		}
		out := cmd.OutOrStdout()
		_, err = fmt.Fprintln(out, api.Name, "is", colors(out).state(state))
		return err
	}
	return cmd
}
