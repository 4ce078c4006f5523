package command

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	"github.com/switchboard-ivr/switchboard/module/token/source"
)

func dialects() *cobra.Command {
	cmd := &cobra.Command{Use: "dialects [NAME]", Short: "Lists the token dialects, or prints one", Args: cobra.MaximumNArgs(1)}
	all := source.Dialects()
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
	}
	cmd.ValidArgsFunction = oneOf(names)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		text := strings.Join(names, "\n")
		if len(args) > 0 {
			i := slices.Index(names, args[0])
			if i < 0 {
				return errors.New("there is no such dialect; run the command without a name to list them")
			}
			text = strings.TrimRight(all[i].Text, "\n")
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
		return err
	}
	return cmd
}

func systems() *cobra.Command {
	cmd := &cobra.Command{Use: "systems [NAME]", Short: "Lists the built-in phone systems, or describes one", Args: cobra.MaximumNArgs(1)}
	var names []string
	for _, s := range answer.Systems() {
		names = append(names, s.Name)
	}
	cmd.ValidArgsFunction = oneOf(names)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return listSystems(cmd.OutOrStdout())
		}
		s, err := answer.FindSystem(args[0])
		if err != nil {
			return errors.New("there is no such phone system; run the command without a name to list them")
		}
		return describeSystem(cmd.OutOrStdout(), s)
	}
	return cmd
}

func listSystems(out io.Writer) error {
	w := newTable(out)
	fmt.Fprintln(w, "NAME\tFORMAT\tAT MOST\tWAITS\tBUDGET\tON FAILURE\tFILTER\tSYSTEM")
	for _, s := range answer.Systems() {
		fmt.Fprintf(w, "%s\t", s.Name)
		for _, setting := range settingsOf(s) {
			fmt.Fprintf(w, "%s\t", setting[1])
		}
		fmt.Fprintln(w, s.Title)
	}
	return w.Flush()
}

func describeSystem(out io.Writer, s *answer.System) error {
	w := newTable(out)
	fmt.Fprintf(w, "%s\t%s\n", s.Name, s.Title)
	for _, setting := range settingsOf(s) {
		fmt.Fprintf(w, "%s\t%s\n", setting[0], setting[1])
	}
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

// settingsOf returns the settings of a phone system, each with its name.
func settingsOf(s *answer.System) [][2]string {
	limit, wait, onFailure := "unknown", "unknown", "default"
	if s.Limit > 0 {
		limit = fmt.Sprintf("%d bytes", s.Limit)
	}
	if s.Wait > 0 {
		wait = s.Wait.String()
	}
	if s.OnError {
		onFailure = "error"
	}
	return [][2]string{
		{"format", s.Format.String()},
		{"at most", limit},
		{"waits", wait},
		{"budget", cmp.Or(s.Budget, 2*time.Second).String()},
		{"on failure", onFailure},
		{"filter", cmp.Or(strings.Join(s.Filter, " "), "none")},
	}
}
