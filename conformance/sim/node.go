package sim

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/conformance/linked"
	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/ikev1"
	"github.com/parley-ike/parley/core/ikev2"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/pool"
	"github.com/parley-ike/parley/plugins/auth/psk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/sa"
)

// node is one gateway: a shard, its plugins, and what it said.
type node struct {
	w       *world
	name    string
	has     []netip.Addr // its addresses, the one that it uses by default first
	shard   *engine.Shard
	plugins *linked.Plugins
	backend *backend
	pools   *pool.Allocator
	lost    map[event.UID]bool // leases that SAs of the storm left behind
	made    []*recorder
	records []event.Record
	flying  []*flight // calls that plugins are at work on
	queued  map[uint64]time.Time
	deaths  []death              // of plugins
	down    map[string]time.Time // until when a kind of plugin is dead
	dead    bool                 // the daemon is
	policy  *policy.Snapshot
	awake   time.Time // until then the node is paused
	wakeup  time.Time // the instant of the next tick that was asked for
}

// flight is a call on its way.
type flight struct {
	request machine.Request
	over    bool // nobody waits for the answer
	lost    bool // with the daemon
}

func newNode(w *world, name string, key string, p *policy.Snapshot) *node {
	n := &node{w: w, name: name, queued: map[uint64]time.Time{}, down: map[string]time.Time{}, policy: p}
	n.backend = &backend{rand: w.rand, fail: w.fail, children: map[sa.UID]sa.Child{}, reserved: map[uint32]bool{}}
	n.plugins = linked.New([]ke.Plugin{hashKE{w.chacha}}, []auth.Plugin{psk.New()}, store{[]byte(key)}, n.backend)
	n.pools = pool.NewAllocator(w.faults.addresses.pools())
	n.boot()
	return n
}

// boot starts a daemon that knows of no SA.
func (n *node) boot() {
	limits := engine.Limits{}
	if n.w.faults.cookies {
		limits.CookieThreshold = 1
	}
	if n.name == "west" {
		limits = n.w.faults.troubles.limits(limits)
	}
	n.shard = engine.NewShard(engine.ShardConfig{
		Rand: n.w.chacha, Protocol: recording{engine.NewIKEv2(&ikev2.Env{Policy: n.policy}), &n.made},
		IKEv1: recording1{engine.NewIKEv1(&ikev1.Env{Policy: n.policy}), &n.made}, Sender: n, Caller: n, Publisher: n,
		Gate: engine.NewGate(limits, n.w.chacha), Counters: &engine.Counters{},
	})
}

// do lets the node take something in, now or when its pause is over, and then does what the engine's loop does: what has
// expired comes before what is new.
func (n *node) do(f func()) {
	switch {
	case n.dead:
		return
	case n.w.clock.now.Before(n.awake):
		n.w.clock.at(n.awake, func() { n.do(f) })
		return
	}
	n.shard.Tick(n.w.clock.now)
	f()
	n.flush()
}

// flush ends a loop and asks to be woken at the deadline. Flush may bring another deadline only by what it hands over.
func (n *node) flush() {
	n.shard.Flush(n.w.clock.now)
	at := n.shard.Deadline()
	if at.IsZero() || at.Equal(n.wakeup) {
		return
	}
	n.wakeup = at
	n.w.clock.at(at, func() {
		if n.wakeup.Equal(at) {
			n.wakeup = time.Time{}
			n.do(func() {})
		}
	})
}

// Send implements engine.Sender.
func (n *node) Send(local, remote netip.AddrPort, b []byte) {
	n.w.check.sent(n, b)
	n.w.keepOpening(n, b)
	if slices.Contains(n.has, local.Addr()) {
		n.w.send(local, remote, b)
	}
}

// Flush implements engine.Sender.
func (n *node) Flush() {}

// Publish implements engine.Publisher.
func (n *node) Publish(r event.Record) {
	r.Time = n.w.clock.now
	n.records = append(n.records, r)
	n.w.check.said(n, r)
}

// Submit implements engine.Caller: a call takes a while, and may go wrong.
func (n *node) Submit(batch []machine.Request) {
	for _, r := range batch {
		n.fly(&flight{request: r})
	}
}

// Cancel implements engine.Caller. The operation is performed nevertheless: plugins do not know.
func (n *node) Cancel(o machine.Owner, t machine.Ticket) {
	for _, f := range n.flying {
		if f.request.Owner == o && f.request.Call.Ticket == t {
			f.over = true
		}
	}
}

