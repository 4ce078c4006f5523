package command

import (
	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/module/sandbox"
)

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
