package command

import (
	"context"
	"fmt"
	"io"
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
	asJSON := jsonFlag(cmd)
	cmd.AddCommand(renew(), connect())
	return query(cmd, nil, func(ctx context.Context, client *adminapi.Client, out io.Writer, _ []string) error {
		list, err := client.Tokens(ctx)
		if err != nil {
			return err
		}
		return show(out, *asJSON, list, printTokens)
	})
}

func renew() *cobra.Command {
	cmd := &cobra.Command{Use: "renew NAME", Short: "Renews a token now", Args: cobra.ExactArgs(1)}
	return query(cmd, tokenNames, func(ctx context.Context, client *adminapi.Client, out io.Writer, args []string) error {
		renewed, err := client.RenewToken(ctx, args[0])
		if err != nil {
			return err
		}
		return printTokens(out, []adminapi.Token{renewed})
	})
}

func printTokens(out io.Writer, list []adminapi.Token) error {
	w, paint := newTable(out), colors(out)
	fmt.Fprintf(w, "NAME\t%s\tAGE\tLEFT\tNEXT ATTEMPT\tGENERATION\tFINGERPRINT\tLAST ERROR\n", paint.in(plain, "STATE"))
	for _, t := range list {
		next := "-"
		if !t.NextAttempt.IsZero() {
			next = "in " + max(0, time.Until(t.NextAttempt).Round(time.Second)).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", t.Name, paint.state(t.State), span(t.Obtained, time.Since(t.Obtained)),
			span(t.Expires, time.Until(t.Expires)), next, t.Generation, t.Fingerprint, t.LastError)
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
	w := newTable(out)
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
