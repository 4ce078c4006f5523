package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// tester makes test calls: by a running instance, or with a configuration that is
// provisioned for them.
type tester struct{ *instance }

func newTester(cmd *cobra.Command) tester {
	t := tester{newInstance(cmd)}
	cmd.Flag("config").Usage = "configuration `file` to provision for the test, without servers; default: ask a running instance"
	cmd.Flag("address").Usage = "`address` of a running instance's admin API; default: that of the Caddyfile here, or localhost:2019"
	return t
}

// calls returns the function that makes a call.
func (t *tester) calls() (func(ctx context.Context, api string, call adminapi.Test) (adminapi.Trace, error), error) {
	if t.config == "" {
		client, err := t.client()
		if err != nil {
			return nil, err
		}
		return client.Test, nil
	}
	if t.address != "" {
		return nil, errors.New("--config provisions a configuration, --address uses a running instance; give only one of them")
	}
	config, _, _, err := caddycmd.LoadConfig(t.config, t.adapter)
	if err != nil {
		return nil, err
	}
	app, err := switchboard.ProvisionStandalone(config)
	if err != nil {
		return nil, err
	}
	return app.Operator().Test, nil
}

func test() *cobra.Command {
	var call adminapi.Test
	var headers []string
	cmd := &cobra.Command{
		Use:   "test NAME [PARAM=VALUE…]",
		Short: "Calls an API as a phone system would, and shows each step",
		Long: `Calls an API exactly as in production, from the handler on, and shows what each step
did. Secrets, telephone numbers and email addresses are masked in the steps; the answer
is shown as the phone system gets it.

A call that may change something (a method other than GET and HEAD, without a cache)
stops before the API, unless --live is given.

A test is not traffic: it counts in no metric, and affects neither the API's state nor
its breaker.

The exit status is 1 if the API gave no answer.`,
		Args: cobra.MinimumNArgs(1),
	}
	t := newTester(cmd)
	cmd.ValidArgsFunction = completing(t.client, testArguments)
	asJSON := jsonFlag(cmd)
	cmd.Flags().BoolVar(&call.DryRun, "dry-run", false, "stop before the API is called")
	cmd.Flags().BoolVar(&call.NoCache, "no-cache", false, "bypass the cache")
	cmd.Flags().BoolVar(&call.FreshToken, "fresh-token", false, "renew the token first")
	cmd.Flags().BoolVar(&call.Live, "live", false, "call the API even if that may change something")
	cmd.Flags().StringVar(&call.Method, "method", "", "`method` of the phone system's request; default: GET")
	cmd.Flags().StringVar(&call.Path, "path", "", "`path` of the request; default: /")
	cmd.Flags().StringArrayVar(&headers, "header", nil, "a `header` of the request, e.g. \"X-Tenant: 42\"")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if call.Params, err = paramsOf(args[1:]); err != nil {
			return err
		}
		if call.Headers, err = headersOf(headers); err != nil {
			return err
		}
		do, err := t.calls()
		if err != nil {
			return err
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		trace, err := do(ctx, args[0], call)
		if err != nil {
			return err
		}
		err = show(cmd.OutOrStdout(), *asJSON, trace, printTrace)
		if err == nil && !answered(trace) {
			err = fmt.Errorf("%s: %s", trace.API, trace.Outcome)
		}
		return err
	}
	return cmd
}

// answered reports whether a call succeeded, or a dry run reached its end.
func answered(t adminapi.Trace) bool {
	return slices.Contains([]string{"ok", "not_found", "ambiguous", "dry_run"}, t.Outcome)
}

func paramsOf(args []string) (map[string]any, error) {
	params := make(map[string]any, len(args))
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not a valid param; write NAME=VALUE, e.g. tel=13800138000", arg)
		}
		params[name] = value
	}
	return params, nil
}

func headersOf(lines []string) (map[string]string, error) {
	headers := make(map[string]string, len(lines))
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%q is not a valid header; write NAME: VALUE, e.g. \"X-Tenant: 42\"", line)
		}
		headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return headers, nil
}

// printTrace prints a call for people: a line for each step, followed by its
// input and output.
func printTrace(out io.Writer, t adminapi.Trace) error {
	w, paint := newTable(out), colors(out)
	fmt.Fprintf(w, "%s: %s in %.1f ms, call %s\n\n", t.API, paint.outcome(t.Outcome), t.MS, t.CallID)
	printSteps(w, paint, t.Steps, "")
	if t.Reason != "" {
		fmt.Fprintf(w, "\nreason\t%s\n", t.Reason)
	}
	if t.Check != "" {
		fmt.Fprintf(w, "check\t%s\n", t.Check)
	}
	if len(t.Answer) > 0 {
		fmt.Fprintf(w, "\nanswer\t%d\t%s\n", t.Status, t.Answer)
	}
	return w.Flush()
}

// printSteps prints steps. Those of a part of a chain are indented below it.
func printSteps(w io.Writer, paint painter, steps []adminapi.Step, indent string) {
	for _, step := range steps {
		fmt.Fprintf(w, "%s%s\t%s\t%.1f ms\n", indent, step.Step, paint.outcome(step.Outcome), step.MS)
		for _, part := range []struct {
			name string
			v    any
		}{{"in", step.In}, {"out", step.Out}} {
			if part.v != nil {
				fmt.Fprintf(w, "%s  %s\t%s\n", indent, part.name, inOneLine(part.v))
			}
		}
		if step.Note != "" {
			fmt.Fprintf(w, "%s  note\t%s\n", indent, step.Note)
		}
		printSteps(w, paint, step.Steps, indent+"    ")
	}
}
