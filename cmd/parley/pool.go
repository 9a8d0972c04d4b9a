package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) poolCommand() *cobra.Command {
	cmd := group("pool", "Show the address pools", "pool shows the pools that inner addresses are given from.\n\n"+exitHelp)
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List pools and leases", Args: args(0, 0, ""), ValidArgsFunction: cobra.NoFileCompletions,
		Long: "list shows the address pools, how many of their addresses are used, and who has which. An address that is given\n" +
			"back is kept for its identity for a while; it goes to somebody else only when the pool has no other left.\n" +
			"-o wide adds since when, from where, and the IKE SAs that hold an address.\n\n" + exitHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				out, err := c.Pools(ctx, &controlv1.PoolsRequest{})
				if err != nil {
					return err
				}
				return a.pools(out)
			})
		},
	})
	return cmd
}

func (a *app) pools(out *controlv1.PoolsResponse) error {
	if a.json() {
		return a.writeJSON(out)
	}
	plain := func(int, int) control.Tone { return control.Plain }
	var rows, leases [][]string
	for _, p := range out.Pools {
		rows = append(rows, []string{p.Name, p.Size, fmt.Sprint(p.Used), fmt.Sprint(p.Kept), list(p.Ranges)})
		for _, l := range p.Leases {
			row := []string{p.Name, l.Address, l.State, l.Identity, a.until(l)}
			if a.wide() {
				row = append(row, a.age(l.Since), orDash(l.From), orDash(list(l.IkeUids)))
			}
			leases = append(leases, row)
		}
	}
	if err := a.table([]string{"POOL", "SIZE", "USED", "KEPT", "ADDRESSES"}, rows, plain); err != nil || len(leases) == 0 {
		return err
	}
	a.printf("\n")
	header := []string{"POOL", "ADDRESS", "STATE", "IDENTITY", "KEPT UNTIL"}
	if a.wide() {
		header = append(header, "AGE", "FROM", "IKE SAS")
	}
	return a.table(header, leases, plain)
}

// until says how long a lease is kept.
func (a *app) until(l *controlv1.Lease) string {
	if l.Until == nil {
		return "-"
	}
	return l.Until.AsTime().Format("2006-01-02 15:04:05Z")
}
