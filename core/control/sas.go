package control

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// ListSAs implements the RPC.
func (s *Server) ListSAs(ctx context.Context, req *controlv1.ListSAsRequest) (*controlv1.ListSAsResponse, error) {
	sas, err := s.sas(ctx)
	if err != nil {
		return nil, err
	}
	if req.Connection != "" {
		if err := s.known(req.Connection, sas); err != nil {
			return nil, err
		}
		sas = slices.DeleteFunc(sas, func(i machine.Info) bool { return i.Conn != req.Connection })
	}
	out := &controlv1.ListSAsResponse{}
	for _, info := range sas {
		out.Sas = append(out.Sas, saMessage(info))
	}
	return out, nil
}

// ShowSA implements the RPC.
func (s *Server) ShowSA(ctx context.Context, req *controlv1.ShowSARequest) (*controlv1.ListSAsResponse, error) {
	sas, err := s.sas(ctx)
	if err != nil {
		return nil, err
	}
	chosen := slices.DeleteFunc(slices.Clone(sas), func(i machine.Info) bool { return i.Conn != req.Sa })
	if len(chosen) == 0 {
		if s.known(req.Sa, nil) == nil {
			return nil, status.Errorf(codes.NotFound, "control: connection %q has no IKE SA: try `parley explain %s`", req.Sa, req.Sa)
		}
		found, err := find(sas, req.Sa)
		if err != nil {
			return nil, err
		}
		chosen = []machine.Info{found.sa}
	}
	out := &controlv1.ListSAsResponse{}
	for _, info := range chosen {
		out.Sas = append(out.Sas, s.withTraffic(ctx, info))
	}
	return out, nil
}

// withTraffic asks the SA backend for counters. It may not know.
func (s *Server) withTraffic(ctx context.Context, info machine.Info) *controlv1.SA {
	sa := saMessage(info)
	if s.c.Traffic == nil {
		return sa
	}
	for i, c := range info.Children {
		if t, err := s.c.Traffic(ctx, info, c); err == nil {
			sa.Children[i].Traffic = trafficMessage(t)
		}
	}
	return sa
}

// sas returns the SAs in a stable order: by connection, then by age.
func (s *Server) sas(ctx context.Context) ([]machine.Info, error) {
	sas, err := s.c.Engine.SAs(ctx)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "control: %v", err)
	}
	slices.SortStableFunc(sas, func(a, b machine.Info) int {
		if c := strings.Compare(a.Conn, b.Conn); c != 0 {
			return c
		}
		return strings.Compare(a.UID.String(), b.UID.String()) // UUIDv7: by time
	})
	return sas, nil
}

// known reports a connection that neither the configuration nor an SA knows.
func (s *Server) known(name string, sas []machine.Info) error {
	all := names(s.c.Snapshot())
	if slices.Contains(all, name) || slices.ContainsFunc(sas, func(i machine.Info) bool { return i.Conn == name }) {
		return nil
	}
	return status.Errorf(codes.NotFound, "control: there is no connection %q%s", name, listed(all))
}

// one is an IKE SA, or one of its children.
type one struct {
	sa    machine.Info
	child string // "": the IKE SA
	uid   event.UID
}

// find returns the IKE SA or child SA whose UID is, or begins with, what is written.
func find(sas []machine.Info, prefix string) (one, error) {
	var found []one
	for _, info := range sas {
		if strings.HasPrefix(info.UID.String(), prefix) {
			found = append(found, one{info, "", info.UID})
		}
		for _, c := range info.Children {
			if strings.HasPrefix(c.UID.String(), prefix) {
				found = append(found, one{info, c.Name, c.UID})
			}
		}
	}
	switch {
	case len(found) == 0 || prefix == "":
		return one{}, status.Errorf(codes.NotFound, "control: there is no SA and no connection %q: see `parley sa list`", prefix)
	case len(found) > 1:
		return one{}, status.Errorf(codes.InvalidArgument, "control: %s: write more of the UID", ambiguous(found, prefix))
	}
	return found[0], nil
}

func ambiguous(found []one, prefix string) string {
	return fmt.Sprintf("%q begins the UIDs of %d SAs, %v and %v among them", prefix, len(found), found[0].uid, found[1].uid)
}
