package ikev2

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// world is two or more nodes on virtual time, with a network that loses nothing unless told to, and plugins that answer at
// once unless told otherwise. It keeps a trace of all that happens.
type world struct {
	t        testing.TB
	now      time.Time
	nodes    []*node // in order of creation
	flight   []datagram
	trace    []string
	journal  []record // of all SAs, for replay
	meddled  bool     // an SA was changed from outside: no replay
	sent     map[message][]byte
	exported []machine.Keys
}

// message names a message of an SA, which has the same octets whenever it is sent.
type message struct {
	sa       string
	exch     wire.ExchangeType
	id       uint32
	response bool
	fragment [2]uint16 // number and total (RFC7383-2.6.1-1)
}

type datagram struct {
	n    int // as shown in the trace
	from *host
	machine.Send
}

// record is one step of one SA, with the rendering of its effects.
type record struct {
	sa      *host
	now     time.Time
	in      machine.Input
	effects string
}

// node is a mini daemon: policy, SAs, plugins and a gate.
type node struct {
	w        *world
	name     string
	addr     netip.Addr
	nat      netip.Addr // what others see as our address; zero: no NAT
	shift    uint16     // what the NAT adds to our ports
	env      *Env
	conn     *policy.Connection
	sas      []*host
	psk      map[string]string // by the other side's identity, "" for anybody
	spis     uint32
	values   int
	backend  map[uint32]machine.ChildSA
	reserved map[uint32]bool   // SPIs that no child has
	packets  map[uint32]uint64 // that came in by a child
	held     []pending
	hold     map[string]bool // kinds of calls that are kept
	faults   []fault
	cookies  bool
	trusts   bool // Verify always succeeds
	pool     *fakePool
	signer   signer
	mtu      int // octets; larger IP datagrams from here are lost. 0: none is
}

// host is one SA with what the world knows of it.
type host struct {
	*SA
	node  *node
	label string // "a1"
	make  func() *SA
	first [sha256.Size]byte // hash of the request that made a responder
	tap   *suite.Protection // opens what the SA sends

	inner      []byte // of the fragments that it sent last
	innerFirst wire.PayloadType

	owner     machine.Owner     // of one that was spawned
	decisions int               // to be told
	ends      int               // events that tell of the SA's end
	born      map[event.UID]int // established and not yet deleted
}

type pending struct {
	sa   *host
	call machine.Call
}

// fault makes the next n calls of a kind fail.
type fault struct {
	op  string
	err machine.CallError
	n   int
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newWorld(t testing.TB) *world { return &world{t: t, now: epoch, sent: map[message][]byte{}} }

func (w *world) addNode(name string, conn *policy.Connection, psk map[string]string) *node {
	n := &node{w: w, name: name, addr: conn.Local.Addr, conn: conn, psk: psk, backend: map[uint32]machine.ChildSA{}, reserved: map[uint32]bool{}, hold: map[string]bool{},
		spis: uint32(0x1000 * (len(w.nodes) + 1))}
	n.env = &Env{Policy: &policy.Snapshot{Connections: []*policy.Connection{conn}}}
	w.nodes = append(w.nodes, n)
	return n
}

func (w *world) logf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	w.trace = append(w.trace, line)
}

// newSA gives every SA a seed and an SPI of its own, that say where it comes from.
func (n *node) newSA(initiator bool, local, remote netip.AddrPort) *host {
	h := &host{node: n, born: map[event.UID]int{}, label: fmt.Sprintf("%s%d", n.name, len(n.sas)+1)}
	seed := sha256.Sum256([]byte(h.label))
	spi := binary.BigEndian.Uint64(seed[:])
	conn, env := n.conn, n.env
	h.make = func() *SA {
		if initiator {
			return NewInitiator(env, spi, seed, conn, local, remote)
		}
		return NewResponder(env, spi, seed, local, remote)
	}
	h.SA = h.make()
	n.sas = append(n.sas, h)
	return h
}

