package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) pluginCommand() *cobra.Command {
	cmd := group("plugin", "Show the plugins", "plugin shows the plugin processes of the daemon.\n\n"+exitHelp)
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List plugins", Args: args(0, 0, ""), ValidArgsFunction: cobra.NoFileCompletions,
		Long: "list shows the plugin processes: what they provide, how they do, and the latency of calls to them.\n\n" + exitHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				out, err := c.Plugins(ctx, &controlv1.PluginsRequest{})
				if err != nil {
					return err
				}
				return a.plugins(out)
			})
		},
	})
	return cmd
}

// capabilityWidth is the width of the list of capabilities; the longest are the algorithms of an SA backend.
const capabilityWidth = 36

func (a *app) plugins(out *controlv1.PluginsResponse) error {
	if a.json() {
		return a.writeJSON(out)
	}
	t := control.Table{Header: []string{"PLUGIN", "STATE", "KINDS", "VERSION", "RESTARTS", "CALLS", "P50", "P99", "CAPABILITIES"}}
	if a.wide() {
		t.Header = []string{"PLUGIN", "STATE", "KINDS", "VERSION", "RESTARTS", "CALLS", "P50", "P99", "ERRORS", "IN FLIGHT", "PID", "AGE", "VENDOR", "SERVICES", "CAPABILITIES"}
	} else {
		t.Wrap = capabilityWidth
	}
	for _, p := range out.Plugins {
		row := []string{p.Name, p.State, list(p.Kinds), orDash(p.Version), fmt.Sprint(p.Restarts), fmt.Sprint(p.Calls), microseconds(p.P50Us), microseconds(p.P99Us)}
		if a.wide() {
			row = append(row, fmt.Sprint(p.Errors), fmt.Sprint(p.InFlight), fmt.Sprint(p.Pid), a.age(p.Started), orDash(p.Vendor), list(p.Services))
		}
		t.Rows = append(t.Rows, append(row, orDash(strings.Join(p.Capabilities, " "))))
	}
	t.Paint = func(row, column int, cell string) string {
		switch {
		case row < 0:
			return a.paint(control.Heading, cell)
		case column == 1:
			return a.paint(stateTone(out.Plugins[row].State), cell)
		}
		return cell
	}
	if a.noHeaders {
		t.Header = nil
	}
	if _, err := io.WriteString(a.out, t.Lines()); err != nil {
		return err
	}
	for _, p := range out.Plugins {
		if p.Detail != "" && p.State != "up" {
			a.printf("\n%s: %s\n", a.paint(control.Bad, p.Name), p.Detail)
		}
	}
	return nil
}
