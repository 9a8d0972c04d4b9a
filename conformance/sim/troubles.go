package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/parley-ike/parley/conformance/linked"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/pool"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// troubles are what befalls nodes in a storm: plugins that die in the middle of an exchange, children that an SA backend loses, the
// death of a whole daemon, packets that meet a trap, and floods of first messages.
type troubles struct {
	deaths   [2][]death
	losses   int
	acquires int
	restarts [2]int
	floods   int
	limited  bool // west's limits are so low that a flood reaches them
}

// death is how a plugin dies: when it is asked for an operation for the nth time.
type death struct {
	op   string
	nth  int
	done bool // it has done what it was asked for
	down time.Duration
}

const (
	troublesSalt = 0x7207b1e5
	longestDown  = 12 * time.Second
	floodSize    = 30
)

// deadly are the operations at which plugins die, and so every exchange.
var deadly = []string{"KEInitiate", "KERespond", "KEFinish", "Sign", "Verify", "Authenticate",
	"AllocateSPI", "FreeSPI", "InstallChild", "UpdateChild", "RemoveChild", "QueryUsage"}

// drawTroubles makes up the troubles of a world, in half of the worlds.
func drawTroubles(seed uint64) troubles {
	r := rand.New(rand.NewPCG(seed, troublesSalt))
	var t troubles
	rarely := func(n int) int {
		if r.IntN(4) != 0 {
			return 0
		}
		return 1 + r.IntN(n)
	}
	if r.IntN(2) == 0 {
		return t
	}
	for i := range t.deaths {
		for range rarely(3) {
			t.deaths[i] = append(t.deaths[i], death{deadly[r.IntN(len(deadly))], 1 + r.IntN(4), r.IntN(2) == 0, time.Duration(r.Int64N(int64(longestDown)))})
		}
		t.restarts[i] = rarely(2)
	}
	t.losses, t.acquires, t.floods = rarely(4), rarely(6), rarely(3)
	t.limited = r.IntN(2) == 0
	return t
}

// harmful reports whether they may keep the first attempt from success. A flood may not.
func (t troubles) harmful() bool {
	return len(t.deaths[0])+len(t.deaths[1])+t.losses+t.acquires+t.restarts[0]+t.restarts[1] > 0
}

// lossy reports whether SPIs may be left in a backend: nobody knows of those that a dead plugin, or daemon, was about to give.
func (t troubles) lossy() bool {
	return len(t.deaths[0])+len(t.deaths[1])+t.restarts[0]+t.restarts[1] > 0
}

// limits of west let few in without a cookie, so that a flood of some packets is one.
func (t troubles) limits(l engine.Limits) engine.Limits {
	if t.limited {
		l.CookieThreshold, l.SourceCookieThreshold = 4, 2
	}
	return l
}

// plan lays down the troubles. What depends on operations comes by itself.
func (t troubles) plan(w *world) {
	w.dice = rand.New(rand.NewPCG(w.seed, troublesSalt+1))
	sometime := func(do func()) { w.clock.in(time.Duration(w.dice.Int64N(int64(storm))), do) }
	some := func() *node { return w.nodes[w.dice.IntN(2)] }
	for i, n := range w.nodes {
		n.deaths = t.deaths[i]
		for range t.restarts[i] {
			sometime(n.restart)
		}
	}
	for range t.losses {
		sometime(some().loseChild)
	}
	for range t.acquires {
		n, children := some(), w.faults.rekeys.children()
		name := children[w.dice.IntN(len(children))]
		again := w.dice.IntN(2) == 0
		sometime(func() {
			if n.acquire(name); again {
				w.clock.in(w.faults.latency, func() { n.acquire(name) })
			}
		})
	}
	for range t.floods {
		sometime(w.flood)
	}
}

// kindOf tells which plugin performs an operation, "" for none.
func kindOf(op machine.Op) (kind, name string) {
	switch op.(type) {
	case machine.KEInitiate:
		return "ke", "KEInitiate"
	case machine.KERespond:
		return "ke", "KERespond"
	case machine.KEFinish:
		return "ke", "KEFinish"
	case machine.Sign:
		return "auth", "Sign"
	case machine.Verify:
		return "auth", "Verify"
	case machine.Authenticate:
		return "auth", "Authenticate"
	case machine.CheckPassword:
		return "cred", "CheckPassword"
	case machine.OwnPassword:
		return "cred", "OwnPassword"
	case machine.SKEYID:
		return "auth", "SKEYID"
	case machine.Protect:
		return "auth", "Protect"
	case machine.Unprotect:
		return "auth", "Unprotect"
	case machine.AllocateSPI:
		return "sa", "AllocateSPI"
	case machine.FreeSPI:
		return "sa", "FreeSPI"
	case machine.InstallChild:
		return "sa", "InstallChild"
	case machine.UpdateChild:
		return "sa", "UpdateChild"
	case machine.RemoveChild:
		return "sa", "RemoveChild"
	case machine.QueryUsage:
		return "sa", "QueryUsage"
	}
	return "", ""
}

