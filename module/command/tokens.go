package command

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-ivr/switchboard/module/adminapi"
	"github.com/switchboard-ivr/switchboard/module/token"
)

func tokens() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens",
		Short: "Shows the state of the token sources, never a token",
		Args:  cobra.NoArgs,
	}
	var asJSON bool
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	instance := newInstance(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := instance.client()
		if err != nil {
			return err
		}
		list, err := client.Tokens(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), list)
		}
		return printTokens(cmd.OutOrStdout(), list)
	}
	cmd.AddCommand(renew())
	return cmd
}

func renew() *cobra.Command {
	cmd := &cobra.Command{Use: "renew NAME", Short: "Renews a token now", Args: cobra.ExactArgs(1)}
	instance := newInstance(cmd)
	cmd.ValidArgsFunction = completing(instance.client, tokenNames)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := instance.client()
		if err != nil {
			return err
		}
		renewed, err := client.RenewToken(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return printTokens(cmd.OutOrStdout(), []adminapi.Token{renewed})
	}
	return cmd
}

func printTokens(out io.Writer, list []adminapi.Token) error {
	w, paint := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0), colors(out)
	fmt.Fprintf(w, "NAME\t%s\tAGE\tLEFT\tNEXT ATTEMPT\tGENERATION\tFINGERPRINT\tLAST ERROR\n", paint.in(plain, "STATE"))
	for _, t := range list {
		next := "-"
		if !t.NextAttempt.IsZero() {
			next = "in " + max(0, time.Until(t.NextAttempt).Round(time.Second)).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, paint.state(t.State), since(t.Obtained), until(t.Expires),
			next, strconv.FormatUint(t.Generation, 10), t.Fingerprint, t.LastError)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, t := range list {
		if t.LastError != "" && t.LastExchange != nil {
			if err := printExchange(out, t.Name, t.LastExchange); err != nil {
				return err
			}
		}
	}
	return nil
}

// printExchange prints a request to a token endpoint and its response, masked.
func printExchange(out io.Writer, name string, e *token.Exchange) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s: %s at %s\n", name, e.How, e.Time.Local().Format(time.DateTime))
	fmt.Fprintf(w, "  sent\t%s %s\n", e.Request.Method, e.Request.URL)
	if len(e.Request.Headers) > 0 {
		fmt.Fprintf(w, "  headers\t%s\n", inOneLine(e.Request.Headers))
	}
	if e.Request.Body != nil {
		fmt.Fprintf(w, "  body\t%s\n", inOneLine(e.Request.Body))
	}
	if e.Status != 0 {
		fmt.Fprintf(w, "  answer\t%d %s\n", e.Status, inOneLine(e.Answer))
	}
	if e.Error != "" {
		fmt.Fprintf(w, "  error\t%s\n", e.Error)
	}
	return w.Flush()
}

func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Round(time.Second).String()
}

func until(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Until(t).Round(time.Second).String()
}
