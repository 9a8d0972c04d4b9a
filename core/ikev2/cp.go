package ikev2

import (
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

const (
	// maxInner bounds how many inner addresses one side gives the other.
	maxInner = 8
	// maxTold bounds the DNS servers, the domains and the subnets, each, that we take from a peer.
	maxTold = 64
)

// configuration returns the Configuration payload of a kind (RFC 7296 section 3.15).
func configuration(ps []wire2.Payload, kind uint8) (wire2.CP, bool) {
	cp, ok := wire2.Get[wire2.CP](ps)
	return cp, ok && cp.Kind == kind
}

// asks reports whether a request names an attribute type.
func asks(request wire2.CP, typ uint16) bool {
	return slices.ContainsFunc(request.Attributes, func(a wire2.CPAttribute) bool { return a.Type == typ })
}

// isInner reports whether an attribute is an inner address, and which. An IPv6 one has a prefix length beside it, which
// says nothing more than an INTERNAL_IP6_SUBNET.
func isInner(a wire2.CPAttribute) (netip.Addr, bool) {
	if a.Type != wire2.InternalIP4Address && a.Type != wire2.InternalIP6Address {
		return netip.Addr{}, false
	}
	return a.Address()
}

// wanted returns the addresses that a CFG_REQUEST asks for, the unspecified one for any of a family.
func wanted(request wire2.CP) (list []netip.Addr) {
	for _, a := range request.Attributes {
		if addr, ok := isInner(a); ok && len(list) < maxInner {
			list = append(list, addr)
		}
	}
	return list
}

// cfgRequest returns what asks for the addresses of the connection, nothing when it wants none (RFC7296-2.19-4). DNS domains
// are asked for together with DNS servers (RFC 8598 section 3.1).
func cfgRequest(conn *policy.Connection) []wire2.Payload {
	if len(conn.Virtual) == 0 {
		return nil
	}
	cp := wire2.CP{Kind: wire2.CFGRequest}
	for _, a := range conn.Virtual {
		cp.Attributes = append(cp.Attributes, wire2.AddressAttribute(a))
	}
	for _, family := range []struct{ address, dns uint16 }{
		{wire2.InternalIP4Address, wire2.InternalIP4DNS}, {wire2.InternalIP6Address, wire2.InternalIP6DNS},
	} {
		if asks(cp, family.address) {
			cp.Attributes = append(cp.Attributes, wire2.CPAttribute{Type: family.dns})
		}
	}
	return []wire2.Payload{wire2.CP{Kind: cp.Kind, Attributes: append(cp.Attributes, wire2.CPAttribute{Type: wire2.InternalDNSDomain})}}
}

// cfgReply returns what answers a CFG_REQUEST: the leased addresses, what the pools tell with them, and what else was asked
// for. Domains are told only to a peer that asks for them, and with DNS servers (RFC 8598 section 3.2).
func cfgReply(conn *policy.Connection, request wire2.CP, l machine.Leased) wire2.CP {
	cp := wire2.CP{Kind: wire2.CFGReply}
	add := func(a wire2.CPAttribute) { cp.Attributes = append(cp.Attributes, a) }
	for _, a := range l.Addresses {
		add(wire2.AddressAttribute(a))
	}
	for _, a := range l.DNS {
		add(wire2.DNSAttribute(a))
	}
	for _, p := range l.Subnets {
		add(wire2.SubnetAttribute(p))
	}
	if asks(request, wire2.InternalDNSDomain) && len(l.DNS) > 0 {
		for _, d := range l.Domains {
			add(wire2.CPAttribute{Type: wire2.InternalDNSDomain, Value: []byte(d)})
		}
	}
	if asks(request, wire2.ApplicationVersion) { // an empty one when we do not tell (RFC7296-2.20-1)
		add(wire2.CPAttribute{Type: wire2.ApplicationVersion, Value: []byte(conn.ApplicationVersion)})
	}
	if asks(request, wire2.SupportedAttributes) {
		add(wire2.SupportedAttribute(supported))
	}
	return cp
}

// supported are the attributes that we understand in a request.
var supported = []uint16{wire2.InternalIP4Address, wire2.InternalIP4DNS, wire2.ApplicationVersion, wire2.InternalIP6Address,
	wire2.InternalIP6DNS, wire2.InternalIP4Subnet, wire2.SupportedAttributes, wire2.InternalIP6Subnet, wire2.InternalDNSDomain}

// assignment reads a CFG_REPLY. At most as many addresses count as were asked for of a family (RFC 7296 section 3.15.1), and
// none that no host can have. Whatever we do not know is ignored (RFC7296-3.15.1-5); so are domains without DNS servers, which
// a responder must not send (RFC 8598 section 3.2).
func assignment(conn *policy.Connection, reply wire2.CP) (e event.AddressAssigned) {
	count := func(list []netip.Addr, is4 bool) (n int) {
		for _, a := range list {
			if a.Is4() == is4 {
				n++
			}
		}
		return n
	}
	for _, a := range reply.Attributes {
		if addr, ok := isInner(a); ok {
			if isHost(addr) && count(e.Addresses, addr.Is4()) < count(conn.Virtual, addr.Is4()) {
				e.Addresses = append(e.Addresses, addr)
			}
		} else if addr, ok := a.Address(); ok && isDNS(a.Type) && isHost(addr) && len(e.DNS) < maxTold {
			e.DNS = append(e.DNS, addr)
		} else if p, ok := a.Subnet(); ok && len(e.Subnets) < maxTold {
			e.Subnets = append(e.Subnets, p)
		} else if d, ok := a.Domain(); ok && len(e.Domains) < maxTold {
			e.Domains = append(e.Domains, d)
		}
	}
	if len(e.DNS) == 0 {
		e.Domains = nil
	}
	return e
}

func isDNS(typ uint16) bool { return typ == wire2.InternalIP4DNS || typ == wire2.InternalIP6DNS }

// isHost reports whether a host can have an address.
func isHost(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}

// answerCP answers a Configuration payload outside IKE_AUTH. A CFG_REQUEST is told again what the peer has; a CFG_SET gets
// an empty CFG_ACK, because we take nothing (RFC7296-3.15.1-8).
func (s *SA) answerCP(ps []wire2.Payload) []wire2.Payload {
	cp, ok := wire2.Get[wire2.CP](ps)
	switch {
	case ok && cp.Kind == wire2.CFGRequest:
		return []wire2.Payload{cfgReply(s.conn, cp, machine.Leased{Addresses: s.inner.given})}
	case ok && cp.Kind == wire2.CFGSet:
		return []wire2.Payload{wire2.CP{Kind: wire2.CFGAck}}
	}
	return nil
}

// askVersion asks for the peer's version, if we tell ours (RFC 7296 section 2.20).
func (s *SA) askVersion() {
	if !s.initiator || s.conn.ApplicationVersion == "" || s.state != Established {
		return
	}
	s.request(request{
		exch:     wire2.Informational,
		payloads: []wire2.Payload{wire2.CP{Kind: wire2.CFGRequest, Attributes: []wire2.CPAttribute{{Type: wire2.ApplicationVersion}}}},
		answered: func(p packet) {
			reply, _ := configuration(p.Payloads, wire2.CFGReply)
			for _, a := range reply.Attributes {
				if v, ok := a.Version(); ok {
					s.emit(event.PeerVersion{Version: v})
					return
				}
			}
		},
	})
}
