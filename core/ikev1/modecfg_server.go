package ikev1

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// supported are the attributes that we understand in a request.
var supported = []uint16{wire1.InternalIP4Address, wire1.InternalIP4Netmask, wire1.InternalIP4DNS, wire1.InternalAddressExpiry,
	wire1.ApplicationVersion, wire1.InternalIP6Address, wire1.InternalIP6DNS, wire1.InternalIP4Subnet, wire1.SupportedAttributes,
	wire1.InternalIP6Subnet}

// wanted returns the addresses that a REQUEST asks for, the unspecified one for any of a family.
func wanted(request []wire1.Attribute) (list []netip.Addr) {
	for _, a := range request {
		if addr, ok := isInner(a); ok && len(list) < maxInner {
			list = append(list, addr)
		}
	}
	return list
}

// answerRequest answers a REQUEST. One for an address that we have not is answered without (draft-dukes-ike-mode-cfg-02 section 2).
func (s *SA) answerRequest(a *asked) {
	want := wanted(a.Attributes)
	if len(want) == 0 || len(s.conn.Pools) == 0 {
		a.reply(s.told(machine.Leased{}, a.Attributes))
		return
	}
	s.lease(want, func(l machine.Leased, f *failure) {
		l.Addresses = asWanted(l.Addresses, want)
		a.reply(s.told(l, a.Attributes))
		if f == nil && s.state == Configuring && len(s.conn.Virtual) == 0 { // the peer asks, and was to be told
			s.complete()
		}
	})
}

// asWanted returns the addresses that a peer has, at most as many of a family as it asks for (draft-dukes-ike-mode-cfg-02 section 3.4).
func asWanted(has, want []netip.Addr) (list []netip.Addr) {
	for _, a := range has {
		if countFamily(list, a.Is4()) < countFamily(want, a.Is4()) {
			list = append(list, a)
		}
	}
	return list
}

// pushed is what a SET tells, as if a peer had asked for it.
var pushed = []wire1.Attribute{{Type: wire1.InternalIP4Netmask}, {Type: wire1.InternalIP4Subnet}, {Type: wire1.InternalIP6Subnet},
	{Type: wire1.UnityBanner}, {Type: wire1.UnityDefaultDomain}, {Type: wire1.UnitySplitDNS}, {Type: wire1.UnitySplitInclude}}

// push gives the peer addresses without having been asked: one of each family that the pools have.
func (s *SA) push() {
	s.lease([]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, func(l machine.Leased, f *failure) {
		switch {
		case s.state != Configuring:
		case f != nil && s.conn.NeedsRequest():
			s.fail(*f)
		case f != nil:
			s.complete()
		default:
			s.transact(wire1.ConfigSet, s.transactionID(), s.told(l, pushed), func([]wire1.Attribute) { s.acknowledged() }, s.unacknowledged)
		}
	})
}

// acknowledged goes on when the peer has what we set. Should it not have accepted its address, its quick modes will show it.
func (s *SA) acknowledged() {
	if s.state == Configuring {
		s.complete()
	}
}

func (s *SA) unacknowledged(f failure) {
	if s.state == Configuring {
		f.reason += "; an inner address was set: if the peer wants to ask for it, set mode_config = \"pull\""
		s.fail(f)
	}
}

// told returns what a peer is told: its addresses with what the pools tell, and what else it asks for. Nothing is told by an attribute
// without a value (draft-dukes-ike-mode-cfg-02 section 3.4).
func (s *SA) told(l machine.Leased, request []wire1.Attribute) (list []wire1.Attribute) {
	add := func(a wire1.Attribute) { list = append(list, a) }
	for _, a := range l.Addresses {
		add(attribute(wire2.AddressAttribute(a)))
		if a.Is4() && asksFor(request, wire1.InternalIP4Netmask) {
			add(wire1.Attribute{Type: wire1.InternalIP4Netmask, Data: []byte{255, 255, 255, 255}})
		}
	}
	for _, a := range l.DNS {
		add(attribute(wire2.DNSAttribute(a)))
	}
	for _, p := range l.Subnets {
		if a := attribute(wire2.SubnetAttribute(p)); asksFor(request, a.Type) {
			add(a)
		}
	}
	if left := s.life.hard.Sub(s.now) / time.Second; asksFor(request, wire1.InternalAddressExpiry) && left > 0 && len(l.Addresses) > 0 {
		add(wire1.Attribute{Type: wire1.InternalAddressExpiry, Data: binary.BigEndian.AppendUint32(nil, uint32(min(left, maxExpiry)))})
	}
	if v := s.conn.ApplicationVersion; v != "" && asksFor(request, wire1.ApplicationVersion) {
		add(wire1.Attribute{Type: wire1.ApplicationVersion, Data: []byte(v)})
	}
	if asksFor(request, wire1.SupportedAttributes) {
		add(attribute(wire2.SupportedAttribute(supported)))
	}
	return append(list, s.unityTells(l, request)...)
}

// maxExpiry is what an attribute of four octets holds, in seconds.
const maxExpiry = 1<<32 - 1

// unrequested says that a peer without an address gets no child, nil when it has one or needs none.
func (s *SA) unrequested() *failure {
	if !s.configured().NeedsRequest() || len(s.inner.given) > 0 {
		return nil
	}
	return &failure{cause: event.CauseNoAddress, notify: wire1.InvalidIDInformation, by: byUs, reason: fmt.Sprintf(
		"the peer has no inner address, which connection %q gives it from pool %s when it asks by mode configuration (mode_config = \"push\" gives it unasked)",
		s.conn.Name, strings.Join(s.conn.Pools, ", "))}
}
