package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) redirectCommand() *cobra.Command {
	req := &controlv1.RedirectRequest{}
	cmd := &cobra.Command{
		Use: "redirect CONNECTION GATEWAY", Short: "Send clients to another gateway", Args: args(1, 2, "a connection, or --all, and a gateway"),
		Long: "redirect asks the clients of a connection to go to another gateway, by its address or DNS name (RFC 5685).\n" +
			"Those that did not say that they can be redirected stay. The events tell which.\n\n" + exitHelp,
		Example:           "  parley redirect road 192.0.2.9\n  parley redirect --all gw2.example.net",
		ValidArgsFunction: a.complete(connections),
		RunE: func(cmd *cobra.Command, given []string) error {
			if req.All == (len(given) == 2) {
				return usageError{errors.New("parley redirect needs a connection, or --all, and a gateway")}
			}
			if req.To = given[len(given)-1]; !req.All {
				req.Connection = given[0]
			}
			return a.redirect(cmd.Context(), req)
		},
	}
	cmd.Flags().BoolVar(&req.All, "all", false, "the clients of all connections")
	return cmd
}

func (a *app) redirect(ctx context.Context, req *controlv1.RedirectRequest) error {
	return a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		out, err := c.Redirect(ctx, req)
		if err != nil {
			return err
		}
		if a.json() {
			return a.writeJSON(out)
		}
		a.printf("%s told of %s\n", count(int(out.Sas), "IKE SA is", "IKE SAs are"), req.To)
		return nil
	})
}
