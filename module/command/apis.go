package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/internal/answer"
	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/token"
)

func apis() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apis [NAME]",
		Short: "Shows the state of all APIs, failing ones first",
		Long: `Shows the state of all APIs, failing ones first: the share of real answers in the
last hour, the 99th percentile of the response time, the breaker, whether an operator
has put the API on hold, since when it is degraded (callers get stale answers, defaults
or errors), and the last outcome. Tests are not counted.

With a name, it shows that API only, with its describe and param lines, and the
outcomes of its calls in the last hour.`,
		Args: cobra.MaximumNArgs(1),
	}
	var asJSON bool
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	instance := newInstance(cmd)
	cmd.ValidArgsFunction = completing(instance.client, apiNames())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := instance.client()
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if len(args) > 0 {
			return printAPI(cmd.Context(), out, client, args[0], asJSON)
		}
		list, err := client.APIs(cmd.Context())
		if err != nil {
			return err
		}
		slices.SortStableFunc(list, byTrouble)
		if asJSON {
			return printJSON(out, list)
		}
		return printAPIs(out, list)
	}
	return cmd
}

func printAPI(ctx context.Context, out io.Writer, client *adminapi.Client, name string, asJSON bool) error {
	api, err := client.API(ctx, name)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, api)
	}
	hour, err := client.Hour(ctx, name)
	if err != nil {
		return err
	}
	if err := printAPIs(out, []adminapi.API{api}); err != nil {
		return err
	}
	if err := printParameters(out, api); err != nil || hour.Calls == 0 {
		return err
	}
	w, paint := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0), colors(out)
	fmt.Fprintf(w, "\n%s\tCALLS\tOF 100\n", paint.in(plain, "OUTCOME"))
	outcomes := slices.Sorted(maps.Keys(hour.Outcomes))
	slices.SortStableFunc(outcomes, func(a, b string) int { return cmp.Compare(hour.Outcomes[b], hour.Outcomes[a]) })
	for _, outcome := range outcomes {
		n := hour.Outcomes[outcome]
		fmt.Fprintf(w, "%s\t%d\t%.1f\n", paint.outcome(outcome), n, 100*float64(n)/float64(hour.Calls))
	}
	return w.Flush()
}

// printParameters prints the description of an API and its params, if there are
// any.
func printParameters(out io.Writer, api adminapi.API) error {
	if api.Description != "" {
		fmt.Fprintf(out, "\n%s\n", api.Description)
	}
	if len(api.Parameters) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nPARAM\tREQUIRED\tEXAMPLE\tMEANING")
	for _, param := range api.Parameters {
		required := "no"
		if param.Required {
			required = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", param.Name, required, cmp.Or(param.Example, "-"), cmp.Or(param.Meaning, "-"))
	}
	return w.Flush()
}

// byTrouble orders APIs: first those whose callers get no answer, then those that
// often give no real answers.
func byTrouble(a, b adminapi.API) int {
	return cmp.Or(cmp.Compare(trouble(a), trouble(b)), cmp.Compare(realShare(a), realShare(b)), cmp.Compare(a.Name, b.Name))
}

func trouble(api adminapi.API) int {
	switch {
	case api.Breaker == "open":
		return 0
	case api.Degraded && !api.Held:
		return 1
	case api.Held:
		return 2
	case api.Breaker == "half-open":
		return 3
	default:
		return 4
	}
}

func realShare(api adminapi.API) float64 {
	if api.Real == nil {
		return 1
	}
	return *api.Real
}

func printAPIs(out io.Writer, list []adminapi.API) error {
	w, paint := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0), colors(out)
	fmt.Fprintf(w, "NAME\t%s\tREAL ANSWERS\tCALLS\tP99\t%s\tDEGRADED SINCE\t%s\tLAST CALL\n",
		paint.in(plain, "STATE"), paint.in(plain, "BREAKER"), paint.in(plain, "LAST OUTCOME"))
	for _, api := range list {
		p99 := "-"
		if api.Calls > 0 {
			p99 = fmt.Sprintf("%.0f ms", api.P99)
			if api.P99 < 10 {
				p99 = fmt.Sprintf("%.1f ms", api.P99)
			}
		}
		share := "-"
		if api.Real != nil {
			share = fmt.Sprintf("%.1f %%", 100**api.Real)
		}
		last := "-"
		if !api.LastCall.IsZero() {
			last = since(api.LastCall) + " ago"
		}
		degraded := "-"
		if api.Degraded {
			degraded = api.DegradedSince.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", api.Name, paint.state(stateOf(api)), share, api.Calls, p99,
			paint.state(cmp.Or(api.Breaker, "-")), degraded, paint.in(colorOfOutcome(api.LastOutcome), cmp.Or(api.LastOutcome, "-")), last)
	}
	return w.Flush()
}

// stateOf returns the state of an API in a word or two.
func stateOf(api adminapi.API) string {
	var words []string
	if api.Held {
		words = append(words, "held")
	}
	if api.Breaker == "open" {
		words = append(words, "breaker open")
	}
	if api.Degraded && len(words) == 0 {
		words = append(words, "degraded")
	}
	switch {
	case len(words) > 0:
		return strings.Join(words, ", ")
	case api.Calls == 0:
		return "idle"
	default:
		return "ok"
	}
}

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

func last() *cobra.Command {
	var callID string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "last NAME",
		Short: "Shows the last failed calls of an API",
		Long: `Shows the last failed calls of an API, newest first. The running instance keeps 50
of them in memory, masked. With --call, those of one phone call are shown step by step.`,
		Args: cobra.ExactArgs(1),
	}
	instance := newInstance(cmd)
	cmd.ValidArgsFunction = completing(instance.client, apiNames(switchboard.LookupName))
	cmd.Flags().StringVar(&callID, "call", "", "`id` of a phone call")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
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
			return errors.New("no failed call with this id is kept")
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

func dialects() *cobra.Command {
	var names []string
	for _, d := range token.Dialects() {
		names = append(names, d.Name)
	}
	return &cobra.Command{
		ValidArgsFunction: oneOf(names...),

		Use:   "dialects [NAME]",
		Short: "Lists the token dialects, or prints one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, d := range token.Dialects() {
				switch {
				case len(args) == 0:
					fmt.Fprintln(cmd.OutOrStdout(), d.Name)
				case d.Name == args[0]:
					_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(d.Text, "\n"))
					return err
				}
			}
			if len(args) > 0 {
				return errors.New("there is no such dialect; run the command without a name to list them")
			}
			return nil
		},
	}
}

func systems() *cobra.Command {
	var names []string
	for _, s := range answer.Systems() {
		names = append(names, s.Name)
	}
	return &cobra.Command{
		ValidArgsFunction: oneOf(names...),

		Use:   "systems [NAME]",
		Short: "Lists the built-in phone systems, or describes one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listSystems(cmd.OutOrStdout())
			}
			s, err := answer.FindSystem(args[0])
			if err != nil {
				return errors.New("there is no such phone system; run the command without a name to list them")
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