// struck reports whether a call meets a dead plugin, or kills it, which none does when healing must begin. It is answered when the loop
// at hand is over.
func (n *node) struck(f *flight) bool {
	kind, name := kindOf(f.request.Call.Op)
	if n.w.clock.now.Before(n.down[kind]) {
		n.w.clock.in(time.Millisecond, func() { n.land(f, nil, died()) })
		return true
	}
	for i := range n.deaths {
		d := &n.deaths[i]
		if d.op != name || n.w.age() > rekeying {
			continue
		}
		if d.nth--; d.nth == 0 {
			n.w.clock.in(time.Millisecond, func() { n.die(f, kind, *d) })
			return true
		}
	}
	return false
}

func died() *machine.CallError {
	return &machine.CallError{Kind: machine.Unavailable, Text: "sim: the plugin died"}
}

// die kills a plugin in the middle of a call, with all other calls that it is at work on. It comes back with nothing.
func (n *node) die(f *flight, kind string, d death) {
	if d.done && !f.over {
		_, _ = n.ask(f.request.Call.Op)
	}
	n.down[kind] = n.w.clock.now.Add(d.down)
	if kind == "sa" {
		n.backend.crash()
		n.w.clock.in(d.down, n.reconcile)
	}
	for _, other := range append([]*flight(nil), n.flying...) {
		if k, _ := kindOf(other.request.Call.Op); k == kind {
			n.land(other, nil, died())
		}
	}
}

// loseChild has the SA backend lose a child, and tell of it.
func (n *node) loseChild() {
	held, _ := n.backend.List(context.Background(), linked.Owner)
	if len(held) > 0 {
		c := held[n.w.dice.IntN(len(held))]
		delete(n.backend.children, c.UID)
		n.command(machine.ChildLost{SPIIn: c.SPIIn})
	}
}

// acquire does what a daemon does when a packet meets a trap: the child comes up in the newest IKE SA, or with a new one.
func (n *node) acquire(child string) {
	var latest machine.Info
	for _, info := range n.established() {
		if info.Established.After(latest.Established) {
			latest = info
		}
	}
	switch {
	case !latest.Established.IsZero():
		n.do(func() {
			n.shard.Command(n.w.clock.now, engine.Selector{UID: latest.UID}, machine.Initiate{Children: []string{child}})
		})
	case n.name == "east" || n.w.faults.both: // else it cannot reach the other
		n.initiateWith([]string{child})
	}
}

// restart kills the daemon with its plugins. What the SA backend has put into the kernel stays, and so does the lease file.
func (n *node) restart() {
	n.dead = true
	for _, f := range n.flying {
		f.over, f.lost = true, true
	}
	n.flying = nil
	n.w.clock.in(time.Duration(1+n.w.dice.IntN(8))*time.Second, func() {
		n.dead, n.wakeup = false, time.Time{}
		records := n.pools.Records()
		n.pools = pool.NewAllocator(n.w.faults.addresses.pools())
		n.pools.Restore(records, n.w.clock.now)
		n.boot()
		n.reconcile()
		if n.name == "east" || n.w.faults.both {
			n.initiate()
		}
	})
}

// flood sends west first messages from addresses that nobody has.
func (w *world) flood() {
	if w.opening == nil {
		return
	}
	r := w.dice
	for i := range floodSize {
		b := bytes.Clone(w.opening)
		binary.BigEndian.PutUint64(b, r.Uint64()|1)
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, 64, byte(r.IntN(4)), byte(i)}), 500)
		to := netip.AddrPortFrom(w.nodes[1].addr(), 500)
		w.clock.in(time.Duration(r.IntN(1000))*time.Millisecond, func() { w.arrive(from, to, b) })
	}
}

// keepOpening remembers a first message of east, for floods.
func (w *world) keepOpening(n *node, b []byte) {
	h, err := wire.ParseHeader(b)
	if err == nil && w.opening == nil && n == w.nodes[0] && h.Exchange == wire2.IKESAInit && h.ResponderSPI == 0 {
		w.opening = b
	}
}