// step feeds an SA and performs the effects in order.
func (w *world) step(h *host, in machine.Input) {
	w.t.Helper()
	w.journal = append(w.journal, record{sa: h, now: w.now, in: cloneInput(in)})
	r := len(w.journal) - 1
	var fx machine.Effects
	h.Step(w.now, in, &fx)
	if h.out != nil && h.tap == nil {
		h.tap = h.newTap()
	}
	w.journal[r].effects = renderEffects(fx.List())
	for _, e := range fx.List() {
		w.perform(h, e)
	}
	w.checkDeadline(h)
}

// newTap returns a second protection with the SA's sending keys: to read along, and to forge well-protected messages.
func (h *host) newTap() *suite.Protection {
	e, a := h.keys.EI, h.keys.AI
	if !h.initiator {
		e, a = h.keys.ER, h.keys.AR
	}
	p, err := suite.NewProtection(h.suite, e, a)
	if err != nil {
		h.node.w.t.Fatal(err)
	}
	return p
}

// checkDeadline: every state but these has an end (design of the machine).
func (w *world) checkDeadline(h *host) {
	w.t.Helper()
	if !in(Idle, Established, Closed).has(h.State()) && h.Deadline().IsZero() {
		w.t.Errorf("%s waits for ever in state %v", h.label, h.State())
	}
	if h.State() == Closed && !h.Deadline().IsZero() {
		w.t.Errorf("%s is closed and wants a tick", h.label)
	}
}

func (w *world) perform(h *host, e machine.Effect) {
	switch e := e.(type) {
	case machine.Send:
		w.send(h, e)
	case machine.Call:
		w.logf("%s call %d %s%s", h.label, e.Ticket, renderOp(e.Op), renderKey(e.Key))
		h.node.held = append(h.node.held, pending{h, e})
	case machine.Cancel:
		w.logf("%s cancel %d", h.label, e.Ticket)
	case machine.Emit:
		w.logf("%s %s", h.label, renderEvent(e))
		h.count(e.Event)
	case machine.Renew:
		w.logf("%s asks for a new SA with children %v%s", h.label, e.Children, renderGateway(e))
	case machine.Spawn:
		w.spawn(h, e)
	case machine.Decide:
		w.decide(h, e)
	case machine.Export:
		w.exported = append(w.exported, e.Keys)
	case machine.Done:
		w.logf("%s done: %s", h.label, e.Reason)
		w.checkDone(h, e.Reason)
	}
}

func (w *world) send(h *host, e machine.Send) {
	d := datagram{n: len(w.flight) + 1, from: h, Send: e}
	w.flight = append(w.flight, d)
	w.logf("%s send %s", h.label, renderSend(h, e))
	w.checkForm(h, e)
	w.checkSame(h, e)
	w.checkInstalled(h, e)
}

// spawn takes over an SA that replaces h. What it is told about it, and its replay, begin there.
func (w *world) spawn(from *host, e machine.Spawn) {
	n := from.node
	h := &host{node: n, SA: e.Machine.(*SA), born: map[event.UID]int{}, label: fmt.Sprintf("%s%d", n.name, len(n.sas)+1), owner: e.Owner}
	h.tap = h.newTap()
	for _, c := range h.children {
		if c.up { // born with another
			h.born[c.sa.UID]++
			from.born[c.sa.UID]--
		}
	}
	n.sas = append(n.sas, h)
	w.logf("%s spawns %s with children %v", from.label, h.label, len(h.children))
}

// decide tells an SA that was spawned what becomes of it, as its driver does at once.
func (w *world) decide(from *host, e machine.Decide) {
	h := w.spawned(from.node, e.Owner)
	for _, c := range e.Children {
		h.born[c.UID] += from.born[c.UID]
		delete(from.born, c.UID)
	}
	w.logf("%s decides about %s, children %v", from.label, h.label, len(e.Children))
	h.decisions++
}

func renderEffects(list []machine.Effect) string {
	var b strings.Builder
	for _, e := range list {
		if s, ok := e.(machine.Spawn); ok {
			fmt.Fprintf(&b, "spawn %x", s.Owner)
			continue
		}
		fmt.Fprintf(&b, "%+v", e)
	}
	return b.String()
}

