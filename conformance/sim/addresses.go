package sim

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/pool"
)

// addresses says that east asks west for inner addresses (RFC 7296 section 2.19), and what west has to give.
type addresses struct {
	ask  []netip.Addr
	four int           // IPv4 addresses in the pool; there is plenty of IPv6
	keep time.Duration // of the pool
}

// addressesSalt tells the generator of addresses from that of the world, so that worlds without any stay as they were.
const addressesSalt = 0xadd2e55e5

// drawAddresses makes up the addresses of a world, in a third of the worlds.
func drawAddresses(seed uint64) addresses {
	r := rand.New(rand.NewPCG(seed, addressesSalt))
	if r.IntN(3) != 0 {
		return addresses{}
	}
	a := addresses{four: r.IntN(4), keep: time.Duration(r.IntN(3)) * time.Minute}
	v4, v6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	a.ask = [][]netip.Addr{{v4}, {v4, v6}, {v6, v4}, {netip.MustParseAddr("10.9.0.2")}}[r.IntN(4)]
	return a
}

func (a addresses) asked() bool { return len(a.ask) > 0 }

// pools returns what west gives addresses from.
func (a addresses) pools() []policy.Pool {
	p := policy.Pool{Name: "staff", Keep: a.keep, DNS: []netip.Addr{netip.MustParseAddr("10.2.0.53")},
		Ranges: []policy.Range{{First: netip.MustParseAddr("2001:db8:9::1"), Last: netip.MustParseAddr("2001:db8:9::ff")}}}
	if a.four > 0 {
		p.Ranges = append(p.Ranges, policy.Range{First: netip.MustParseAddr("10.9.0.1"), Last: netip.AddrFrom4([4]byte{10, 9, 0, byte(a.four)})})
	}
	return []policy.Pool{p}
}

// connect lets east ask and west give.
func (a addresses) connect(name string, c *policy.Connection) {
	child := c.Children[0]
	switch {
	case !a.asked():
	case name == "east":
		c.Virtual, child.LocalTS, child.LocalAssigned = a.ask, nil, true
	default:
		c.Pools, child.RemoteTS, child.RemoteAssigned = []string{"staff"}, nil, true
	}
}

// ask performs an operation: the pools' own, or a plugin's.
func (n *node) ask(op machine.Op) (machine.Result, *machine.CallError) {
	switch op := op.(type) {
	case machine.Lease:
		l, err := n.pools.Lease(n.w.clock.now, op)
		if err != nil {
			return nil, err
		}
		return l, nil
	case machine.Release:
		n.pools.Release(n.w.clock.now, op.Holder)
		return machine.Released{}, nil
	}
	return n.plugins.Perform(context.Background(), op)
}

// alive are the holders of leases whose SAs are there.
func (n *node) alive() map[event.UID]bool {
	alive := map[event.UID]bool{}
	for _, info := range n.shard.Infos() {
		alive[info.Inner.Holder] = true
	}
	return alive
}

// strays are the holders of leases whose SAs are gone.
func (n *node) strays() map[event.UID]bool {
	alive, strays := n.alive(), map[event.UID]bool{}
	for _, s := range n.pools.Stats() {
		for _, l := range s.Leases {
			for _, h := range l.Holders {
				if !alive[h] {
					strays[h] = true
				}
			}
		}
	}
	return strays
}

// addressesAgree: what west gave, east has, and the pool counts it as used. In IKEv1 west may give without having been asked, more than
// east takes.
func (c *check) addressesAgree() {
	east, west := c.w.nodes[0], c.w.nodes[1]
	given := map[string][]netip.Addr{}
	for _, info := range west.established() {
		given[info.IKE.SPIi+info.IKE.SPIr] = info.Inner.Given
		for _, a := range info.Inner.Given {
			if !west.holds(a, info.Inner.Holder) {
				c.w.fail("west gave %v, and its pool does not know", a)
			}
		}
	}
	for _, info := range east.established() {
		g, known := given[info.IKE.SPIi+info.IKE.SPIr]
		has := func(a netip.Addr) bool { return slices.Contains(info.Inner.Assigned, a) }
		if c.w.history.on {
			g = slices.DeleteFunc(slices.Clone(g), func(a netip.Addr) bool { return !has(a) })
		}
		if !slices.Equal(g, info.Inner.Assigned) && (known || !c.w.history.forgetful) {
			c.w.fail("west gave %v, east has %v", g, info.Inner.Assigned)
		}
	}
}

func (n *node) holds(a netip.Addr, holder event.UID) bool {
	return slices.ContainsFunc(n.pools.Stats(), func(s pool.Stat) bool {
		return slices.ContainsFunc(s.Leases, func(l pool.LeaseStat) bool { return l.Addr == a && slices.Contains(l.Holders, holder) })
	})
}

// strayLeases: only a plugin that never answers, or fails again and again, can keep an SA from giving its addresses back.
func (c *check) strayLeases() {
	for _, n := range c.w.nodes {
		n.lost = n.strays()
		if len(n.lost) > 0 && !c.w.faulty {
			c.w.fail("%s: SAs are gone and left %d leases behind: %v", n.name, len(n.lost), n.pools.Stats())
		}
	}
}

// noLeaseLeft: when all SAs have ended, so have their leases. What was left behind in the storm is found by who compares.
func (c *check) noLeaseLeft() {
	for _, n := range c.w.nodes {
		for h := range n.strays() {
			if !n.lost[h] {
				c.w.fail("%s: SA %v ended in the calm and left a lease behind", n.name, h)
			}
		}
		n.pools.Retain(n.w.clock.now, n.alive())
		n.pools.Retain(n.w.clock.now, n.alive())
		if left := len(n.strays()); left > 0 {
			c.w.fail("%s: %d leases are left behind for ever", n.name, left)
		}
	}
}
