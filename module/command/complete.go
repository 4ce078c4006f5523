package command

import (
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

type completion func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective)

// completing returns a completion that queries a running instance. It offers
// nothing if none responds.
func completing(client func() (*adminapi.Client, error), names func(ctx context.Context, c *adminapi.Client, args []string) ([]string, error)) completion {
	return func(cmd *cobra.Command, args []string, toComplete string) (found []cobra.Completion, how cobra.ShellCompDirective) {
		how = cobra.ShellCompDirectiveNoFileComp
		c, err := client()
		if err != nil {
			return nil, how
		}
		parent := cmd.Context()
		if parent == nil {
			parent = context.Background()
		}
		ctx, cancel := context.WithTimeout(parent, completionTime)
		defer cancel()
		all, err := names(ctx, c, args)
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
func apiNames(more ...string) func(context.Context, *adminapi.Client, []string) ([]string, error) {
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
			if !given(args[1:], param) {
				params = append(params, param+"=")
			}
		}
	}
	return params, err
}

func given(args []string, param string) bool {
	for _, arg := range args {
		if strings.HasPrefix(arg, param+"=") {
			return true
		}
	}
	return false
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
func oneOf(names ...string) completion {
	return func(_ *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		other := func(name string) bool { return !strings.HasPrefix(name, toComplete) }
		return slices.DeleteFunc(slices.Clone(names), other), cobra.ShellCompDirectiveNoFileComp
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
