package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

func (a *app) saCommand() *cobra.Command {
	cmd := group("sa", "List and show security associations", "sa shows IKE SAs and their child SAs.\n\n"+exitHelp)
	cmd.AddCommand(a.saListCommand(), a.saShowCommand())
	return cmd
}

func (a *app) saListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [CONNECTION]", Short: "List IKE SAs", Args: args(0, 1, ""), ValidArgsFunction: a.complete(connections),
		Long: "list shows the IKE SAs, of one connection or of all; -o wide adds identities, suites and the SPIs of child SAs.\n\n" + exitHelp,
		RunE: func(cmd *cobra.Command, given []string) error {
			req := &controlv1.ListSAsRequest{Connection: strings.Join(given, "")}
			return a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				out, err := c.ListSAs(ctx, req)
				if err != nil {
					return err
				}
				return a.saList(out)
			})
		},
	}
}

func (a *app) saList(out *controlv1.ListSAsResponse) error {
	if a.json() {
		return a.writeJSON(out)
	}
	header := []string{"CONNECTION", "STATE", "ROLE", "IKE", "REMOTE", "AGE", "CHILDREN", "UID"}
	if a.wide() {
		header = append(header, "PEER", "SUITE", "CHILD SPIS")
	}
	var rows [][]string
	for _, sa := range out.Sas {
		row := []string{orDash(sa.Connection), sa.State, sa.Role, fmt.Sprintf("v%d", sa.Version), sa.Remote, a.age(sa.Created), childNames(sa.Children), sa.Uid}
		if a.wide() {
			row = append(row, orDash(sa.RemoteId), orDash(sa.Suite), childSPIs(sa.Children))
		}
		rows = append(rows, row)
	}
	return a.table(header, rows, func(row, column int) control.Tone {
		if column != 1 {
			return control.Plain
		}
		return stateTone(out.Sas[row].State)
	})
}

func childNames(all []*controlv1.Child) string {
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
	}
	return orDash(strings.Join(names, " "))
}

func childSPIs(all []*controlv1.Child) string {
	var spis []string
	for _, c := range all {
		spis = append(spis, c.SpiIn+"/"+c.SpiOut)
	}
	return orDash(strings.Join(spis, " "))
}

func (a *app) saShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show UID|CONNECTION", Short: "Show SAs in full", Args: args(1, 1, "a UID, the beginning of one, or the name of a connection"),
		ValidArgsFunction: a.complete(connections, uids),
		Long:              "show tells all about the IKE SAs of a connection, or about one, with the counters of the child SAs.\n\n" + exitHelp,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.ask(cmd.Context(), func(ctx context.Context, c *control.Client) error {
				out, err := c.ShowSA(ctx, &controlv1.ShowSARequest{Sa: given[0]})
				if err != nil {
					return err
				}
				return a.saShow(out)
			})
		},
	}
}

func (a *app) saShow(out *controlv1.ListSAsResponse) error {
	if a.json() {
		return a.writeJSON(out)
	}
	for i, sa := range out.Sas {
		if i > 0 {
			a.printf("\n")
		}
		a.printf("%s %s, %s\n", a.paint(control.Headline, saKind(sa)+" of "+orDash(sa.Connection)), a.paint(stateTone(sa.State), sa.State), sa.Role)
		a.facts("  ", [][]string{
			{"uid", sa.Uid}, {"SPIs", orDash(sa.SpiI) + " (initiator) " + orDash(sa.SpiR) + " (responder)"},
			{"we", sa.Local + " " + orDash(sa.LocalId)}, {"peer", sa.Remote + " " + orDash(sa.RemoteId)},
			{"suite", orDash(sa.Suite)}, {"messages", messages(sa)}, {"age", a.age(sa.Created) + ", established " + a.age(sa.Established)},
		})
		if sa.User != "" {
			a.facts("  ", [][]string{{"user", sa.User}})
		}
		if len(sa.Given) > 0 {
			a.facts("  ", [][]string{{"gave", list(sa.Given) + " to the peer"}})
		}
		if len(sa.Assigned) > 0 {
			a.facts("  ", [][]string{{"has", list(sa.Assigned) + " from the peer"}})
		}
		for _, c := range sa.Children {
			a.child(c)
		}
	}
	return nil
}

// saKind tells an SA of IKEv1 from the usual ones.
func saKind(sa *controlv1.SA) string {
	if sa.Version == 1 {
		return "IKEv1 SA"
	}
	return "IKE SA"
}

// messages says how IKE messages travel.
func messages(sa *controlv1.SA) string {
	text := "whole, never in fragments"
	if sa.Fragmentation {
		text = "large ones in fragments"
	}
	if sa.Window > 1 {
		text += fmt.Sprintf(", %d requests at a time", sa.Window)
	}
	return text
}

func (a *app) child(c *controlv1.Child) {
	a.printf("  %s\n", a.paint(control.Headline, "child SA "+c.Name))
	protocol := c.Protocol + " " + c.Mode
	if c.Encap {
		protocol += " in UDP"
	}
	facts := [][]string{{"uid", c.Uid}, {"SPIs", c.SpiIn + " (in) " + c.SpiOut + " (out)"}, {"protocol", protocol + ", " + c.Suite},
		{"traffic", list(c.LocalTs) + " <-> " + list(c.RemoteTs)}, {"backend", backendText(c)}}
	if len(c.Handling) > 0 {
		facts = append(facts, []string{"handling", list(c.Handling)})
	}
	if c.Placed != "" {
		facts = append(facts, []string{"carrier", c.Placed})
	}
	if t := c.Traffic; t != nil {
		facts = append(facts, []string{"received", fmt.Sprintf("%d octets, %d packets", t.BytesIn, t.PacketsIn)},
			[]string{"sent", fmt.Sprintf("%d octets, %d packets", t.BytesOut, t.PacketsOut)})
	}
	a.facts("    ", facts)
}

// backendText says where a child is, and why there.
func backendText(c *controlv1.Child) string {
	if c.BackendReason == "" {
		return orDash(c.Backend)
	}
	return c.Backend + ": " + c.BackendReason
}

func (a *app) facts(indent string, facts [][]string) {
	for _, f := range facts {
		a.printf("%s%-9s %s\n", indent, f[0], f[1])
	}
}
