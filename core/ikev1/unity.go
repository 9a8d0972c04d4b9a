package ikev1

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// This file is about the attributes of Cisco's Unity clients, which no document describes. They are private to peers that sent the vendor
// ID; ours goes to those whom we give addresses or ask for some.

const (
	// splitSize is the size of a network in UNITY_SPLIT_INCLUDE in octets: address, netmask, protocol and two ports. The last three are
	// 0, for all.
	splitSize = 14
	// maxBanner bounds the text for the user that we repeat, in octets.
	maxBanner = 2048
)

// unityID returns the vendor ID if there is a use for it.
func (s *SA) unityID() []wire1.Payload {
	uses := func(c *policy.Connection) bool { return c != nil && len(c.Pools)+len(c.Virtual) > 0 }
	if !uses(s.conn) && !slices.ContainsFunc(s.candidates, uses) {
		return nil
	}
	return []wire1.Payload{wire1.VendorUnity.ID()}
}

// unityWishes asks a Unity peer for what we take.
func (s *SA) unityWishes() (list []wire1.Attribute) {
	if !s.unity {
		return nil
	}
	for _, t := range unityTaken {
		list = append(list, wire1.Attribute{Type: t})
	}
	return list
}

// unityTaken are the attributes that a client of ours takes. It saves no password, has its own idea of PFS, and knows of no backup
// servers.
var unityTaken = []uint16{wire1.UnityBanner, wire1.UnityDefaultDomain, wire1.UnitySplitDNS, wire1.UnitySplitInclude}

// takesUnity reports whether an attribute is one of them.
func (s *SA) takesUnity(t uint16) bool { return s.unity && slices.Contains(unityTaken, t) }

// unityTold takes what a Unity server tells with our addresses: a text for the user, the domain that names are in, the domains that its DNS
// servers are for, and the networks behind it.
func (s *SA) unityTold(e *event.AddressAssigned, told []wire1.Attribute) {
	for _, a := range told {
		if !s.takesUnity(a.Type) {
			continue
		}
		switch a.Type {
		case wire1.UnityBanner:
			e.Banner = banner(a.Data)
		case wire1.UnityDefaultDomain:
			e.Search, _ = domain(string(a.Data))
		case wire1.UnitySplitDNS:
			e.Domains = splitDomains(e.Domains, a.Data)
		case wire1.UnitySplitInclude:
			e.Subnets = splitNetworks(e.Subnets, a.Data)
		}
	}
	if len(e.DNS) == 0 {
		e.Domains = nil
	}
}

// banner returns a text without what would move a terminal's cursor, and no longer than maxBanner.
func banner(b []byte) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		switch {
		case c == '\n':
			return c
		case c == '\r':
			return -1
		case c < ' ' || c >= 0x7f && c < 0xa0 || c == '\uFFFD':
			return '?'
		}
		return c
	}, string(b[:min(len(b), maxBanner)])))
}

// domain returns a name if it is one.
func domain(name string) (string, bool) {
	return wire2.CPAttribute{Type: wire2.InternalDNSDomain, Value: []byte(strings.TrimRight(name, "\x00"))}.Domain()
}

// splitDomains adds those of UNITY_SPLITDNS_NAME to others: names between commas, or blanks.
func splitDomains(list []string, b []byte) []string {
	for _, word := range strings.FieldsFunc(string(b), func(c rune) bool { return c == ',' || c == ' ' || c == 0 }) {
		if name, ok := domain(word); ok && len(list) < maxTold && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// splitNetworks adds those of UNITY_SPLIT_INCLUDE to others.
func splitNetworks(list []netip.Prefix, b []byte) []netip.Prefix {
	for ; len(b) >= splitSize && len(list) < maxTold; b = b[splitSize:] {
		a := wire2.CPAttribute{Type: wire2.InternalIP4Subnet, Value: b[:8]}
		if p, ok := a.Subnet(); ok && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// unityTells returns what a Unity client asks for. Its networks are those of the pool, else those of the children.
func (s *SA) unityTells(l machine.Leased, request []wire1.Attribute) (list []wire1.Attribute) {
	if !s.unity {
		return nil
	}
	add := func(t uint16, value []byte) {
		if len(value) > 0 && asksFor(request, t) {
			list = append(list, wire1.Attribute{Type: t, Data: value})
		}
	}
	add(wire1.UnityBanner, []byte(l.Banner))
	if len(l.Domains) > 0 {
		add(wire1.UnityDefaultDomain, []byte(l.Domains[0]))
		add(wire1.UnitySplitDNS, []byte(strings.Join(l.Domains, ",")))
	}
	if len(l.Addresses) > 0 {
		add(wire1.UnitySplitInclude, s.splitInclude(l))
	}
	if asksFor(request, wire1.UnityPFS) {
		list = append(list, wire1.NumberAttribute(wire1.UnityPFS, s.wantsPFS()))
	}
	return list
}

// splitInclude lists the networks behind us. All addresses are no network: a client that is told of none sends all.
func (s *SA) splitInclude(l machine.Leased) (b []byte) {
	nets := slices.Clone(l.Subnets)
	for _, c := range s.conn.Children {
		for _, ts := range c.LocalTS {
			if p, ok := ts.Prefix(); ok && len(l.Subnets) == 0 {
				nets = append(nets, p)
			}
		}
	}
	for _, p := range nets {
		if p.Addr().Is4() && p.Bits() > 0 {
			b = append(b, wire2.SubnetAttribute(p).Value...)
			b = append(b, make([]byte, splitSize-8)...)
		}
	}
	return b
}

// wantsPFS is 1 if a client has to have a group in quick mode, else 0.
func (s *SA) wantsPFS() uint64 {
	for _, c := range s.conn.Children {
		if policy.FirstGroup(c.ESP) != 0 && !policy.PermitsKE(c.ESP, 0) {
			return 1
		}
	}
	return 0
}
