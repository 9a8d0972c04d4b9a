package policy

import (
	"fmt"
	"net/netip"

	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// IdentityFromIKEv1 returns the identity of an ID payload of phase 1 (RFC 2407 section 4.6.2.1): the types for persons and hosts have
// the same numbers in both versions. Networks and ranges are nobody's identity.
func IdentityFromIKEv1(id wire1.ID) (Identity, error) {
	switch id.IDType {
	case wire1.IDIPv4Subnet, wire1.IDIPv6Subnet, wire1.IDIPv4Range, wire1.IDIPv6Range:
		return Identity{}, fmt.Errorf("policy: an identity that is a network: the peer must claim an address or a name")
	}
	return IdentityFromWire(wire2.ID{IDType: wire2.IDType(id.IDType), Data: id.Data})
}

// IsPattern reports whether an identity stands for more than one.
func (id Identity) IsPattern() bool { return id.exactness() < exactlyOne }

const exactlyOne = 2

// FitsIKEv1 reports whether IKEv1 has words for a selector: all ports, or one (RFC 2407 section 4.6.2). Port 0 means all, and OPAQUE
// has no word.
func (s Selector) FitsIKEv1() bool {
	return s.valid() && (s.allPorts() || s.StartPort == s.EndPort && s.StartPort != 0 && s.Protocol != 0)
}

// PairFitsIKEv1 reports whether a child of IKEv1 can have these selectors: of one family and one protocol.
func PairFitsIKEv1(local, remote Selector) bool {
	return local.FitsIKEv1() && remote.FitsIKEv1() && local.Start.BitLen() == remote.Start.BitLen() && local.Protocol == remote.Protocol
}

// ClientID returns the client identity of quick mode for a selector that FitsIKEv1.
func ClientID(s Selector) wire1.ID {
	port := s.StartPort
	if s.allPorts() {
		port = 0
	}
	return wire1.RangeID(s.Protocol, port, s.Start, s.End)
}

// SelectorFromIKEv1 returns the selector of a client identity. It fails for identities that are no addresses, and for a port of no
// protocol.
func SelectorFromIKEv1(id wire1.ID) (Selector, bool) {
	first, last, ok := id.Range()
	if !ok || id.Protocol == 0 && id.Port != 0 || first.Is4In6() || last.Is4In6() {
		return Selector{}, false
	}
	s := Selector{Protocol: id.Protocol, StartPort: id.Port, EndPort: id.Port, Start: first, End: last}
	if id.Port == 0 {
		s.EndPort = maxPort
	}
	return s, s.valid()
}

// HostSelector returns the selector for all traffic of one host: what a quick mode without client identities is about (RFC 2409
// section 5.5).
func HostSelector(a netip.Addr) Selector {
	a = a.Unmap().WithZone("")
	return SelectorOf(netip.PrefixFrom(a, a.BitLen()))
}
