package ikev2

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// This file is about peers that send each other elsewhere (RFC 5685). The client is the original initiator, the gateway the
// original responder. A client only says that it can be redirected where its connection permits it, and goes to the new gateway
// under the same connection, which therefore has to prove the same identity (section 3).

const (
	// maxRedirects in redirectPeriod is how often a client follows (RFC 5685 section 7).
	maxRedirects   = 5
	redirectPeriod = 300 * time.Second
)

// Types of gateway identities (RFC 5685 section 9.2).
const (
	gatewayIPv4 = 1
	gatewayIPv6 = 2
	gatewayFQDN = 3
)

// gatewayIdentity returns the identity of a gateway as it stands in a notify.
func gatewayIdentity(g machine.Gateway) []byte {
	id, kind := []byte(g.Host), byte(gatewayFQDN)
	if a := g.Addr.Unmap(); a.IsValid() {
		id, kind = a.AsSlice(), gatewayIPv6
		if a.Is4() {
			kind = gatewayIPv4
		}
	}
	return append([]byte{kind, byte(len(id))}, id...)
}

// parseGateway reads the identity of a gateway and returns what stands behind it.
func parseGateway(data []byte) (g machine.Gateway, rest []byte, ok bool) {
	if len(data) < 2 || len(data)-2 < int(data[1]) {
		return g, nil, false
	}
	kind, id := data[0], data[2:2+int(data[1])]
	rest = data[2+len(id):]
	switch {
	case kind == gatewayIPv4 && len(id) == 4 || kind == gatewayIPv6 && len(id) == 16:
		g.Addr, _ = netip.AddrFromSlice(id)
		return g, rest, !g.Addr.IsUnspecified() && !g.Addr.IsMulticast()
	case kind == gatewayFQDN:
		name, err := policy.ParseIdentity("fqdn:" + string(id))
		g.Host = name.Data
		return g, rest, err == nil && !strings.HasPrefix(g.Host, "*")
	}
	return g, rest, false
}

// ---- client

// redirectSupport returns the notify of an IKE_SA_INIT request by which a client permits to be redirected, or tells who has
// done so (RFC 5685 section 3).
func (s *SA) redirectSupport() []wire2.Payload {
	from := s.session.redirected.From
	switch {
	case from.IsValid():
		return []wire2.Payload{wire2.Notify{Kind: wire2.RedirectedFrom, Data: gatewayIdentity(machine.Gateway{Addr: from})}}
	case s.conn.FollowRedirects:
		return []wire2.Payload{wire2.Notify{Kind: wire2.RedirectSupported}}
	}
	return nil
}

// redirect returns where a message of the gateway sends us, if it does and we permit it.
func (s *SA) redirect(p packet) (to machine.Gateway, nonce []byte, ok bool) {
	n, ok := wire2.GetNotify(p.Payloads, wire2.Redirect)
	if !ok || !s.conn.FollowRedirects {
		return to, nil, false
	}
	return parseGateway(n.Data)
}

// redirectedInInit follows a redirect in the IKE_SA_INIT response. Without our nonce it may be forged, and is discarded
// silently (RFC 5685 section 3).
func (x *initX) redirectedInInit(p packet) bool {
	s := x.s
	to, nonce, ok := s.redirect(p)
	if !ok || !bytes.Equal(nonce, s.ni) {
		return false
	}
	s.answered()
	f := s.goTo(to, "IKE_SA_INIT")
	s.fail(f)
	return true
}

// redirectedInAuth follows a redirect in the IKE_AUTH response of a gateway that has proved itself, and deletes the IKE SA
// (RFC 5685 section 6).
func (x *authI) redirectedInAuth() bool {
	s := x.s
	to, _, ok := s.redirect(x.packet)
	if !ok {
		return false
	}
	s.calls.Free(x.spi)
	s.session.elsewhere = true
	s.establish()
	f := s.goTo(to, "IKE_AUTH")
	s.deleteIKE(byRedirect, f.reason)
	return true
}

// redirectedLater follows a redirect of an SA that is up. That ends when the new one has its children (RFC 5685 section 5).
func (s *SA) redirectedLater(p packet) {
	to, _, ok := s.redirect(p)
	if ok && s.session.began && s.state == Established {
		s.goTo(to, "INFORMATIONAL")
	}
}

