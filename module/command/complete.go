package command

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	switchboard "github.com/switchboard-ivr/switchboard/module"
	"github.com/switchboard-ivr/switchboard/module/adminapi"
)

// completionTime is how long the shell waits for names from a running instance.
const completionTime = 500 * time.Millisecond

// names returns what can follow args.
type names func(ctx context.Context, c *adminapi.Client, args []string) ([]string, error)

// completing returns a completion that queries a running instance. It offers
// nothing if none responds.
func completing(client func() (*adminapi.Client, error), complete names) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) (found []cobra.Completion, how cobra.ShellCompDirective) {
		how = cobra.ShellCompDirectiveNoFileComp
		c, err := client()
		if err != nil {
			return nil, how
		}
		ctx, cancel := context.WithTimeout(cmp.Or(cmd.Context(), context.Background()), completionTime)
		defer cancel()
		all, err := complete(ctx, c, args)
		if err != nil {
			return nil, how
		}
		for _, name := range all {
			if strings.HasPrefix(name, toComplete) {
				found = append(found, name)
			}
			if strings.HasSuffix(name, "=") {
				how |= cobra.ShellCompDirectiveNoSpace
			}
		}
		return found, how
	}
}

// apiNames completes the name of an API, or one of the additional words.
func apiNames(more ...string) names {
	return func(ctx context.Context, c *adminapi.Client, args []string) ([]string, error) {
		if len(args) > 0 {
			return nil, nil
		}
		list, err := c.APIs(ctx)
		names := more
		for _, api := range list {
			names = append(names, api.Name)
		}
		return names, err
	}
}

// testArguments completes the name of an API or lookup, then its params.
func testArguments(ctx context.Context, c *adminapi.Client, args []string) ([]string, error) {
	if len(args) == 0 {
		return apiNames(switchboard.LookupName)(ctx, c, args)
	}
	list, err := c.APIs(ctx)
	var params []string
	for _, api := range list {
		if api.Name != args[0] {
			continue
		}
		for _, param := range api.Params {
			if !slices.ContainsFunc(args[1:], func(arg string) bool { return strings.HasPrefix(arg, param+"=") }) {
				params = append(params, param+"=")
			}
		}
	}
	return params, err
}

func tokenNames(ctx context.Context, c *adminapi.Client, args []string) ([]string, error) {
	if len(args) > 0 {
		return nil, nil
	}
	list, err := c.Tokens(ctx)
	var names []string
	for _, token := range list {
		names = append(names, token.Name)
	}
	return names, err
}

// oneOf completes the only argument of a command.
func oneOf(names []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, toComplete string) (found []cobra.Completion, how cobra.ShellCompDirective) {
		for _, name := range names {
			if len(args) == 0 && strings.HasPrefix(name, toComplete) {
				found = append(found, name)
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeRest adds the completions that don't need an instance to the
// subcommands: formats, and that ids aren't files.
func completeRest(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		completeRest(sub)
	}
	if cmd.Flags().Lookup("format") != nil {
		_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]cobra.Completion{"csv", "ndjson"}, cobra.ShellCompDirectiveNoFileComp))
	}
	takesFile := cmd.Name() == "import" || cmd.Name() == "export" || cmd.Name() == "cases"
	if cmd.ValidArgsFunction == nil && !takesFile {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
}
