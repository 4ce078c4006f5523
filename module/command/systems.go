package command

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/internal/answer"
)

func systems() *cobra.Command {
	var names []string
	for _, s := range answer.Systems() {
		names = append(names, s.Name)
	}
	return &cobra.Command{
		ValidArgsFunction: oneOf(names...),

		Use:   "systems [NAME]",
		Short: "Lists the phone systems that are built in, or describes one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listSystems(cmd.OutOrStdout())
			}
			s, err := answer.FindSystem(args[0])
			if err != nil {
				return errors.New("there is no such phone system; without a name, the command lists them")
			}
			return describeSystem(cmd.OutOrStdout(), s)
		},
	}
}

func listSystems(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tFORMAT\tAT MOST\tWAITS\tBUDGET\tON FAILURE\tFILTER\tSYSTEM")
	for _, s := range answer.Systems() {
		fmt.Fprintln(w, strings.Join([]string{
			s.Name, s.Format.String(), limitOf(s), waitOf(s), budgetOf(s), onFailureOf(s), filterOf(s), s.Title,
		}, "\t"))
	}
	return w.Flush()
}

func describeSystem(out io.Writer, s *answer.System) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%s\n", s.Name, s.Title)
	fmt.Fprintf(w, "format\t%s\n", s.Format)
	fmt.Fprintf(w, "at most\t%s\n", limitOf(s))
	fmt.Fprintf(w, "waits\t%s\n", waitOf(s))
	fmt.Fprintf(w, "budget\t%s\n", budgetOf(s))
	fmt.Fprintf(w, "on failure\t%s\n", onFailureOf(s))
	fmt.Fprintf(w, "filter\t%s\n", filterOf(s))
	fmt.Fprintf(w, "tested\t%s\n", s.Test)
	for _, setting := range []string{"format", "filter", "budget", "on_failure"} {
		if why := s.Why[setting]; why != "" {
			fmt.Fprintf(w, "why %s\t%s\n", setting, why)
		}
	}
	for _, note := range s.Notes {
		fmt.Fprintf(w, "note\t%s\n", note)
	}
	for _, source := range s.Sources {
		fmt.Fprintf(w, "source\t%s, %s: %s\n", source.From, source.Date, source.Says)
	}
	return w.Flush()
}

const unknown = "unknown"

func limitOf(s *answer.System) string {
	if s.Limit == 0 {
		return unknown
	}
	return fmt.Sprintf("%d bytes", s.Limit)
}

func waitOf(s *answer.System) string {
	if s.Wait == 0 {
		return unknown
	}
	return s.Wait.String()
}

func budgetOf(s *answer.System) string {
	if s.Budget == 0 {
		return "2s"
	}
	return s.Budget.String()
}

func onFailureOf(s *answer.System) string {
	if s.OnError {
		return "error"
	}
	return "default"
}

func filterOf(s *answer.System) string {
	if len(s.Filter) == 0 {
		return "none"
	}
	return strings.Join(s.Filter, " ")
}
