package userspace

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// Limits on a child's selectors: RFC 7296 section 3.13 allows 255 of each, far more than anyone uses.
const maxSelectors = 255

// A selector of OPAQUE ports covers exactly the packets that show no ports (RFC 7296 section 3.13.1).
const opaqueStart, opaqueEnd = 65535, 0

// holds tells whether one selector covers an address, protocol and port.
func holds(s *sa.Selector, addr netip.Addr, f *flow, port uint16) bool {
	if s.Start.BitLen() != addr.BitLen() || addr.Less(s.Start) || s.End.Less(addr) {
		return false
	}
	if s.Protocol == 0 {
		return true
	}
	if s.Protocol != f.proto {
		return false
	}
	if !f.ports {
		return anyPort(s) || opaque(s) // RFC 4301 section 7
	}
	return port >= s.StartPort && port <= s.EndPort
}

func anyPort(s *sa.Selector) bool { return s.StartPort == 0 && s.EndPort == 65535 }
func opaque(s *sa.Selector) bool  { return s.StartPort == opaqueStart && s.EndPort == opaqueEnd }

// rule is one pair of selectors under which a child takes outbound packets.
type rule struct {
	child         *child
	local, remote *sa.Selector
}

func (r *rule) covers(f *flow) bool {
	return holds(r.remote, f.dst, f, f.dstPort) && holds(r.local, f.src, f, f.srcPort)
}

// within tells whether an inbound packet is what the child's peer may send: from its selectors to ours (RFC 4301 section 5.2).
func (c *child) within(f *flow) bool {
	back := flow{src: f.dst, dst: f.src, proto: f.proto, srcPort: f.dstPort, dstPort: f.srcPort, ports: f.ports}
	for i := range c.rules {
		if c.rules[i].covers(&back) {
			return true
		}
	}
	return false
}

// makeRules pairs the selectors of both sides, of one family each.
func makeRules(c *child) ([]rule, error) {
	for _, list := range [][]sa.Selector{c.LocalTS, c.RemoteTS} {
		if len(list) == 0 || len(list) > maxSelectors {
			return nil, fmt.Errorf("%d traffic selectors on a side; 1 to %d can be used: %w", len(list), maxSelectors, sdk.ErrInvalid)
		}
		for i := range list {
			if s := &list[i]; !s.Start.IsValid() || s.Start.BitLen() != s.End.BitLen() || s.End.Less(s.Start) || s.Start.Is4In6() {
				return nil, fmt.Errorf("traffic selector from %v to %v is no range: %w", s.Start, s.End, sdk.ErrInvalid)
			}
		}
	}
	var rules []rule
	for i := range c.LocalTS {
		for j := range c.RemoteTS {
			if c.LocalTS[i].Start.BitLen() == c.RemoteTS[j].Start.BitLen() {
				rules = append(rules, rule{c, &c.LocalTS[i], &c.RemoteTS[j]})
			}
		}
	}
	if len(rules) == 0 {
		return nil, fmt.Errorf("no local traffic selector has the address family of a remote one: %w", sdk.ErrInvalid)
	}
	return rules, nil
}

// order sorts rules so that the first that covers a packet is the right one: smaller remote ranges first, then smaller
// local ones, then those that name a protocol, then fewer ports, then the newer child.
func order(a, b rule) int {
	for _, d := range []int{
		span(a.remote) - span(b.remote), span(a.local) - span(b.local),
		protocols(a) - protocols(b), ports(a) - ports(b),
	} {
		if d != 0 {
			return d
		}
	}
	switch {
	case a.child.born > b.child.born:
		return -1
	case a.child.born < b.child.born:
		return 1
	}
	return 0
}

// span is the number of bits that vary in a range of addresses, which orders ranges by size.
func span(s *sa.Selector) int {
	from, to := s.Start.As16(), s.End.As16()
	borrow := uint(0)
	var diff [16]byte
	for i := 15; i >= 0; i-- {
		d := uint(to[i]) - uint(from[i]) - borrow
		diff[i], borrow = byte(d), d>>8&1
	}
	at := slices.IndexFunc(diff[:], func(b byte) bool { return b != 0 })
	if at < 0 {
		return 0
	}
	return (15-at)*8 + bits.Len8(diff[at])
}

func protocols(r rule) int {
	n := 2
	for _, s := range []*sa.Selector{r.local, r.remote} {
		if s.Protocol != 0 {
			n--
		}
	}
	return n
}

func ports(r rule) int {
	return max(int(r.remote.EndPort)-int(r.remote.StartPort), 0) + max(int(r.local.EndPort)-int(r.local.StartPort), 0)
}

// table is an immutable view of all children, for the data path.
type table struct {
	bySPI map[uint32]*child
	rules []rule // in the order of the search
}

func newTable(children map[sa.UID]*child) *table {
	t := &table{bySPI: make(map[uint32]*child, len(children))}
	for _, c := range children {
		t.bySPI[c.SPIIn] = c
		if !c.Held { // its predecessor goes on sending
			t.rules = append(t.rules, c.rules...)
		}
	}
	slices.SortStableFunc(t.rules, order)
	return t
}

// add puts traps beneath all children.
func (t *table) add(traps []*trap) {
	var rules []rule
	for _, x := range traps {
		rules = append(rules, x.pseudo.rules...)
	}
	slices.SortStableFunc(rules, order)
	t.rules = append(t.rules, rules...)
}

// find returns the child that takes an outbound packet, or else the trap that it meets; nil for nothing.
func (t *table) find(f *flow) *child {
	for i := range t.rules {
		if t.rules[i].covers(f) {
			return t.rules[i].child
		}
	}
	return nil
}
