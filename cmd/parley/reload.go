package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) reloadCommand() *cobra.Command {
	req := &controlv1.ReloadRequest{}
	cmd := &cobra.Command{
		Use: "reload", Short: "Apply a changed configuration", Args: args(0, 0, ""), ValidArgsFunction: cobra.NoFileCompletions,
		Long: "reload has the daemon read its configuration again and apply what differs, as SIGHUP does. Connections that did not\n" +
			"change keep their SAs. One of which only children changed keeps its IKE SA: children that are gone are deleted, those that\n" +
			"changed are made anew. The SAs of other changed and of removed ones are deleted, and made anew where a child says\n" +
			"start = \"up\". A configuration with a mistake changes nothing.\n\n" + exitHelp,
		Example: "  parley reload --dry-run\n  parley reload",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				out, err := c.Reload(ctx, req)
				if err != nil {
					return err
				}
				return a.tellReload(out)
			})
		},
	}
	cmd.Flags().BoolVarP(&req.DryRun, "dry-run", "n", false, "only say what would happen")
	return cmd
}

func (a *app) tellReload(out *controlv1.ReloadResponse) error {
	if a.json() {
		return a.writeJSON(out)
	}
	for _, w := range out.Warnings {
		a.printf("warning: %s\n", w)
	}
	for _, name := range out.Added {
		a.printf("%s: added\n", name)
	}
	for _, c := range out.Changed {
		a.printf("%s: changed (%s)%s\n", c.Name, strings.Join(c.What, ", "), fate(out.DryRun, c))
	}
	for _, c := range out.Removed {
		a.printf("%s: removed%s\n", c.Name, fate(out.DryRun, c))
	}
	if out.Pools {
		a.printf("pools: changed\n")
	}
	if out.Credentials {
		a.printf("credentials: changed\n")
	}
	for _, r := range out.Restart {
		a.printf("%s: changed, takes effect when the daemon is restarted\n", r)
	}
	a.printf("%s: %s", out.Config, count(len(out.Same), "connection is", "connections are")+" the same")
	if out.DryRun {
		a.printf("; nothing was changed, this was a dry run")
	}
	a.printf("\n")
	return nil
}

// fate says what becomes of a connection's SAs.
func fate(dryRun bool, c *controlv1.ChangedConnection) string {
	is, are := "is", "are"
	if dryRun {
		is, are = "would be", "would be"
	}
	switch {
	case c.IkeSas > 0:
		return fmt.Sprintf(", %s deleted", count(int(c.IkeSas), "IKE SA "+is, "IKE SAs "+are))
	case c.ChildSas > 0:
		return fmt.Sprintf(", %s deleted or replaced, the IKE SA stays", count(int(c.ChildSas), "child SA "+is, "child SAs "+are))
	case c.KeptIkeSas > 0:
		return ", no SA is touched"
	}
	return ""
}