// goTo has the driver make an SA with another gateway, unless we were sent around too often, and returns why this one
// ends.
func (s *SA) goTo(to machine.Gateway, exchange string) failure {
	recent := slices.DeleteFunc(slices.Clone(s.session.redirected.At), func(t time.Time) bool { return s.now.Sub(t) >= redirectPeriod })
	e := event.IKERedirected{IKE: s.describe(), To: to.String(), Exchange: exchange, By: byPeer, Result: "followed"}
	f := failure{cause: event.CauseRedirected, by: byPeer, reason: fmt.Sprintf("the peer sends us to %v", to)}
	if len(recent) >= maxRedirects {
		e.Result = "refused"
		f.cause = event.CauseRedirectLoop
		f.reason = fmt.Sprintf("the peer sends us to %v, and we were sent around %d times in %v already", to, len(recent), redirectPeriod)
		s.emit(e)
		return f
	}
	s.emit(e)
	names := s.session.names
	if s.state == Established {
		names = s.childNames()
	}
	s.session.redirected.At = append(recent, s.now)
	s.fx.Add(machine.Renew{Children: names, To: to,
		Redirected: machine.Redirected{From: s.remote.Addr().Unmap(), At: slices.Clone(s.session.redirected.At)}})
	return f
}

// ---- gateway

// noteRedirectable notes whether a client can be redirected. Nobody else may be (RFC 5685 section 3).
func (s *SA) noteRedirectable(p packet) {
	_, can := wire2.GetNotify(p.Payloads, wire2.RedirectSupported)
	_, was := wire2.GetNotify(p.Payloads, wire2.RedirectedFrom)
	s.session.redirectable = can || was
}

// redirects reports whether the connection sends its clients elsewhere in an exchange.
func (s *SA) redirects(at policy.RedirectAt) bool {
	return s.session.redirectable && s.conn.RedirectAt == at && s.conn.RedirectTo != ""
}

// gateway is where the connection sends its clients.
func (s *SA) gateway() machine.Gateway { return machine.GatewayOf(s.conn.RedirectTo) }

// redirectInit answers IKE_SA_INIT with a redirect and makes no SA (RFC 5685 section 3).
func (s *SA) redirectInit(p packet) {
	nonce, _ := wire2.Get[wire2.Nonce](p.Payloads)
	s.tellRedirected(s.gateway(), "IKE_SA_INIT", "asked")
	s.rejectInit(wire2.Notify{Kind: wire2.Redirect, Data: append(gatewayIdentity(s.gateway()), nonce.Data...)})
	s.shutdown(fmt.Sprintf("the peer is redirected to %v", s.gateway()), 0)
}

// redirectAuth returns the notify that takes the place of a child in the IKE_AUTH response (RFC 5685 section 6).
func (s *SA) redirectAuth() []wire2.Payload {
	if !s.redirects(policy.RedirectAuth) {
		return nil
	}
	return []wire2.Payload{wire2.Notify{Kind: wire2.Redirect, Data: gatewayIdentity(s.gateway())}}
}

// redirectClient is a command: an established client is asked to go elsewhere (RFC 5685 section 5).
func (s *SA) redirectClient(to machine.Gateway) {
	switch {
	case s.state != Established:
	case s.session.began || !s.session.redirectable:
		s.tellRedirected(to, "INFORMATIONAL", "refused")
	default:
		s.tellRedirected(to, "INFORMATIONAL", "asked")
		s.request(request{exch: wire2.Informational, payloads: []wire2.Payload{wire2.Notify{Kind: wire2.Redirect, Data: gatewayIdentity(to)}}})
		s.leaveAfterRedirect()
	}
}

// leaveAfterRedirect gives the client time to move, and then deletes what it leaves (RFC 5685 section 5).
func (s *SA) leaveAfterRedirect() {
	s.session.leave, s.session.leaveAt = machine.Replaced{Cause: machine.ReplaceRedirect}, s.now.Add(s.conn.RedirectGrace)
}

func (s *SA) tellRedirected(to machine.Gateway, exchange, result string) {
	s.emit(event.IKERedirected{IKE: s.describe(), To: to.String(), Exchange: exchange, By: byUs, Result: result})
}
