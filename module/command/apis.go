package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

func apis() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apis [NAME]",
		Short: "Shows the state of all APIs, those in trouble first",
		Long: `Shows the state of all APIs, those in trouble first: the share of calls in the
last hour that the API answered itself, the time within which 99 of 100 calls
ended, its breaker, whether an operator holds it, since when its answers are older
ones, defaults or errors, and how its last call ended. Tests are not counted.

With a name, that of one API, with what its describe and param lines say, and how
its calls of the last hour ended.`,
		Args: cobra.MaximumNArgs(1),
	}
	var asJSON bool
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
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

// printParameters shows what an API is for and what a caller gives, where its
// configuration says so.
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

// byTrouble orders APIs: whose callers get no answer, then those whose answers are
// often not their own.
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

// stateOf is the state of an API in a word or two.
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