// count keeps the books of what was told about an SA.
func (h *host) count(e event.Event) {
	switch e := e.(type) {
	case event.IKEFailed, event.IKEDeleted:
		h.ends++
	case event.ChildEstablished:
		h.born[e.Child.UID]++
	case event.ChildRekeyed:
		h.born[e.Child.UID]++
	case event.ChildDeleted:
		h.born[e.Child.UID]--
	}
}

// checkDone: the end of an SA was told once, that of each of its children too, and nothing is left.
func (w *world) checkDone(h *host, reason string) {
	w.t.Helper()
	silent := strings.HasPrefix(reason, "the peer starts again") || strings.HasPrefix(reason, "the peer is redirected") || strings.HasPrefix(reason, "the first packet")
	if h.ends != 1 && !silent {
		w.t.Errorf("the end of %s was told %d times", h.label, h.ends)
	}
	for uid, n := range h.born {
		if n != 0 {
			w.t.Errorf("%s: child %v came %d times more than it went", h.label, uid, n)
		}
	}
	if len(h.children) > 0 || h.calls.Waiting() > 0 || len(h.partial) > 0 {
		w.t.Errorf("%s is done with %d children, %d calls and %d messages in pieces", h.label, len(h.children), h.calls.Waiting(), len(h.partial))
	}
}

// checkInstalled: a child is answered for only when it is installed (design of the machine).
func (w *world) checkInstalled(h *host, e machine.Send) {
	w.t.Helper()
	if h.tap == nil || h.initiator {
		return
	}
	m, err := h.tap.Open(e.Bytes)
	sa, ok := wire2.Get[wire2.SA](m.Payloads)
	if err != nil || !ok || m.Header.Exchange != wire2.IKEAuth {
		return
	}
	if _, there := h.node.backend[binary.BigEndian.Uint32(sa.Proposals[0].SPI)]; !there {
		w.t.Errorf("%s answers for a child that is not installed", h.label)
	}
}

// checkSame: a message sent again is the same, bit for bit (RFC7296-2.1-7). Only IKE_SA_INIT requests change, with a cookie
// or another group.
func (w *world) checkSame(h *host, e machine.Send) {
	w.t.Helper()
	head, err := wire.ParseHeader(e.Bytes)
	m := message{sa: h.label, exch: head.Exchange, id: head.MessageID, response: head.Flags&wire.FlagResponse != 0}
	if f, ok := fragmentOf(e.Bytes); ok {
		m.fragment = [2]uint16{f.Number, f.Total}
	}
	if err != nil || m.exch == wire2.IKESAInit && !m.response {
		return
	}
	if before, again := w.sent[m]; again && !bytes.Equal(before, e.Bytes) {
		w.t.Errorf("%+v was sent with other octets", m)
	}
	w.sent[m] = e.Bytes
}

// deliver takes the i-th packet in flight to its node.
func (w *world) deliver(i int) {
	d := w.flight[i]
	w.flight = slices.Delete(w.flight, i, i+1)
	w.arrive(d)
}

func (w *world) arrive(d datagram) {
	to := w.nodeAt(d.Remote.Addr())
	if to == nil || len(d.Bytes) == 1 { // nobody there, or a NAT keepalive
		return
	}
	if w.swallows(d) {
		return
	}
	from := d.Local
	if d.from != nil && d.from.node.nat.IsValid() {
		from = netip.AddrPortFrom(d.from.node.nat, d.Local.Port()+d.from.node.shift)
	}
	local := netip.AddrPortFrom(to.addr, d.Remote.Port())
	if to.nat.IsValid() {
		local = netip.AddrPortFrom(to.addr, d.Remote.Port()-to.shift)
	}
	to.receive(machine.Datagram{Local: local, Remote: from, Bytes: bytes.Clone(d.Bytes)})
}

// swallows reports whether a datagram is too large for the path.
func (w *world) swallows(d datagram) bool {
	size := datagramSize(machine.Datagram{Remote: d.Remote, Bytes: d.Bytes})
	lost := d.from != nil && d.from.node.mtu != 0 && size > d.from.node.mtu
	if lost {
		w.logf("a datagram of %d octets is lost", size)
	}
	return lost
}

