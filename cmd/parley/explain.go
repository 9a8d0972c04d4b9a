package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain CONNECTION|ADDRESS", Short: "Say why a connection did not come up", Args: args(1, 1, "the name of a connection, or the address of a peer"),
		ValidArgsFunction: a.complete(connections),
		Long: "explain tells the last attempt of a connection: what happened step by step, what both sides proposed, and which line of\n" +
			"the configuration to change. With an address it tells the last attempt from there that matched no connection.\n\n" + exitHelp,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				e, err := c.Explain(ctx, &controlv1.ExplainRequest{Target: given[0]})
				switch {
				case err != nil:
					return err
				case a.json():
					return a.writeJSON(e)
				}
				return control.WriteExplanation(a.out, e, a.paint)
			})
		},
	}
}
