package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ike/parley/core/control"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// completionTimeout bounds what a press of the tabulator key may take.
const completionTimeout = 2 * time.Second

// offer asks the daemon for words; without a daemon there are none.
type offer func(ctx context.Context, c *control.Client) []string

// complete completes the first argument, and no further ones.
func (a *app) complete(words ...offer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(given) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.offers(cmd, words...), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag completes the value of a flag.
func (a *app) completeFlag(cmd *cobra.Command, flag string, words ...offer) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.offers(cmd, words...), cobra.ShellCompDirectiveNoFileComp
	})
}

func (a *app) offers(cmd *cobra.Command, words ...offer) (all []cobra.Completion) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	_ = a.connect(ctx, func(ctx context.Context, c *control.Client) error {
		for _, f := range words {
			all = append(all, f(ctx, c)...)
		}
		return nil
	})
	return all
}

func connections(ctx context.Context, c *control.Client) (all []string) {
	s, err := c.Status(ctx, &controlv1.StatusRequest{})
	if err != nil {
		return nil
	}
	for _, conn := range s.Connections {
		all = append(all, cobra.CompletionWithDesc(conn.Name, fmt.Sprintf("%s, to %s", conn.State, conn.RemoteId)))
	}
	return all
}

func children(ctx context.Context, c *control.Client) (all []string) {
	s, err := c.Status(ctx, &controlv1.StatusRequest{})
	if err != nil {
		return nil
	}
	for _, conn := range s.Connections {
		for _, child := range conn.Children {
			all = append(all, cobra.CompletionWithDesc(child.Name, "of "+conn.Name))
		}
	}
	return all
}

func uids(ctx context.Context, c *control.Client) (all []string) {
	list, err := c.ListSAs(ctx, &controlv1.ListSAsRequest{})
	if err != nil {
		return nil
	}
	for _, sa := range list.Sas {
		all = append(all, cobra.CompletionWithDesc(sa.Uid, fmt.Sprintf("IKE SA of %s, %s", sa.Connection, sa.State)))
	}
	return all
}

func childUIDs(ctx context.Context, c *control.Client) (all []string) {
	list, err := c.ListSAs(ctx, &controlv1.ListSAsRequest{})
	if err != nil {
		return nil
	}
	for _, sa := range list.Sas {
		for _, child := range sa.Children {
			all = append(all, cobra.CompletionWithDesc(child.Uid, fmt.Sprintf("child SA %s of %s", child.Name, sa.Connection)))
		}
	}
	return all
}
