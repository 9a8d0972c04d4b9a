package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the versions of parley and of the daemon", Args: args(0, 0, ""), ValidArgsFunction: cobra.NoFileCompletions,
		Long: "version shows both versions; without a daemon its own only.\n\n" + exitHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var daemon *controlv1.VersionResponse
			err := a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) (err error) {
				daemon, err = c.Version(ctx, &controlv1.VersionRequest{})
				return err
			})
			if err != nil && !errors.As(err, new(*control.UnreachableError)) {
				return err
			}
			return a.versions(daemon)
		},
	}
}

func (a *app) versions(daemon *controlv1.VersionResponse) error {
	if a.json() {
		return a.encode(map[string]string{"version": version, "daemon": daemon.GetVersion(), "node": daemon.GetNode()})
	}
	a.printf("parley  %s\n", version)
	if daemon == nil {
		a.printf("parleyd not reachable at %s\n", a.socket)
		return nil
	}
	a.printf("parleyd %s on %s\n", daemon.Version, daemon.Node)
	return nil
}
