package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/conformance/linked"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/sdk/sa"
)

// rekeys says how often SAs take each other's place in a world.
type rekeys struct {
	more     bool // there is a second child
	pfs      bool // children have key exchanges of their own
	lives    bool // lifetimes are short
	commands int  // of operators, at each node
	crossing int  // at both nodes at the same instant
	expiries int  // words of the SA backends, at each node
}

// rekeysSalt tells the generator of rekeys from that of the world, so that worlds without any stay as they were.
const rekeysSalt = 0x4e4e1f5

// rekeying is how long operators and backends rekey: through the storm and into the calm.
const rekeying = 3 * time.Minute

// drawRekeys makes up the rekeys of a world, in half of the worlds.
func drawRekeys(seed uint64) rekeys {
	r := rand.New(rand.NewPCG(seed, rekeysSalt))
	if r.IntN(2) == 0 {
		return rekeys{}
	}
	return rekeys{more: r.IntN(2) == 0, pfs: r.IntN(2) == 0, lives: r.IntN(3) == 0, commands: r.IntN(4), crossing: r.IntN(5), expiries: r.IntN(3)}
}

// connect gives a connection the second child and the lifetimes.
func (k rekeys) connect(w *world, name string, c *policy.Connection) {
	if k.more {
		lts, rts := "10.11.0.0/16", "10.12.0.0/16"
		if name == "west" {
			lts, rts = rts, lts
		}
		c.Children = append(c.Children, &policy.Child{Name: "dmz", LocalTS: []policy.Selector{w.selector(lts)}, RemoteTS: []policy.Selector{w.selector(rts)}})
	}
	if !k.pfs {
		for _, child := range c.Children {
			child.ESP = policy.WithoutKE(policy.DefaultESP())
		}
	}
	if k.lives {
		c.Lifetime.Time = 150 * time.Second
		for _, child := range c.Children {
			child.Lifetime.Time = time.Minute
		}
	}
}

func (k rekeys) children() []string {
	if k.more {
		return []string{"lan", "dmz"}
	}
	return []string{"lan"}
}

// planRekeys lays down who replaces what when.
func (w *world) planRekeys() {
	k := w.faults.rekeys
	for _, n := range w.nodes {
		for range k.commands {
			w.sometime(func() { n.command(w.anyRekey()) }, rekeying)
		}
		for range k.expiries {
			w.sometime(n.childExpires, rekeying)
		}
	}
	for range k.crossing {
		one, other := w.anyRekey(), w.anyRekey()
		gap := time.Duration(w.rand.IntN(3)) * w.faults.latency
		w.sometime(func() {
			w.nodes[0].command(one)
			w.clock.in(gap, func() { w.nodes[1].command(other) })
		}, rekeying)
	}
}

// anyRekey is a command to replace the IKE SAs, or the children of a name.
func (w *world) anyRekey() machine.Rekey {
	names := append(w.faults.rekeys.children(), "")
	return machine.Rekey{Child: names[w.rand.IntN(len(names))]}
}

// childExpires lets the SA backend say that a child has carried enough; rarely, all.
func (n *node) childExpires() {
	held, _ := n.backend.List(context.Background(), linked.Owner)
	if len(held) > 0 {
		c := held[n.w.rand.IntN(len(held))]
		n.command(machine.ChildExpired{SPIIn: c.SPIIn, Hard: n.w.rand.IntN(4) == 0, Cause: "packets"})
	}
}

// rest lets what is being replaced come to its end, and demands that it does within the time of an exchange with its repetitions.
func (w *world) rest() {
	for range restTries {
		if w.check.atRest() {
			return
		}
		w.clock.runUntil(w.clock.now.Add(time.Second))
	}
}

// restTries is in seconds: the pauses of RFC 7296 section 2.25 and what a lifetime brings in between.
const restTries = 180

// atRest reports whether both sides hold and use the same children, and no SA is on its way out.
func (c *check) atRest() bool {
	for _, n := range c.w.nodes {
		if slices.ContainsFunc(n.shard.Infos(), func(i machine.Info) bool {
			return i.State == "pending" || i.State == "rekeyed" || i.State == "deleting"
		}) {
			return false
		}
		if c.w.edition >= haunted && len(n.shard.Installed()) != len(n.backend.children) { // one that was lost is being replaced
			return false
		}
		for _, child := range n.backend.children {
			if child.Held {
				return false
			}
		}
	}
	east, west := c.w.nodes[0], c.w.nodes[1]
	same := slices.EqualFunc(east.pairs(false), west.pairs(true), func(a, b [2]uint32) bool { return a == b })
	return same && slices.Equal(spis(east), spis(west))
}

// pairs lists the SPIs of the children that a node holds, in order; turned, as the other one sees them.
func (n *node) pairs(turned bool) (list [][2]uint32) {
	for _, c := range n.backend.children {
		p := [2]uint32{c.SPIIn, c.SPIOut}
		if turned {
			p[0], p[1] = p[1], p[0]
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b [2]uint32) int { return slices.Compare(a[:], b[:]) })
	return list
}

// ownership: every child in a backend belongs to exactly one SA and is in use, and every child of an SA is in the backend.
func (c *check) ownership() {
	for _, n := range c.w.nodes {
		owners := map[event.UID]int{}
		for _, child := range n.shard.Installed() {
			owners[child.UID]++
		}
		for _, child := range n.backend.children {
			if got := owners[event.UID(child.UID)]; got != 1 {
				c.w.fail("%s: child %x has %d owners", n.name, child.SPIIn, got)
			}
			if child.Held {
				c.w.fail("%s: child %x is held back for ever", n.name, child.SPIIn)
			}
		}
		if len(owners) != len(n.backend.children) {
			c.w.fail("%s: SAs have %d children, the backend %d", n.name, len(owners), len(n.backend.children))
		}
	}
}

// noSPILeft: what was allocated was installed or given back, unless answers of the backend were lost.
func (c *check) noSPILeft() {
	if c.w.faulty || c.w.lossy {
		return
	}
	for _, n := range c.w.nodes {
		if left := len(n.backend.reserved); left > 0 {
			c.w.fail("%s has %d SPIs that no child has", n.name, left)
		}
	}
}

// reserve notes an SPI that no child has.
func (b *backend) reserve(spi uint32) uint32 {
	b.reserved[spi] = true
	return spi
}

// forget notes that a child has it, or nobody.
func (b *backend) forget(c sa.Child) { delete(b.reserved, c.SPIIn) }
