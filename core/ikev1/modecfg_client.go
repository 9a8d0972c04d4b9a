package ikev1

import (
	"fmt"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// pull asks for addresses.
func (s *SA) pull() {
	s.transact(wire1.ConfigRequest, s.transactionID(), s.wishes(), s.pulled, func(f failure) {
		f.reason += "; it was asked for an inner address: if it gives one unasked, set mode_config = \"push\""
		s.unconfigured(f)
	})
}

// wishes lists what we ask for. An address and its netmask are asked for by nothing when any would do.
func (s *SA) wishes() (list []wire1.Attribute) {
	families := map[bool]bool{}
	for _, a := range s.inner.remembered() {
		list = append(list, attribute(wire2.AddressAttribute(a)))
		families[a.Is4()] = true
	}
	if families[true] {
		list = append(list, wire1.Attribute{Type: wire1.InternalIP4Netmask}, wire1.Attribute{Type: wire1.InternalIP4DNS})
	}
	if families[false] {
		list = append(list, wire1.Attribute{Type: wire1.InternalIP6DNS})
	}
	if v := s.conn.ApplicationVersion; v != "" {
		list = append(list, wire1.Attribute{Type: wire1.ApplicationVersion, Data: []byte(v)})
	}
	return append(list, s.unityWishes()...)
}

// pulled takes the REPLY. A server that pushes may have been faster.
func (s *SA) pulled(reply []wire1.Attribute) {
	if s.state != Configuring {
		return
	}
	if s.takeAddresses(reply) {
		s.complete()
		return
	}
	f := failure{cause: event.CauseNoAddress, by: byUs, reason: fmt.Sprintf(
		"the peer gave us no inner address, for which connection %q asks (virtual): give it a pool there, or leave virtual out", s.conn.Name)}
	if slices.ContainsFunc(s.conn.Children, func(c *policy.Child) bool { return !c.LocalAssigned }) {
		s.complete()
		return
	}
	s.unconfigured(f)
}

// unconfigured ends an SA that came to nothing without addresses.
func (s *SA) unconfigured(f failure) {
	if s.state != Configuring {
		return
	}
	for _, name := range s.session.names {
		s.childFailed(name, f)
	}
	s.fail(f)
}

// takeAddresses takes the addresses that a server assigns, if there are any.
func (s *SA) takeAddresses(told []wire1.Attribute) bool {
	e := assignment(s.conn.Virtual, told)
	if len(e.Addresses) == 0 {
		return false
	}
	s.unityTold(&e, told)
	e.Holder = s.uid
	s.inner.assigned = e.Addresses
	s.address(s.inner.conf)
	s.emit(e)
	s.expireWith(told)
	s.tellVersion(told)
	return true
}

// expireWith has the ISAKMP SA replaced before the addresses expire: so are they renewed (draft-dukes-ike-mode-cfg-02 section 3.4).
func (s *SA) expireWith(told []wire1.Attribute) {
	if seconds, ok := wire1.FindNumber(told, wire1.InternalAddressExpiry); ok && seconds > 0 {
		s.shorten(policy.Terms{Seconds: max(seconds, leastExpiry)})
	}
}

// leastExpiry keeps a server from having us begin anew again and again, in seconds.
const leastExpiry = 60

// tellVersion tells of the version of a peer that names it.
func (s *SA) tellVersion(told []wire1.Attribute) {
	if a, ok := wire1.FindAttribute(told, wire1.ApplicationVersion); ok {
		if v, ok := known(a).Version(); ok {
			s.emit(event.PeerVersion{Version: v})
		}
	}
}

// takeSet takes what a server sets without having been asked, as long as we have no address; later the ACK accepts nothing. An ACK names
// what was accepted, without values (draft-dukes-ike-mode-cfg-02 section 2).
func (s *SA) takeSet(a *asked) {
	if s.state != Configuring || len(s.conn.Virtual) == 0 || !s.takeAddresses(a.Attributes) {
		a.reply(nil)
		return
	}
	a.reply(s.accepted(a.Attributes))
	s.complete()
}

// accepted returns the types among attributes that we make something of.
func (s *SA) accepted(set []wire1.Attribute) (list []wire1.Attribute) {
	for _, a := range set {
		_, subnet := known(a).Subnet()
		addr, address := known(a).Address()
		other := a.Type == wire1.InternalIP4Netmask || a.Type == wire1.InternalAddressExpiry || s.takesUnity(a.Type)
		if subnet || other || address && isDNS(a.Type) || slices.Contains(s.inner.assigned, addr) {
			list = append(list, wire1.Attribute{Type: a.Type})
		}
	}
	return list
}
