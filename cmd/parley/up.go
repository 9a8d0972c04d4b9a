package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) upCommand() *cobra.Command {
	req := &controlv1.UpRequest{}
	cmd := &cobra.Command{
		Use: "up CONNECTION", Short: "Bring a connection up", Args: args(1, 1, "the name of a connection"),
		Long: "up negotiates a connection, shows what happens meanwhile, and explains a failure. What is up already stays as it is; an\n" +
			"attempt that is under way is followed.\n\n" + exitHelp,
		Example:           "  parley up west\n  parley up west --child lan --timeout 20s",
		ValidArgsFunction: a.complete(connections),
		RunE: func(cmd *cobra.Command, given []string) error {
			req.Connection, req.TimeoutMs = given[0], uint32(a.timeout.Milliseconds())
			return a.connect(cmd.Context(), func(ctx context.Context, c *control.Client) error { return a.up(ctx, c, req) })
		},
	}
	cmd.Flags().StringSliceVar(&req.Children, "child", nil, "children to bring up (default: the first)")
	cmd.Flags().BoolVar(&req.NoWait, "no-wait", false, "return when the attempt has begun")
	a.completeFlag(cmd, "child", children)
	return cmd
}

// upGrace is how much longer than the server we wait for its verdict.
const upGrace = 10 * time.Second

func (a *app) up(ctx context.Context, c *control.Client, req *controlv1.UpRequest) error {
	if a.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.timeout+upGrace)
		defer cancel()
	}
	stream, err := c.Up(ctx, req)
	if err != nil {
		return err
	}
	verdict, err := a.progress(stream)
	if err != nil {
		return err
	}
	return a.verdict(req.Connection, verdict)
}

// progress shows the events and returns the verdict.
func (a *app) progress(stream grpc.ServerStreamingClient[controlv1.UpResponse]) (*controlv1.Verdict, error) {
	for {
		r, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errors.New("the daemon ended without a verdict")
		case err != nil:
			return nil, err
		case r.GetVerdict() != nil:
			return r.GetVerdict(), nil
		case !a.json() && (a.wide() || r.GetEvent().Severity != "debug"):
			a.printf("%s\n", a.eventLine(r.GetEvent()))
		}
	}
}

// verdict shows how it ended.
func (a *app) verdict(conn string, v *controlv1.Verdict) error {
	if a.json() {
		if err := a.writeJSON(v); err != nil {
			return err
		}
	}
	result := v.Result
	if !a.json() {
		if err := a.tellVerdict(conn, v); err != nil {
			return err
		}
	}
	switch result {
	case controlv1.Verdict_UP, controlv1.Verdict_ALREADY_UP, controlv1.Verdict_STARTED:
		return nil
	case controlv1.Verdict_TIMED_OUT:
		return statusError{fmt.Errorf("%s is not up after %v; the attempt goes on", conn, a.timeout), exitTimeout}
	}
	return failedError{}
}

func (a *app) tellVerdict(conn string, v *controlv1.Verdict) error {
	switch v.Result {
	case controlv1.Verdict_UP, controlv1.Verdict_ALREADY_UP:
		already := ""
		if v.Result == controlv1.Verdict_ALREADY_UP {
			already = " already"
		}
		a.printf("%s\n", a.paint(control.Good, fmt.Sprintf("%s is up%s", conn, already)))
		for _, child := range v.GetSa().GetChildren() {
			a.printf("  %s: %s <-> %s, %s\n", child.Name, list(child.LocalTs), list(child.RemoteTs), child.Suite)
		}
		return nil
	case controlv1.Verdict_STARTED:
		a.printf("%s: the attempt has begun, IKE SA %s\n", conn, v.IkeUid)
		return nil
	}
	a.printf("\n")
	return control.WriteExplanation(a.out, v.Explanation, a.paint)
}