func (n *node) fly(f *flight) {
	n.flying = append(n.flying, f)
	if n.struck(f) {
		return
	}
	faults, r := n.w.faults, n.w.rand
	delay := time.Duration(50+r.IntN(3000)) * time.Microsecond
	switch p := r.Float64(); {
	case p < faults.silent:
		return // no answer ever; the machine itself ends the wait
	case p < faults.silent+faults.failing:
		n.w.clock.in(delay, func() {
			n.land(f, nil, &machine.CallError{Kind: machine.Unavailable, Text: "sim: the plugin died"})
		})
		return
	case p < faults.silent+faults.failing+faults.late:
		delay = time.Duration(1+r.IntN(10)) * time.Second
	}
	n.w.clock.at(n.inOrder(f.request.Call.Key, delay), func() { n.perform(f) })
}

// inOrder keeps calls of one key in order.
func (n *node) inOrder(key uint64, delay time.Duration) time.Time {
	at := n.w.clock.now.Add(delay)
	if key == 0 {
		return at
	}
	if before := n.queued[key]; at.Before(before) {
		at = before
	}
	n.queued[key] = at
	return at
}

func (n *node) perform(f *flight) {
	if f.lost {
		return
	}
	if f.over && n.w.rand.IntN(2) == 0 { // a cancelled call may or may not have been begun
		n.land(f, nil, nil)
		return
	}
	result, err := n.ask(f.request.Call.Op)
	n.land(f, result, err)
}

func (n *node) land(f *flight, result machine.Result, err *machine.CallError) {
	for i, other := range n.flying {
		if other == f {
			n.flying = append(n.flying[:i], n.flying[i+1:]...)
			break
		}
	}
	if f.over {
		return
	}
	f.over = true
	reply := machine.Reply{Ticket: f.request.Call.Ticket, Result: result, Err: err}
	n.do(func() { n.shard.Return(n.w.clock.now, machine.Return{Owner: f.request.Owner, Reply: reply}) })
}

// crashBackend kills the SA backend: what it held is gone, and so are the calls to it. A second later it is back and is
// told what it should hold.
func (n *node) crashBackend() {
	n.backend.crash()
	for _, f := range append([]*flight(nil), n.flying...) {
		switch f.request.Call.Op.(type) {
		case machine.InstallChild, machine.UpdateChild, machine.RemoveChild, machine.AllocateSPI, machine.FreeSPI:
			n.land(f, nil, &machine.CallError{Kind: machine.Unavailable, Text: "sim: the SA backend died"})
		}
	}
	n.w.clock.in(time.Second, n.reconcile)
}

// place is what updates of a child change.
type place struct {
	local, remote         netip.Addr
	localPort, remotePort uint16
	held                  bool
}

func placeOf(c sa.Child) place { return place{c.Local, c.Remote, c.LocalPort, c.RemotePort, c.Held} }

// reconcile has SAs replace children that the backend has lost, and the backend update what was not confirmed and forget what no SA
// has.
func (n *node) reconcile() {
	wanted, updates := map[sa.UID]bool{}, n.w.edition >= haunted || n.w.history.on
	for _, c := range n.shard.Installed() {
		wanted[sa.UID(c.UID)] = true
		held, there := n.backend.children[sa.UID(c.UID)]
		switch {
		case there && updates && placeOf(held) != (place{c.Local, c.Remote, c.LocalPort, c.RemotePort, c.Held}):
			_, _ = n.plugins.Perform(context.Background(), machine.UpdateChild{Child: c})
		case there:
		case n.w.edition >= haunted: // under its keys it must not come back
			n.command(machine.ChildLost{SPIIn: c.SPIIn})
		default:
			if _, err := n.plugins.Perform(context.Background(), machine.InstallChild{Child: c}); err != nil {
				n.w.fail("%s: reconcile: %v", n.name, err)
			}
		}
	}
	held, _ := n.backend.List(context.Background(), linked.Owner)
	for _, c := range held {
		if !wanted[c.UID] {
			delete(n.backend.children, c.UID)
		}
	}
}

func (n *node) initiate() { n.initiateWith(n.w.faults.rekeys.children()) }

func (n *node) initiateWith(children []string) {
	peer := n.peer()
	n.do(func() {
		_, err := n.shard.Initiate(n.w.clock.now, peer.name, children, netip.AddrPortFrom(n.addr(), 500), netip.AddrPortFrom(peer.addr(), 500))
		if err != nil {
			n.w.fail("%s: initiate: %v", n.name, err)
		}
	})
}

// peer is the other one.
func (n *node) peer() *node {
	if n == n.w.nodes[0] {
		return n.w.nodes[1]
	}
	return n.w.nodes[0]
}

func (n *node) command(in machine.Input) {
	n.do(func() { n.shard.Command(n.w.clock.now, engine.Selector{All: true}, in) })
}

// established lists the SAs that are up.
func (n *node) established() []machine.Info {
	var up []machine.Info
	for _, info := range n.shard.Infos() {
		if !info.Established.IsZero() && info.State == "established" {
			up = append(up, info)
		}
	}
	return up
}
