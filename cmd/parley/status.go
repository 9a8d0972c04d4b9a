package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the daemon and its connections", Args: args(0, 0, ""), ValidArgsFunction: cobra.NoFileCompletions,
		Long: "status shows the daemon, where it sends events, which SA backend it chose and why, which policies\n" +
			"are not in force, and its connections; for one that is\n" +
			"down or waiting for traffic, why its last attempt failed.\n\n" + exitHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				s, err := c.Status(ctx, &controlv1.StatusRequest{})
				if err != nil {
					return err
				}
				return a.status(s)
			})
		},
	}
}

func (a *app) status(s *controlv1.StatusResponse) error {
	if a.json() {
		return a.writeJSON(s)
	}
	a.printf("%s, up %s, pid %d\n", a.paint(control.Headline, fmt.Sprintf("parleyd %s on %s", s.Version, s.Node)),
		duration(time.Duration(s.UptimeSeconds)*time.Second), s.Pid)
	n := s.Counts
	facts := [][]string{
		{"config", orDash(s.Config)},
		{"listening", orDash(strings.Join(s.Listen, ", "))},
		{"SA backend", backend(s.Backend)},
		{"events", nats(s.Nats)},
		{"SAs", fmt.Sprintf("%d IKE (%d established, %d half-open), %d child", n.GetIkeSas(), n.GetEstablished(), n.GetHalfOpen(), n.GetChildSas())},
		{"plugins", fmt.Sprintf("%d of %d up", n.GetPluginsUp(), n.GetPlugins())},
	}
	for _, text := range s.Backend.GetUnset() {
		facts = append(facts, []string{"NOT SET", text})
	}
	a.printf("%s", control.Table{Indent: "  ", Rows: facts, Wrap: factWidth}.Lines())
	if len(s.Connections) == 0 {
		a.printf("\nno connections are configured\n")
		return nil
	}
	a.printf("\n")
	return a.connectionTable(s.Connections)
}

// factWidth is the width of a fact: why an SA backend cannot be used takes some lines.
const factWidth = 100

func backend(b *controlv1.Backend) string {
	switch {
	case b.GetName() != "":
		return b.Name + ": " + b.Reason
	case b.GetReason() != "":
		return "none: " + b.Reason
	}
	return "none yet"
}

func nats(n *controlv1.NATS) string {
	switch {
	case n.GetMode() == "" || n.GetMode() == "off":
		return "not mirrored to NATS"
	case n.Connected && n.Reason != "":
		return fmt.Sprintf("NATS %s, connected, but events wait: %s", strings.TrimSpace(n.Mode+" "+n.Url), n.Reason)
	case n.Connected:
		return fmt.Sprintf("NATS %s, connected, %d waiting", strings.TrimSpace(n.Mode+" "+n.Url), n.Waiting)
	}
	return fmt.Sprintf("NATS %s, not connected (%s), %d waiting", strings.TrimSpace(n.Mode+" "+n.Url), orDash(n.Reason), n.Waiting)
}

func (a *app) connectionTable(all []*controlv1.Connection) error {
	header := []string{"CONNECTION", "STATE", "SINCE", "IKE", "CHILDREN", "REMOTE", "PEER"}
	var rows [][]string
	failed := false
	for _, c := range all {
		rows = append(rows, []string{c.Name, c.State, a.age(c.Since), orDash(c.Ike), childStates(c.Children), c.Remote, c.RemoteId})
		failed = failed || c.LastError != ""
	}
	if err := a.table(header, rows, func(row, column int) control.Tone {
		if column != 1 {
			return control.Plain
		}
		return stateTone(all[row].State)
	}); err != nil || !failed {
		return err
	}
	a.printf("\n")
	for _, c := range all {
		if c.LastError != "" {
			a.printf("%s: %s\n", a.paint(control.Bad, c.Name), c.LastError)
			a.printf("  parley explain %s\n", c.Name)
		}
	}
	return nil
}

func stateTone(state string) control.Tone {
	switch state {
	case "up", "established":
		return control.Good
	case "down", "degraded", "rejected":
		return control.Bad
	}
	return control.Plain
}

// childStates lists children, those that are not up in parentheses.
func childStates(all []*controlv1.ChildState) string {
	var out []string
	for _, c := range all {
		switch {
		case c.Up:
			out = append(out, c.Name)
		case c.Trapped:
			out = append(out, "("+c.Name+" waits for traffic)")
		default:
			out = append(out, "("+c.Name+")")
		}
	}
	return orDash(strings.Join(out, " "))
}

func list(all []string) string { return orDash(strings.Join(all, ", ")) }
