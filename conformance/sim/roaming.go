package sim

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/conformance/linked"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/sdk/sa"
)

// roaming says how the nodes of a world change their addresses (RFC 4555), which paths break for a while, and when ESP flows, by
// which a NAT's new mapping is seen first (RFC 7296 section 2.23). It has randomness of its own.
type roaming struct {
	mobike [2]bool // the connection permits it
	both   [2]bool // the node has both of its addresses from the beginning, and tells its peer
	moves  int     // of either node
	cuts   int     // of the path between two addresses
	flows  int     // instants at which packets go through all children, in both directions
}

// roamingSalt tells the generator of roaming from that of the world.
const roamingSalt = 0x40a317

const (
	// noticing is how long a daemon takes to see that its addresses have changed.
	noticing = 200 * time.Millisecond
	// longestCut is shorter than the time in which a peer is given up.
	longestCut = 40 * time.Second
)

// addressesOf are those that a node may have. Only the first of east is behind the NAT, if there is one.
var addressesOf = map[string][2]netip.Addr{
	"east": {eastAddr, netip.MustParseAddr("192.0.2.11")},
	"west": {westAddr, netip.MustParseAddr("198.51.100.12")},
}

// drawRoaming makes up the roaming of a world, in a third of the worlds. MOBIKE is on in most of the others as well.
func drawRoaming(seed uint64) roaming {
	r := rand.New(rand.NewPCG(seed, roamingSalt))
	m := roaming{mobike: [2]bool{r.IntN(4) != 0, r.IntN(4) != 0}, flows: r.IntN(3) * r.IntN(4)}
	if r.IntN(3) != 0 {
		return m
	}
	m.both = [2]bool{r.IntN(2) == 0, r.IntN(2) == 0}
	m.moves, m.cuts = 1+r.IntN(4), r.IntN(4)
	return m
}

// moving reports whether addresses change or paths break.
func (m roaming) moving() bool { return m.moves+m.cuts > 0 }

// connect lets a connection be used from everywhere to everywhere.
func (m roaming) connect(name string, c *policy.Connection) {
	i := map[string]int{"west": 1}[name]
	c.MOBIKE = m.mobike[i]
	if !m.moving() {
		return
	}
	c.Local.Addr, c.Remote.Addr = netip.Addr{}, netip.Addr{}
	if all := addressesOf[name]; m.both[i] {
		c.Local.Additional = all[:]
	}
}

// settleDown gives a node its first addresses.
func (m roaming) settleDown(n *node, i int) {
	all := addressesOf[n.name]
	n.has = all[:1]
	if m.moving() && m.both[i] {
		n.has = all[:]
	}
}

// plan lays down moves, cuts and flows in the storm.
func (m roaming) plan(w *world) {
	for range m.moves {
		w.sometime(w.nodes[w.rand.IntN(2)].move, storm)
	}
	for range m.cuts {
		w.sometime(w.cutPath, storm)
	}
	for range m.flows {
		w.sometime(w.flow, storm)
	}
}

// addr is the address that a node uses by default.
func (n *node) addr() netip.Addr { return n.has[0] }

// move lets a node have one of its addresses, the other one, or both; a little later its daemon sees that.
func (n *node) move() {
	all := addressesOf[n.name]
	one, other := all[0], all[1]
	choices := [][]netip.Addr{{one}, {other}, {one, other}, {other, one}}
	n.has = choices[n.w.rand.IntN(len(choices))]
	n.w.clock.in(noticing, n.roam)
}

// roam does what a daemon does when its addresses have changed: SAs whose address is gone, and those that the node began, go where
// the node is now.
func (n *node) roam() {
	for _, info := range n.established() {
		at := info.IKE.Local.Addr()
		if at == n.addr() || info.IKE.Role == "responder" && slices.Contains(n.has, at) {
			continue
		}
		n.do(func() {
			n.shard.Command(n.w.clock.now, engine.Selector{UID: info.UID},
				machine.Migrate{Local: netip.AddrPortFrom(n.addr(), 0), Additional: n.has[1:]})
		})
	}
}

// cut is a pair of addresses between which nothing passes.
type cut struct {
	one, other netip.Addr
	until      time.Time
}

func (w *world) cutPath() {
	east, west := addressesOf["east"][w.rand.IntN(2)], addressesOf["west"][w.rand.IntN(2)]
	w.cuts = append(w.cuts, cut{east, west, w.clock.now.Add(time.Duration(w.rand.Int64N(int64(longestCut))))})
}

// broken reports whether nothing passes between two addresses.
func (w *world) broken(a, b netip.Addr) bool {
	return slices.ContainsFunc(w.cuts, func(c cut) bool {
		return (c.one == a && c.other == b || c.one == b && c.other == a) && w.clock.now.Before(c.until)
	})
}

// flow sends a packet through every child, in both directions.
func (w *world) flow() {
	for _, n := range w.nodes {
		held, _ := n.backend.List(context.Background(), linked.Owner)
		for _, c := range held {
			n.sendESP(c)
		}
	}
}

// sendESP sends a packet by a child. Where it comes from is what the peer's SA backend tells, if that is new.
func (n *node) sendESP(c sa.Child) {
	peer, there, at := n.reach(c)
	if peer == nil || c.Held || n.w.broken(c.Local, c.Remote) {
		return
	}
	n.w.clock.in(n.w.faults.latency, func() {
		if from := at.from; there.Encap && from != netip.AddrPortFrom(there.Remote, there.RemotePort) {
			peer.command(machine.ChildMoved{SPIIn: there.SPIIn, Remote: from})
		}
	})
}

// path is between which addresses a packet is on its way.
type path struct{ from, to netip.AddrPort }

// reach returns the node and the child that a packet of a child comes to, nil for none, and the path as it looks there.
func (n *node) reach(c sa.Child) (*node, sa.Child, path) {
	var none sa.Child
	p := path{netip.AddrPortFrom(c.Local, c.LocalPort), netip.AddrPortFrom(c.Remote, c.RemotePort)}
	if !slices.Contains(n.has, c.Local) {
		return nil, none, p
	}
	if nat := n.w.nat; nat != nil && (c.Local == eastAddr || c.Remote == natAddr) {
		if !c.Encap { // there is no port to tell by whose it is
			return nil, none, p
		}
		p.from, p.to = nat.translate(n.w, p.from, p.to)
	}
	peer := n.w.nodeAt(p.to.Addr())
	if peer == nil {
		return nil, none, p
	}
	for _, there := range peer.backend.children {
		if there.SPIIn == c.SPIOut {
			return peer, there, p
		}
	}
	return nil, none, p
}

// flows: what a child sends arrives at the other half of it, from where that half sends to.
func (c *check) flows() {
	for _, n := range c.w.nodes {
		held, _ := n.backend.List(context.Background(), linked.Owner)
		for _, child := range held {
			peer, there, p := n.reach(child)
			switch {
			case (peer == nil || peer == n) && n.w.history.forgetful:
			case peer == nil || peer == n:
				c.w.fail("%s: packets of child %x from %v to %v arrive nowhere", n.name, child.SPIIn, p.from, p.to)
			case there.Remote != p.from.Addr() || there.Encap && there.RemotePort != p.from.Port() || there.Local != p.to.Addr():
				c.w.fail("%s: packets of child %x come to %s from %v to %v, and its own go from %v to %v port %d", n.name, child.SPIIn,
					peer.name, p.from, p.to, there.Local, there.Remote, there.RemotePort)
			}
		}
	}
}
