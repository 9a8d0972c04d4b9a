package control

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// Reauthenticate implements the RPC.
func (s *Server) Reauthenticate(ctx context.Context, req *controlv1.ReauthenticateRequest) (*controlv1.ReauthenticateResponse, error) {
	sas, err := s.sas(ctx)
	if err != nil {
		return nil, err
	}
	chosen, err := s.established(sas, req)
	if err != nil {
		return nil, err
	}
	out := &controlv1.ReauthenticateResponse{}
	for _, info := range chosen {
		if _, err := s.c.Engine.Reauthenticate(ctx, engine.Selector{UID: info.UID}); err != nil {
			return nil, status.Errorf(codes.Unavailable, "%v", err)
		}
		if info.IKE.Role == "initiator" {
			out.Begun = append(out.Begun, info.UID.String())
		} else {
			out.Asked = append(out.Asked, info.UID.String())
		}
	}
	return out, nil
}

// established returns the IKE SAs that a request is about. There must be one.
func (s *Server) established(sas []machine.Info, req *controlv1.ReauthenticateRequest) ([]machine.Info, error) {
	switch {
	case (req.Sa == "") == (req.Connection == ""):
		return nil, status.Error(codes.InvalidArgument, "control: name a connection or an SA")
	case req.Sa != "":
		one, err := find(sas, req.Sa)
		return []machine.Info{one.sa}, err
	}
	if err := s.known(req.Connection, sas); err != nil {
		return nil, err
	}
	up := slices.DeleteFunc(sas, func(i machine.Info) bool { return i.Conn != req.Connection || i.State != "established" })
	if len(up) == 0 {
		return nil, status.Errorf(codes.FailedPrecondition, "control: connection %q is not up: `parley up %s` brings it up", req.Connection, req.Connection)
	}
	return up, nil
}
