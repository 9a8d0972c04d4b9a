package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

const (
	storm = time.Minute
	// healing is longer than the longest wait of a machine: a dead peer is given up after 30 s of silence and about two
	// minutes of retransmissions, after a pause that may reach into the calm.
	healing = 8 * time.Minute
	// retry is when an operator, or a policy, tries again what has not come up.
	retry = 30 * time.Second
	// ending is longer than a deletion, its linger and the removal of children.
	ending = 3 * time.Minute
)

// edition says what the worlds have. A seed is kept with the edition that it was found in, because what is added changes every world.
type edition int

const (
	addressed edition = iota - 2 // historic, and mode configuration
	historic                     // IKEv1, and the faults of first
	first
	rekeyed  // rekeying
	restless // roaming
	haunted  // troubles and redirects
	latest   = haunted
)

// world is two nodes and what is between them.
type world struct {
	seed     uint64
	edition  edition
	rand     *rand.Rand
	chacha   *rand.ChaCha8
	clock    *clock
	faults   faults
	session  session
	history  history
	lossy    bool // SA backends crash, or answer too late
	faulty   bool // plugins fail, or do not answer, in the storm
	nat      *nat
	cuts     []cut
	opening  []byte     // a first message of east
	dice     *rand.Rand // of the troubles
	nodes    [2]*node   // east, west
	check    *check
	failures []string
}

// newWorld makes the world of a seed.
func newWorld(seed uint64, e edition) *world {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	w := &world{seed: seed, edition: e, rand: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), chacha: rand.NewChaCha8(key), clock: newClock()}
	w.faults = draw(w.rand)
	if e >= first || e == addressed {
		w.faults.addresses = drawAddresses(seed)
	}
	if e >= first {
		w.faults.messages = drawMessages(seed)
	}
	w.faulty = w.faults.silent+w.faults.failing > 0
	if e >= restless {
		w.faults.roaming = drawRoaming(seed)
	}
	if e >= haunted {
		w.faults.troubles, w.faults.redirects = drawTroubles(seed), drawRedirects(seed, w.faults)
	}
	w.session = drawSession(seed, w.faults)
	if e <= historic {
		w.history = drawHistory(seed, &w.faults, &w.session)
	}
	if e >= rekeyed {
		w.faults.rekeys = drawRekeys(seed)
	}
	w.lossy = w.faults.crashes > 0 || w.faults.late > 0 || w.faults.troubles.lossy()
	w.check = newCheck(w)
	if w.faults.nat {
		w.nat, w.faults.both = &nat{}, false // nobody can call through the NAT
	}
	if w.faults.addresses.asked() || w.faults.redirects.at != 0 {
		w.faults.both = false // who gives addresses waits for those who want some
	}
	eastKey, westKey := "key", "key"
	if w.faults.wrongKey {
		westKey = "another key"
	}
	w.nodes[0] = newNode(w, "east", eastKey, w.policy("east"))
	w.nodes[1] = newNode(w, "west", westKey, w.policy("west"))
	for i, n := range w.nodes {
		w.faults.roaming.settleDown(n, i)
	}
	return w
}

// policy is one connection with one child.
func (w *world) policy(name string) *policy.Snapshot {
	local, remote, lts, rts := eastAddr, westAddr, "10.1.0.0/16", "10.2.0.0/16"
	peer := "west"
	if name == "west" {
		local, remote, lts, rts, peer = westAddr, eastAddr, "10.2.0.0/16", "10.1.0.0/16", "east"
	}
	c := &policy.Connection{
		Name:   peer,
		Local:  policy.Endpoint{Addr: local, Identity: policy.Identity{Type: wire2.IDFQDN, Data: name}},
		Remote: policy.Endpoint{Addr: remote, Identity: policy.Identity{Type: wire2.IDFQDN, Data: peer}},
		Children: []*policy.Child{{Name: "lan", LocalTS: []policy.Selector{w.selector(lts)},
			RemoteTS: []policy.Selector{w.selector(rts)}}},
	}
	w.faults.rekeys.connect(w, name, c)
	w.vary(name, c)
	w.faults.messages.connect(w, name, c)
	w.session.apply(map[string]int{"west": 1}[name], c)
	w.faults.addresses.connect(name, c)
	w.faults.roaming.connect(name, c)
	w.faults.redirects.connect(name, c)
	w.history.connect(w, name, c)
	c.ApplyDefaults()
	w.faults.messages.off(name, c)
	return &policy.Snapshot{Connections: append([]*policy.Connection{c}, w.faults.redirects.others(name, c)...)}
}

