package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) rekeyCommand() *cobra.Command {
	req := &controlv1.RekeyRequest{}
	cmd := &cobra.Command{
		Use: "rekey [CONNECTION[/CHILD]]", Short: "Replace an IKE SA, or a child SA, by a new one", Args: args(0, 1, ""),
		Long: "rekey makes a new IKE SA inside the old one, with the same children and without authentication, or with a child's name\n" +
			"a new child SA, and waits until it has taken the place of the old one. It happens by itself when an SA gets old.\n\n" + exitHelp,
		Example:           "  parley rekey west\n  parley rekey west/lan\n  parley rekey --sa 0193f2a0-0001-7000-8000-000000000001",
		ValidArgsFunction: a.complete(connections),
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) > 0 {
				req.Connection, req.Child, _ = strings.Cut(given[0], "/")
			}
			if (req.Connection == "") == (req.Sa == "") {
				return usageError{errors.New("parley rekey needs a connection or --sa, and not both")}
			}
			req.TimeoutMs = uint32(a.timeout.Milliseconds())
			return a.rekey(cmd.Context(), req)
		},
	}
	cmd.Flags().StringVar(&req.Sa, "sa", "", "the IKE SA or child SA of this UID, or of the one that begins so")
	cmd.Flags().BoolVar(&req.NoWait, "no-wait", false, "do not wait for the peer")
	a.completeFlag(cmd, "sa", uids, childUIDs)
	return cmd
}

func (a *app) rekey(ctx context.Context, req *controlv1.RekeyRequest) error {
	if a.timeout > 0 {
		a.timeout += upGrace // the server keeps the time
	}
	return a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		out, err := c.Rekey(ctx, req)
		if err != nil {
			return err
		}
		if a.json() {
			if err := a.writeJSON(out); err != nil {
				return err
			}
		} else {
			for _, r := range out.Rekeyed {
				a.printf("%s took the place of %s\n", r.Uid, r.Prev)
			}
		}
		if len(out.Pending) > 0 && !req.NoWait {
			return statusError{fmt.Errorf("%s not replaced yet; `parley explain` may tell why", count(len(out.Pending), "SA is", "SAs are")), exitTimeout}
		}
		return nil
	})
}
