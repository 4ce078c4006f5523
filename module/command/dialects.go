package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/module/token/source"
)

func dialects() *cobra.Command {
	var names []string
	for _, d := range source.Dialects() {
		names = append(names, d.Name)
	}
	return &cobra.Command{
		ValidArgsFunction: oneOf(names...),

		Use:   "dialects [NAME]",
		Short: "Lists the token dialects, or prints one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, d := range source.Dialects() {
				switch {
				case len(args) == 0:
					fmt.Fprintln(cmd.OutOrStdout(), d.Name)
				case d.Name == args[0]:
					_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(d.Text, "\n"))
					return err
				}
			}
			if len(args) > 0 {
				return errors.New("there is no such dialect; without a name, the command lists them")
			}
			return nil
		},
	}
}
