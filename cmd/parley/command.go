package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/cmd/internal/manual"
)

func (a *app) command() *cobra.Command {
	root := group("parley", "Control the Parley IKE daemon",
		"parley brings IPsec tunnels up and down, shows what the daemon does, and explains why a tunnel did not come up.\n\n"+exitHelp)
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = false
	flags := root.PersistentFlags()
	flags.StringVar(&a.socket, "socket", socketOf(), "control socket of the daemon, also $PARLEY_SOCKET")
	flags.StringVarP(&a.output, "output", "o", "table", "table, wide or json")
	flags.BoolVar(&a.noHeaders, "no-headers", false, "no headers in tables")
	flags.DurationVar(&a.timeout, "timeout", 0, "how long to wait, such as 30s (default: 15s, for up until the attempt ends)")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "wide", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		switch {
		case a.output != "table" && a.output != "wide" && a.output != "json":
			return usageError{fmt.Errorf("unknown output %q: use table, wide or json", a.output)}
		case a.timeout < 0:
			return usageError{fmt.Errorf("--timeout %v is negative", a.timeout)}
		}
		return nil
	}
	root.AddCommand(a.upCommand(), a.downCommand(), a.rekeyCommand(), a.reauthCommand(), a.redirectCommand(), a.statusCommand(), a.saCommand(), a.eventsCommand(), a.pluginCommand(), a.poolCommand(),
		a.explainCommand(), a.reloadCommand(), a.replayCommand(), a.versionCommand(), manual.Command(args(1, 1, "a folder")))
	return root
}

// group is a command that only has others below it.
func group(use, short, long string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) > 0 {
				return usageError{fmt.Errorf("unknown command %q for %q%s", given[0], cmd.CommandPath(), suggestion(cmd, given[0]))}
			}
			if cmd.HasParent() {
				return usageError{fmt.Errorf("%s needs a command: %s", cmd.CommandPath(), strings.Join(below(cmd), ", "))}
			}
			return cmd.Help()
		}}
}

func below(cmd *cobra.Command) (names []string) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

func suggestion(cmd *cobra.Command, word string) string {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return fmt.Sprintf(": did you mean %q?", near[0])
	}
	return ": there are " + strings.Join(below(cmd), ", ")
}