func (w *world) nodeAt(a netip.Addr) *node {
	for _, n := range w.nodes {
		if n.nat == a || !n.nat.IsValid() && n.addr == a {
			return n
		}
	}
	return nil
}

// receive finds the SA as the engine does: by our SPI, a first request by its hash (RFC 7296 section 2.1).
func (n *node) receive(d machine.Datagram) {
	h, err := wire.ParseHeader(d.Bytes)
	if err != nil {
		return
	}
	hash := sha256.Sum256(d.Bytes)
	for _, sa := range n.sas {
		i, r := sa.SPIs()
		switch toInitiator := h.Flags&wire.FlagInitiator == 0; {
		case toInitiator && sa.initiator && i == h.InitiatorSPI,
			!toInitiator && !sa.initiator && h.ResponderSPI != 0 && r == h.ResponderSPI,
			!toInitiator && !sa.initiator && h.ResponderSPI == 0 && sa.first == hash && sa.State() != Closed:
			n.w.step(sa, d)
			return
		}
	}
	in, err := InspectInit(d.Bytes)
	if err != nil {
		n.w.logf("%s drops a packet for no SA", n.name)
		return
	}
	n.admit(in, d, hash)
}

var cookieKey = secret.Bytes("a secret of the cookie gate")

func (n *node) admit(in Init, d machine.Datagram, hash [sha256.Size]byte) {
	if n.cookies && !VerifyCookie(cookieKey, 7, in, d.Remote) {
		n.w.logf("%s asks for a cookie", n.name)
		n.w.flight = append(n.w.flight, datagram{Send: machine.Send{Local: d.Local, Remote: d.Remote,
			Bytes: CookieReply(cookieKey, 7, in, d.Remote)}})
		return
	}
	sa := n.newSA(false, d.Local, d.Remote)
	sa.first = hash
	n.w.step(sa, d)
}

// run answers calls and delivers packets until nothing moves.
func (w *world) run() {
	for range 1000 {
		if !w.answerCalls() && !w.tickSpawned() && !w.deliverNext() {
			return
		}
	}
	w.t.Fatal("the world does not come to rest")
}

// tickSpawned lets a new SA begin, as its driver does at once.
func (w *world) tickSpawned() bool {
	for _, h := range w.all() {
		switch {
		case h.decisions > 0:
			h.decisions--
			w.step(h, machine.Decided{})
			return true
		case h.origin != nil && h.State() != Pending:
			w.step(h, machine.Tick{})
			return true
		}
	}
	return false
}

func (w *world) deliverNext() bool {
	if len(w.flight) == 0 {
		return false
	}
	w.deliver(0)
	return true
}

// answerCalls answers one call that is not held.
func (w *world) answerCalls() bool {
	for _, n := range w.nodes {
		for i, p := range n.held {
			if n.hold[opName(p.call.Op)] || p.behind(n.held[:i]) {
				continue
			}
			n.held = slices.Delete(n.held, i, i+1)
			n.answer(p)
			return true
		}
	}
	return false
}

// behind reports whether a call with the same key waits before p: calls with one key come in order.
func (p pending) behind(before []pending) bool {
	return p.call.Key != 0 && slices.ContainsFunc(before, func(b pending) bool { return b.call.Key == p.call.Key })
}

func (n *node) answer(p pending) {
	result, err := n.driver(p)
	if err != nil {
		n.w.logf("%s reply %d: %v", p.sa.label, p.call.Ticket, err)
	}
	n.w.step(p.sa, machine.Reply{Ticket: p.call.Ticket, Result: result, Err: err})
}

// advance lets time pass, with a tick at each deadline and all calls and packets in between.
func (w *world) advance(d time.Duration) { w.pass(d, w.run) }

