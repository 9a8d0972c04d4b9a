package control

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// Redirect implements the RPC.
func (s *Server) Redirect(ctx context.Context, req *controlv1.RedirectRequest) (*controlv1.RedirectResponse, error) {
	sel := engine.Selector{All: req.All, Conn: req.Connection}
	if req.All == (req.Connection != "") {
		return nil, status.Error(codes.InvalidArgument, "control: name a connection, or all")
	}
	if !isGateway(req.To) {
		return nil, status.Errorf(codes.InvalidArgument, "control: %q is no gateway: name an address or a DNS name", req.To)
	}
	if !req.All {
		sas, err := s.sas(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.known(req.Connection, sas); err != nil {
			return nil, err
		}
	}
	n, err := s.c.Engine.Redirect(ctx, sel, machine.GatewayOf(req.To))
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "%v", err)
	}
	return &controlv1.RedirectResponse{Sas: uint32(n)}, nil
}

func isGateway(text string) bool {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast()
	}
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	}
	return text != "" && len(text) <= maxHost && !strings.ContainsFunc(text, odd)
}

// maxHost is the length of the longest DNS name, in octets (RFC 1035 section 2.3.4).
const maxHost = 255

func redirectSentence(e event.IKERedirected) string {
	switch {
	case e.By == "us" && e.Result == "asked":
		return fmt.Sprintf("we ask the peer to go to %s", e.To)
	case e.By == "us":
		return fmt.Sprintf("the peer is not sent to %s: it does not say that it can be redirected (RFC 5685)", e.To)
	case e.Result == "followed":
		return fmt.Sprintf("the peer sends us to %s, and we go there", e.To)
	}
	return fmt.Sprintf("the peer sends us to %s, and we were sent around too often to go there", e.To)
}

// redirected says that the gateway sent us elsewhere.
func (t *tale) redirected(e event.IKEFailed) {
	t.verdict(string(e.Cause), "%s", e.Reason)
	if e.Cause == event.CauseRedirected {
		t.note("the attempt with the other gateway is one of its own")
		return
	}
	t.remedy("", "see that the gateways do not redirect to each other (RFC 5685 section 7)")
	t.remedy(t.setting("follow_redirects"), "or set follow_redirects = false")
}
