package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) eventsCommand() *cobra.Command {
	cmd := group("events", "Follow what happens", "events shows the events of the daemon, the same that are mirrored to NATS.\n\n"+exitHelp)
	cmd.AddCommand(a.tailCommand())
	return cmd
}

var severities = []string{"debug", "info", "notice", "warning", "error", "critical"}

func (a *app) tailCommand() *cobra.Command {
	req := &controlv1.EventsRequest{}
	var since string
	cmd := &cobra.Command{
		Use: "tail", Short: "Show the last events and follow the new ones", Args: args(0, 0, ""), ValidArgsFunction: cobra.NoFileCompletions,
		Long: "tail shows events until it is interrupted. With -o json it writes one CloudEvent in a line, with -o wide also the number\n" +
			"and the IKE SA of each event.\n\n" + exitHelp,
		Example: "  parley events tail --filter 'ike_sa.*' --filter 'child_sa.*'\n  parley events tail --severity warning --since 10m --no-follow\n  parley events tail -o json --conn west",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since != "" {
				from, err := a.instant(since)
				if err != nil {
					return usageError{err}
				}
				req.Since = timestamppb.New(from)
				if !cmd.Flags().Changed("lines") {
					req.Backlog = 0
				}
			}
			return a.connect(cmd.Context(), func(ctx context.Context, c *control.Client) error { return a.tail(ctx, c, req) })
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&req.Names, "filter", nil, "names of events, with * and ?: 'ike_sa.*'")
	f.StringVar(&req.Severity, "severity", "info", "at least this: "+strings.Join(severities, ", "))
	f.StringVar(&req.Connection, "conn", "", "of this connection only")
	f.Uint32VarP(&req.Backlog, "lines", "n", 10, "how many of the past events to begin with")
	f.StringVar(&since, "since", "", "begin with the past events from then on: 10m, or 2026-11-21T01:53:33Z")
	f.BoolVar(&req.NoFollow, "no-follow", false, "end after the past events")
	_ = cmd.RegisterFlagCompletionFunc("severity", cobra.FixedCompletions(severities, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("filter", cobra.NoFileCompletions)
	a.completeFlag(cmd, "conn", connections)
	return cmd
}

// instant reads a duration before now, or a time.
func (a *app) instant(s string) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return a.now().Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("--since %q is neither a duration such as 10m nor a time such as 2026-11-21T01:53:33Z", s)
}

func (a *app) tail(ctx context.Context, c *control.Client, req *controlv1.EventsRequest) error {
	following := ctx
	if a.timeout > 0 {
		var cancel context.CancelFunc
		following, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	stream, err := c.Events(following, req)
	if err != nil {
		return err
	}
	for {
		e, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF), ctx.Err() != nil, errors.Is(following.Err(), context.DeadlineExceeded):
			return nil // interrupted, or the time is over: what was asked for
		case err != nil:
			return err
		case a.json():
			a.printf("%s\n", e.Json)
		default:
			a.printf("%s\n", a.eventLine(e))
		}
	}
}

// eventLine shows an event in one line.
func (a *app) eventLine(e *controlv1.Event) string {
	at := e.Time.AsTime().UTC().Format("15:04:05.000")
	if a.wide() {
		at = fmt.Sprintf("%8d %s", e.Sequence, e.Time.AsTime().UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	line := fmt.Sprintf("%s %s %-29s ", a.paint(control.Faint, at), a.severity(e.Severity), e.Name)
	if e.Connection != "" {
		line += a.paint(control.Headline, e.Connection) + ": "
	}
	line += e.Text
	if a.wide() && e.IkeUid != "" {
		line += a.paint(control.Faint, " ["+e.IkeUid+"]")
	}
	return line
}

func (a *app) severity(s string) string {
	padded := fmt.Sprintf("%-8s", s)
	switch s {
	case "debug":
		return a.paint(control.Faint, padded)
	case "warning", "error", "critical":
		return a.paint(control.Bad, padded)
	}
	return padded
}
