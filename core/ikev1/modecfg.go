package ikev1

import (
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// This file is mode configuration (draft-dukes-ike-mode-cfg-02), by which one side, the server, gives the other, the client, inner
// addresses and what goes with them. The client is who has virtual addresses configured, the server who has pools, whoever began phase 1.
//
//	pull:  client  REQUEST -->  <-- REPLY  server
//	push:  server  SET     -->  <-- ACK    client
//
// modecfg_client.go and modecfg_server.go are the two sides; attributes of Cisco's clients are in unity.go. A client has no quick mode
// before it is configured, nor has a server that pushes. A server that is asked waits for nothing: some peers that were configured once
// do not ask again in the ISAKMP SA that takes the place of the first.

const (
	// maxInner bounds how many inner addresses one side gives the other.
	maxInner = 8
	// maxTold bounds the DNS servers, the domains and the subnets, each, that we take from a peer.
	maxTold = 64
)

// configure goes on when it is known who the peer is, with mode configuration if there is to be some.
func (s *SA) configure() {
	s.inner.conf = s.conn
	switch {
	case len(s.conn.Virtual) > 0:
		s.enter(Configuring)
		if !s.conn.Push {
			s.pull()
		}
	case len(s.conn.Pools) > 0 && s.conn.Push:
		s.enter(Configuring)
		s.push()
	default:
		s.complete()
	}
}

// askedConfig takes a transaction of the peer's that is about configuration.
func (s *SA) askedConfig(a *asked) {
	if a.Kind == wire1.ConfigSet {
		s.takeSet(a)
		return
	}
	s.answerRequest(a)
}

// The attributes that IKEv2 has, too, have the same numbers and values (RFC 7296 section 3.15.1), except that an IPv6 address comes
// without a prefix length here.

// known returns an attribute as package wire2 reads it. Some peers ask by a basic attribute with the value 0.
func known(a wire1.Attribute) wire2.CPAttribute {
	if a.Type == wire1.InternalIP6Address && len(a.Data) == 16 {
		return wire2.CPAttribute{Type: a.Type, Value: append(slices.Clone(a.Data), 128)}
	}
	return wire2.CPAttribute{Type: a.Type, Value: a.Data}
}

// attribute is the reverse of known.
func attribute(a wire2.CPAttribute) wire1.Attribute {
	if a.Type == wire1.InternalIP6Address && len(a.Value) > 16 {
		return wire1.Attribute{Type: a.Type, Data: a.Value[:16]}
	}
	return wire1.Attribute{Type: a.Type, Data: a.Value}
}

// isInner reports whether an attribute is an inner address, and which.
func isInner(a wire1.Attribute) (netip.Addr, bool) {
	if a.Type != wire1.InternalIP4Address && a.Type != wire1.InternalIP6Address {
		return netip.Addr{}, false
	}
	return known(a).Address()
}

func isDNS(t uint16) bool { return t == wire1.InternalIP4DNS || t == wire1.InternalIP6DNS }

// isHost reports whether a host can have an address.
func isHost(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}

// countFamily counts the addresses of a family.
func countFamily(list []netip.Addr, is4 bool) (n int) {
	for _, a := range list {
		if a.Is4() == is4 {
			n++
		}
	}
	return n
}

// asksFor reports whether a request names an attribute.
func asksFor(request []wire1.Attribute, t uint16) bool {
	_, ok := wire1.FindAttribute(request, t)
	return ok
}

// assignment reads what a server tells. At most as many addresses count as were asked for of a family (draft-dukes-ike-mode-cfg-02
// section 3.4), and none that no host can have. Whatever we do not know is ignored.
func assignment(want []netip.Addr, told []wire1.Attribute) (e event.AddressAssigned) {
	for _, a := range told {
		if addr, ok := isInner(a); ok {
			if isHost(addr) && countFamily(e.Addresses, addr.Is4()) < countFamily(want, addr.Is4()) {
				e.Addresses = append(e.Addresses, addr)
			}
		} else if addr, ok := known(a).Address(); ok && isDNS(a.Type) && isHost(addr) && len(e.DNS) < maxTold {
			e.DNS = append(e.DNS, addr)
		} else if p, ok := known(a).Subnet(); ok && len(e.Subnets) < maxTold && !slices.Contains(e.Subnets, p) {
			e.Subnets = append(e.Subnets, p)
		}
	}
	return e
}
