package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) downCommand() *cobra.Command {
	req := &controlv1.DownRequest{}
	cmd := &cobra.Command{
		Use: "down [CONNECTION]", Short: "Take a connection, a child or an SA down", Args: args(0, 1, ""),
		Long:              "down deletes IKE SAs, or child SAs with --child, and waits until the peer has confirmed it.\n\n" + exitHelp,
		Example:           "  parley down west\n  parley down west --child lan\n  parley down --sa 0193f2a0-0001-7000-8000-000000000001",
		ValidArgsFunction: a.complete(connections),
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) > 0 {
				req.Connection = given[0]
			}
			if req.Connection == "" && req.Child == "" && req.Sa == "" {
				return usageError{errors.New("parley down needs a connection, --child or --sa")}
			}
			req.TimeoutMs = uint32(a.timeout.Milliseconds())
			return a.down(cmd.Context(), req)
		},
	}
	cmd.Flags().StringVar(&req.Child, "child", "", "child SAs of this name only, of the connection or of all")
	cmd.Flags().StringVar(&req.Sa, "sa", "", "the IKE SA or child SA of this UID, or of the one that begins so")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for the events")
	cmd.Flags().BoolVar(&req.NoWait, "no-wait", false, "do not wait for the peer")
	a.completeFlag(cmd, "child", children)
	a.completeFlag(cmd, "sa", uids, childUIDs)
	return cmd
}

func (a *app) down(ctx context.Context, req *controlv1.DownRequest) error {
	if a.timeout > 0 {
		a.timeout += upGrace // the server keeps the time
	}
	return a.ask(ctx, func(ctx context.Context, c *control.Client) error {
		out, err := c.Down(ctx, req)
		if err != nil {
			return err
		}
		if err := a.tellDown(req, out); err != nil {
			return err
		}
		if len(out.Pending) > 0 && !req.NoWait {
			return statusError{fmt.Errorf("%s not confirmed by the peer yet; the deletion goes on", count(len(out.Pending), "SA is", "SAs are")), exitTimeout}
		}
		return nil
	})
}

func (a *app) tellDown(req *controlv1.DownRequest, out *controlv1.DownResponse) error {
	if a.json() {
		return a.writeJSON(out)
	}
	of := ""
	if req.Connection != "" {
		of = req.Connection + ": "
	}
	for _, uid := range out.Ended {
		a.printf("%s%s is down\n", of, uid)
	}
	for _, uid := range out.Pending {
		a.printf("%s%s is going down\n", of, uid)
	}
	if len(out.Ended)+len(out.Pending) == 0 {
		a.printf("%s was not up\n", orDash(req.Connection+req.Child))
	}
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
