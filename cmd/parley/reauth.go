package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) reauthCommand() *cobra.Command {
	req := &controlv1.ReauthenticateRequest{}
	cmd := &cobra.Command{
		Use: "reauth [CONNECTION]", Short: "Repeat the authentication of a connection", Args: args(0, 1, ""),
		Long: "reauth makes a new IKE SA with the same children, and deletes the old one when they are up.\n" +
			"Where the peer began the IKE SA it is asked to do so. The events tell what becomes of it.\n\n" + exitHelp,
		Example:           "  parley reauth west\n  parley reauth --sa 0193f2a0-0001-7000-8000-000000000001",
		ValidArgsFunction: a.complete(connections),
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) > 0 {
				req.Connection = given[0]
			}
			if (req.Connection == "") == (req.Sa == "") {
				return usageError{errors.New("parley reauth needs a connection or --sa, and not both")}
			}
			return a.reauth(cmd.Context(), req)
		},
	}
	cmd.Flags().StringVar(&req.Sa, "sa", "", "the IKE SA of this UID, or of the one that begins so")
	a.completeFlag(cmd, "sa", uids)
	return cmd
}

func (a *app) reauth(ctx context.Context, req *controlv1.ReauthenticateRequest) error {
	return a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		out, err := c.Reauthenticate(ctx, req)
		if err != nil {
			return err
		}
		if a.json() {
			return a.writeJSON(out)
		}
		for _, uid := range out.Begun {
			a.printf("%s is being replaced by a new IKE SA\n", uid)
		}
		for _, uid := range out.Asked {
			a.printf("%s: the peer began it and is asked to reauthenticate\n", uid)
		}
		return nil
	})
}