// vary makes the responder's configuration differ as the faults say.
func (w *world) vary(name string, c *policy.Connection) {
	c.IKE = []policy.Proposal{w.proposal("aes128gcm16-prfsha256-x25519-ecp256")}
	if name == "east" {
		return
	}
	if w.nat != nil {
		c.Remote.Addr = natAddr
	}
	if w.faults.otherGroup {
		c.IKE = []policy.Proposal{w.proposal("aes128gcm16-prfsha256-ecp256")}
	}
	if w.faults.wrongProposal {
		c.IKE = []policy.Proposal{w.proposal("aes256-sha256-x25519-ecp256")}
	}
	if w.faults.wrongSelectors {
		c.Children[0].LocalTS = []policy.Selector{w.selector("10.99.0.0/16")}
	}
}

func (w *world) selector(s string) policy.Selector {
	sel, err := policy.ParseSelector(s)
	if err != nil {
		w.fail("selector: %v", err)
	}
	return sel
}

func (w *world) proposal(s string) policy.Proposal {
	p, err := policy.ParseProposal(policy.ScopeIKE, s)
	if err != nil {
		w.fail("proposal: %v", err)
	}
	return p
}

// age is how long the world has existed.
func (w *world) age() time.Duration { return w.clock.now.Sub(newClock().now) }

func (w *world) fail(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf("%v ", w.age())+fmt.Sprintf(format, args...))
}

// run lives the world to its end.
func (w *world) run() {
	w.plan()
	w.clock.runUntil(w.clock.now.Add(storm))
	if w.faults.harmless() && w.history.churn == 0 && len(w.nodes[0].established()) == 0 { // an operator may call the attempt off
		w.fail("the first attempt failed although little went wrong")
	}
	w.faults = w.faults.calm()
	w.clock.runUntil(w.clock.now.Add(healing))
	w.heal()
	w.rest()
	w.check.agreement()
	w.session.sole(w)
	w.check.ownership()
	w.check.addressesAgree()
	w.check.flows()
	w.check.strayLeases()
	for _, n := range w.nodes {
		n.command(machine.Terminate{Reason: "the world ends"})
	}
	w.clock.runUntil(w.clock.now.Add(ending))
	w.check.nothingLeft()
	w.check.noLeaseLeft()
	w.check.noSPILeft()
	w.check.replays()
}

// plan lays down what happens in the storm.
func (w *world) plan() {
	east, west := w.nodes[0], w.nodes[1]
	w.session.plan(w)
	w.sometime(func() { east.initiate() }, time.Second)
	if w.faults.both {
		w.sometime(func() { west.initiate() }, time.Second)
	}
	for _, n := range w.nodes {
		for range w.faults.crashes {
			w.sometime(n.crashBackend, storm)
		}
		for range w.faults.pauses {
			w.sometime(func() { n.awake = w.clock.now.Add(time.Duration(1+w.rand.IntN(120)) * time.Second) }, storm)
		}
		w.sometime(func() { n.command(machine.Probe{}) }, storm)
	}
	w.faults.messages.plan(w)
	w.planRekeys()
	w.history.plan(w)
	w.faults.roaming.plan(w)
	w.faults.redirects.plan(w)
	w.faults.troubles.plan(w)
	if w.faults.terminate {
		n := w.nodes[w.rand.IntN(2)]
		child := ""
		if w.rand.IntN(2) == 0 {
			child = "lan"
		}
		w.sometime(func() { n.command(machine.Terminate{Child: child, Reason: "changed my mind"}) }, 5*time.Second)
	}
}

func (w *world) sometime(do func(), within time.Duration) {
	w.clock.in(time.Duration(w.rand.Int64N(int64(within))), do)
}

// heal tries again what is not up, as a daemon's start policy does, and demands that it comes up.
func (w *world) heal() {
	east := w.nodes[0]
	if len(east.established()) == 0 {
		east.initiate()
		w.clock.runUntil(w.clock.now.Add(retry))
	} else if w.faults.rekeys != (rekeys{}) { // one child may have ended, or never begun
		east.command(machine.Initiate{Children: w.faults.rekeys.children()})
		w.clock.runUntil(w.clock.now.Add(retry))
	}
	for _, n := range w.nodes {
		n.reconcile()
	}
	up := len(east.established()) > 0
	if up == w.faults.hopeless() {
		w.fail("after the calm the tunnel is up: %v, want %v", up, !up)
	}
}

// String tells the world's story, for a failing seed.
func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "world %d: %+v, %v, %+v\n", w.seed, w.faults, w.session, w.history)
	begin := newClock().now
	for _, n := range w.nodes {
		for _, r := range n.records {
			fmt.Fprintf(&b, "%12v %s %v %s %+v\n", r.Time.Sub(begin), n.name, r.Subject.IKE, r.Event.Kind().Name, r.Event)
		}
	}
	return b.String()
}
