package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
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
	asJSON := jsonFlag(cmd)
	return query(cmd, apiNames(), func(ctx context.Context, client *adminapi.Client, out io.Writer, args []string) error {
		if len(args) > 0 {
			return printAPI(ctx, out, client, args[0], *asJSON)
		}
		list, err := client.APIs(ctx)
		if err != nil {
			return err
		}
		slices.SortStableFunc(list, byTrouble)
		return show(out, *asJSON, list, printAPIs)
	})
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
	w, paint := newTable(out), colors(out)
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
	w := newTable(out)
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
	w, paint := newTable(out), colors(out)
	fmt.Fprintf(w, "NAME\t%s\tREAL ANSWERS\tCALLS\tP99\t%s\tDEGRADED SINCE\t%s\tLAST CALL\n",
		paint.in(plain, "STATE"), paint.in(plain, "BREAKER"), paint.in(plain, "LAST OUTCOME"))
	for _, api := range list {
		p99, share, last, degraded := "-", "-", "-", "-"
		switch {
		case api.Calls > 0 && api.P99 < 10:
			p99 = fmt.Sprintf("%.1f ms", api.P99)
		case api.Calls > 0:
			p99 = fmt.Sprintf("%.0f ms", api.P99)
		}
		if api.Real != nil {
			share = fmt.Sprintf("%.1f %%", 100**api.Real)
		}
		if !api.LastCall.IsZero() {
			last = span(api.LastCall, time.Since(api.LastCall)) + " ago"
		}
		if api.Degraded {
			degraded = api.DegradedSince.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", api.Name, paint.state(stateOf(api)), share, api.Calls, p99,
			paint.state(cmp.Or(api.Breaker, "-")), degraded, paint.outcome(cmp.Or(api.LastOutcome, "-")), last)
	}
	return w.Flush()
}

// stateOf returns the state of an API in a word or two.
func stateOf(api adminapi.API) string {
	switch {
	case api.Held && api.Breaker == "open":
		return "held, breaker open"
	case api.Held:
		return "held"
	case api.Breaker == "open":
		return "breaker open"
	case api.Degraded:
		return "degraded"
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
	return query(cmd, apiNames(), func(ctx context.Context, client *adminapi.Client, out io.Writer, args []string) error {
		api, err := do(client, ctx, args[0])
		if err != nil {
			return err
		}
		state := "called again"
		if api.Held {
			state = "held"
		}
		_, err = fmt.Fprintln(out, api.Name, "is", colors(out).state(state))
		return err
	})
}

func last() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "last NAME",
		Short: "Shows the last failed calls of an API",
		Long: `Shows the last failed calls of an API, newest first. The running instance keeps 50
of them in memory, masked. With --call, those of one phone call are shown step by step.`,
		Args: cobra.ExactArgs(1),
	}
	callID := cmd.Flags().String("call", "", "`id` of a phone call")
	asJSON := jsonFlag(cmd)
	return query(cmd, apiNames(switchboard.LookupName), func(ctx context.Context, client *adminapi.Client, out io.Writer, args []string) error {
		failures, err := client.Failures(ctx, args[0], *callID)
		switch {
		case err != nil:
			return err
		case *asJSON:
			return printJSON(out, failures)
		case len(failures) == 0 && *callID != "":
			return errors.New("no failed call with this id is kept")
		}
		paint := colors(out)
		for _, t := range failures {
			if *callID != "" {
				err = printTrace(out, t)
			} else {
				_, err = fmt.Fprintf(out, "%s  %s  %8.1f ms  %s  %s\n", t.Time.Local().Format(time.DateTime),
					paint.outcome(fmt.Sprintf("%-13s", t.Outcome)), t.MS, t.CallID, t.Reason)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
