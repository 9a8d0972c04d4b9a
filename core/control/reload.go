package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/config"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// Reload implements the RPC.
func (s *Server) Reload(ctx context.Context, req *controlv1.ReloadRequest) (*controlv1.ReloadResponse, error) {
	if s.c.Reload == nil {
		return nil, status.Error(codes.Unimplemented, "control: this daemon cannot reload its configuration")
	}
	sas, err := s.sas(ctx)
	if err != nil {
		return nil, err
	}
	next, changes, err := s.c.Reload(ctx, req.DryRun)
	var bad config.Diagnostics
	switch {
	case errors.As(err, &bad):
		return nil, status.Errorf(codes.FailedPrecondition, "%v\nnothing was changed", bad)
	case err != nil:
		return nil, status.Errorf(codes.FailedPrecondition, "%v", err)
	}
	out := &controlv1.ReloadResponse{DryRun: req.DryRun, Config: s.c.Source, Added: changes.Added, Same: changes.Same,
		Pools: changes.Pools, Credentials: changes.Credentials, Restart: changes.Restart}
	for _, c := range changes.Changed {
		out.Changed = append(out.Changed, changed(c, sas))
	}
	for _, name := range changes.Removed {
		out.Removed = append(out.Removed, &controlv1.ChangedConnection{Name: name, IkeSas: sasOf(sas, name)})
	}
	for _, w := range next.Warnings {
		out.Warnings = append(out.Warnings, w.String())
	}
	return out, nil
}

// changed says what becomes of the SAs of a connection.
func changed(c config.Change, sas []machine.Info) *controlv1.ChangedConnection {
	out := &controlv1.ChangedConnection{Name: c.Connection, What: c.What}
	if !c.ChildrenOnly {
		out.IkeSas = sasOf(sas, c.Connection)
		return out
	}
	out.KeptIkeSas = sasOf(sas, c.Connection)
	for _, info := range sas {
		for _, child := range info.Children {
			if info.Conn == c.Connection && usable(info) && slices.Contains(c.Children, child.Name) {
				out.ChildSas++
			}
		}
	}
	return out
}

// sasOf counts the IKE SAs of a connection that have not ended.
func sasOf(sas []machine.Info, conn string) (n uint32) {
	for _, info := range sas {
		if info.Conn == conn && usable(info) {
			n++
		}
	}
	return n
}

// changes says in one line what a new configuration changed.
func changes(e event.ConfigChanged) string {
	var all []string
	for _, part := range []struct {
		what  string
		names []string
	}{{"added", e.Added}, {"changed", e.Changed}, {"other children", e.Children}, {"removed", e.Removed}, {"waiting for a restart", e.Restart}} {
		if len(part.names) > 0 {
			all = append(all, fmt.Sprintf("%s: %s", part.what, list(part.names)))
		}
	}
	if e.Pools {
		all = append(all, "other address pools")
	}
	if e.Credentials {
		all = append(all, "other credentials")
	}
	if len(all) == 0 {
		return "nothing differs"
	}
	return strings.Join(all, "; ")
}