// pass lets time pass; rest is done between ticks.
func (w *world) pass(d time.Duration, rest func()) {
	end := w.now.Add(d)
	for range 10000 {
		next := end
		for _, h := range w.all() {
			if at := h.Deadline(); !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		w.now = next
		ticked := false
		for _, h := range w.all() {
			if at := h.Deadline(); !at.IsZero() && !at.After(w.now) {
				w.logf("%s tick at %v", h.label, w.now.Sub(epoch))
				w.step(h, machine.Tick{})
				ticked = true
			}
		}
		rest()
		if !ticked && !w.now.Before(end) {
			return
		}
	}
	w.t.Fatal("time does not pass")
}

func (w *world) all() (list []*host) {
	for _, n := range w.nodes {
		list = append(list, n.sas...)
	}
	return list
}

// ---- plugins

func (n *node) plugin(op machine.Op) (machine.Result, *machine.CallError) {
	for i := range n.faults {
		if f := &n.faults[i]; f.op == opName(op) && f.n > 0 {
			f.n--
			return nil, &machine.CallError{Kind: f.err.Kind, Text: f.err.Text}
		}
	}
	if n.pool != nil {
		if r, err, ours := n.pool.do(op); ours {
			return r, err
		}
	}
	switch op := op.(type) {
	case machine.KEInitiate:
		v := n.value()
		return machine.KEInitiated{State: v, Public: bytes.Clone(v)}, nil
	case machine.KERespond:
		v := n.value()
		return machine.KEResponded{Public: v, Secret: shared(v, op.Peer)}, nil
	case machine.KEFinish:
		return machine.KEFinished{Secret: shared(op.State, op.Peer)}, nil
	case machine.Sign:
		return n.sign(op)
	case machine.Verify:
		return n.verify(op)
	case machine.Authenticate:
		return n.authenticate(op)
	case machine.AllocateSPI:
		n.spis++
		n.reserved[n.spis] = true
		return machine.AllocatedSPI{SPI: n.spis}, nil
	case machine.FreeSPI:
		delete(n.reserved, op.SPI)
		return machine.Freed{}, nil
	case machine.InstallChild:
		delete(n.reserved, op.Child.SPIIn)
		n.backend[op.Child.SPIIn] = op.Child.Clone()
		return machine.Installed{}, nil
	case machine.UpdateChild:
		if _, there := n.backend[op.Child.SPIIn]; !there {
			return nil, &machine.CallError{Kind: machine.Internal, Text: "there is no such child"}
		}
		n.backend[op.Child.SPIIn] = op.Child.Clone()
		return machine.Installed{}, nil
	case machine.QueryUsage:
		return machine.Usage{Traffic: event.Traffic{PacketsIn: n.packets[op.Child.SPIIn]}}, nil
	case machine.RemoveChild:
		delete(n.backend, op.Child.SPIIn)
		delete(n.reserved, op.Child.SPIIn)
		return machine.Removed{}, nil
	}
	return nil, &machine.CallError{Kind: machine.Unsupported}
}

// value is a fake key exchange value: public and private part are the same, the secret is a hash of both sides' values.
func (n *node) value() []byte {
	n.values++
	v := sha256.Sum256([]byte(fmt.Sprint(n.name, n.values)))
	return v[:]
}

func shared(a, b []byte) secret.Bytes {
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	v := sha256.Sum256(slices.Concat(a, b))
	return v[:]
}

func (n *node) mac(other machine.Identity, octets []byte) ([]byte, *machine.CallError) {
	psk, ok := n.psk[string(other.Data)]
	if !ok {
		psk, ok = n.psk[""]
	}
	if !ok {
		return nil, &machine.CallError{Kind: machine.NoCredential, Text: "psk: no key for this identity"}
	}
	m := hmac.New(sha256.New, []byte(psk))
	m.Write(octets)
	return m.Sum(nil), nil
}

func (n *node) sign(op machine.Sign) (machine.Result, *machine.CallError) {
	if op.Auth == policy.AuthSignature {
		return n.signer.sign(op)
	}
	m, err := n.mac(op.Remote, op.Octets)
	if err != nil {
		return nil, err
	}
	return machine.Signed{Method: uint8(wire2.AuthSharedKeyMIC), Data: m}, nil
}

func (n *node) verify(op machine.Verify) (machine.Result, *machine.CallError) {
	if op.Auth == policy.AuthSignature {
		return n.signer.verify(op)
	}
	m, err := n.mac(op.Remote, op.Octets)
	if err != nil {
		return nil, err
	}
	if !n.trusts && !hmac.Equal(m, op.Data) {
		return nil, &machine.CallError{Kind: machine.Refused, Text: "psk: wrong"}
	}
	return machine.Verified{Remote: op.Remote}, nil
}

func (n *node) authenticate(op machine.Authenticate) (machine.Result, *machine.CallError) {
	v, err := n.verify(op.Verify)
	if err != nil {
		return nil, err
	}
	s, err := n.sign(op.Sign)
	if err != nil {
		return nil, err
	}
	return machine.Authenticated{Verified: v.(machine.Verified), Signed: s.(machine.Signed)}, nil
}

// ---- invariants

// checkEnd proves what must hold for every dialogue: replay gives the same effects, a closed node holds no child, and two
// children of one tunnel have the same keys.
func (w *world) checkEnd() {
	w.t.Helper()
	w.replay()
	for _, n := range w.nodes {
		open := slices.ContainsFunc(n.sas, func(h *host) bool { return h.State() != Closed })
		if !open && len(n.held) == 0 && len(n.backend)+len(n.reserved) > 0 {
			w.t.Errorf("%s has no SA, but its backend holds %d children and %d SPIs", n.name, len(n.backend), len(n.reserved))
		}
		if !open && len(n.held) == 0 {
			w.checkPool(n)
		}
		for _, c := range n.backend {
			w.checkTwin(n, c)
		}
	}
}

// checkTwin: what one side sends with, the other receives with (RFC 7296 section 2.17).
func (w *world) checkTwin(n *node, c machine.ChildSA) {
	w.t.Helper()
	for _, other := range w.nodes {
		twin, ok := other.backend[c.SPIOut]
		if !ok || other == n {
			continue
		}
		if !c.EncrOut.Equal(twin.EncrIn) || !c.EncrIn.Equal(twin.EncrOut) || !c.IntegOut.Equal(twin.IntegIn) || len(c.EncrOut) == 0 {
			w.t.Errorf("%s and %s have different keys for child %08x", n.name, other.name, c.SPIIn)
		}
		if behindNAT := c.Mode == machine.Transport && c.Encap; behindNAT { // each side has its own addresses
			continue
		}
		if !slices.Equal(c.LocalTS, twin.RemoteTS) || !slices.Equal(c.RemoteTS, twin.LocalTS) {
			w.t.Errorf("%s and %s have different selectors for child %08x", n.name, other.name, c.SPIIn)
		}
	}
}

// replay runs every SA again from its journal and compares the effects.
func (w *world) replay() {
	w.t.Helper()
	if w.meddled {
		return
	}
	again := map[*host]*SA{}
	for i, r := range w.journal {
		s, ok := again[r.sa]
		if !ok {
			s = r.sa.make()
			again[r.sa] = s
		}
		var fx machine.Effects
		s.Step(r.now, r.in, &fx)
		for _, e := range fx.List() {
			if e, ok := e.(machine.Spawn); ok {
				again[w.spawned(r.sa.node, e.Owner)] = e.Machine.(*SA)
			}
		}
		if got := renderEffects(fx.List()); got != r.effects {
			w.t.Fatalf("step %d of %s differs when replayed:\nthen %s\nnow  %s", i, r.sa.label, r.effects, got)
		}
	}
}

func (w *world) spawned(n *node, o machine.Owner) *host {
	i := slices.IndexFunc(n.sas, func(h *host) bool { return h.owner == o && o != 0 })
	if i < 0 {
		w.t.Fatalf("the replay of %s spawns %x, which the world has not seen", n.name, o)
	}
	return n.sas[i]
}

// cloneInput keeps an input as it was: Step wipes the secrets of replies.
func cloneInput(in machine.Input) machine.Input {
	switch in := in.(type) {
	case machine.Datagram:
		in.Bytes = bytes.Clone(in.Bytes)
		return in
	case machine.Reply:
		switch r := in.Result.(type) {
		case machine.KEInitiated:
			r.State = r.State.Clone()
			in.Result = r
		case machine.KEResponded:
			r.Secret = r.Secret.Clone()
			in.Result = r
		case machine.KEFinished:
			r.Secret = r.Secret.Clone()
			in.Result = r
		}
		return in
	}
	return in
}

func opName(op machine.Op) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", op), "machine.")
}
