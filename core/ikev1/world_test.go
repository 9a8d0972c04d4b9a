package ikev1

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
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/sdk/secret"
)

// world is two nodes on virtual time, with a network that loses nothing unless told to, and plugins that answer at once unless told
// otherwise. It keeps a trace of all that happens.
type world struct {
	t       testing.TB
	now     time.Time
	nodes   []*node
	flight  []datagram
	trace   []string
	journal []record // of all SAs, for replay
	quiet   bool     // nothing is traced
	bare    bool     // nothing is recorded
	renews  bool     // whoever asks for a new SA gets one
	later   []func() // what a step causes at other SAs
	ivs     map[tapKey]suite.IV
	opened  map[[sha256.Size]byte]suite.IV // by which a message was opened
}

type datagram struct {
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

// node is a mini daemon: policy, SAs and plugins.
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
	pools    *fakePool         // nil: it has none
	held     []pending
	hold     map[string]bool // kinds of calls that are kept
	faults   []fault

	passwords, own string // of users: alice:sesame,bob:simsim
}

// host is one SA with what the world knows of it.
type host struct {
	*SA
	node  *node
	label string // "a1"
	make  func() *SA
	first [sha256.Size]byte // hash of the message that made a responder

	ends int                 // events that tell of the SA's end
	born map[event.UID]int   // established and not yet deleted
	tap  *suite.ISAKMPCipher // opens what the SA sends

	inner []byte // of fragments that it sent
}

// tapKey names an exchange, whose messages are chained by their IVs.
type tapKey struct {
	cookie uint64 // the initiator's
	exch   wire.ExchangeType
	id     uint32
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

func newWorld(t testing.TB) *world {
	return &world{t: t, now: epoch, ivs: map[tapKey]suite.IV{}, opened: map[[sha256.Size]byte]suite.IV{}}
}

func (w *world) addNode(name string, conn *policy.Connection, psk map[string]string) *node {
	n := &node{w: w, name: name, addr: conn.Local.Addr, conn: conn, psk: psk, backend: map[uint32]machine.ChildSA{}, reserved: map[uint32]bool{},
		packets: map[uint32]uint64{}, hold: map[string]bool{}, spis: uint32(0x1000 * (len(w.nodes) + 1))}
	n.env = &Env{Policy: &policy.Snapshot{Connections: []*policy.Connection{conn}}}
	w.nodes = append(w.nodes, n)
	return n
}

func (w *world) logf(format string, args ...any) {
	if !w.quiet {
		w.trace = append(w.trace, fmt.Sprintf(format, args...))
	}
}

// newSA gives every SA a seed and a cookie of its own, that say where it comes from.
func (n *node) newSA(initiator bool, local, remote netip.AddrPort) *host {
	h := &host{node: n, born: map[event.UID]int{}, label: fmt.Sprintf("%s%d", n.name, len(n.sas)+1)}
	seed := sha256.Sum256([]byte(h.label))
	cookie := binary.BigEndian.Uint64(seed[:])
	conn, env := n.conn, n.env
	h.make = func() *SA {
		if initiator {
			return NewInitiator(env, cookie, seed, conn, local, remote)
		}
		return NewResponder(env, cookie, seed, local, remote)
	}
	h.SA = h.make()
	n.sas = append(n.sas, h)
	return h
}

// step feeds an SA and performs the effects in order.
func (w *world) step(h *host, in machine.Input) {
	w.t.Helper()
	r := record{sa: h, now: w.now}
	if !w.bare {
		r.in = cloneInput(in)
	}
	var fx machine.Effects
	h.Step(w.now, in, &fx)
	h.learn()
	if !w.bare {
		r.effects = renderEffects(fx.List())
		w.journal = append(w.journal, r)
	}
	for _, e := range fx.List() {
		w.perform(h, e)
	}
	w.checkDeadline(h)
}

// learn has the world read along as soon as there are keys.
func (h *host) learn() {
	if h.cipher == nil || h.tap != nil || h.phase1 == nil {
		return
	}
	h.tap = h.cipher
	key := tapKey{h.cookieI, h.phase1.kind, 0}
	if _, known := h.node.w.ivs[key]; !known {
		h.node.w.ivs[key] = h.phase1.iv
	}
}

// open decrypts a message of an SA.
func (w *world) open(h *host, m wire1.Message, b []byte) ([]wire1.Payload, error) {
	hash := sha256.Sum256(b)
	key := tapKey{m.Header.InitiatorSPI, m.Header.Exchange, m.Header.MessageID}
	iv, again := w.opened[hash]
	if !again {
		var begun bool
		if iv, begun = w.ivs[key]; !begun {
			iv = h.tap.ExchangeIV(w.leadOf(key.cookie), key.id)
		}
	}
	plain, next, err := h.tap.Open(m.Cipher, iv)
	if err != nil {
		return nil, err
	}
	if w.opened[hash] = iv; !again {
		w.ivs[key] = next
	}
	return wire1.ParsePayloads(m.Header.NextPayload, plain)
}

// leadOf is the last block of phase 1.
func (w *world) leadOf(cookie uint64) suite.IV {
	if iv, ok := w.ivs[tapKey{cookie, wire1.MainMode, 0}]; ok {
		return iv
	}
	return w.ivs[tapKey{cookie, wire1.Aggressive, 0}]
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
		w.flight = append(w.flight, datagram{from: h, Send: e})
		if !w.quiet {
			w.logf("%s send %s", h.label, h.renderSend(e))
		}
	case machine.Call:
		if !w.quiet {
			w.logf("%s call %d %s%s", h.label, e.Ticket, renderOp(e.Op), renderKey(e.Key))
		}
		h.node.held = append(h.node.held, pending{h, e})
	case machine.Cancel:
		w.logf("%s cancel %d", h.label, e.Ticket)
	case machine.Emit:
		if !w.quiet {
			w.logf("%s %s", h.label, renderEvent(e))
		}
		h.count(e.Event)
		w.meet(h, e.Event)
	case machine.Renew:
		w.logf("%s asks for a new SA", h.label)
		w.later = append(w.later, func() { w.renew(h) })
	case machine.Bequeath:
		w.logf("%s bequeaths children %d, wanted %v", h.label, len(e.Children), e.Wanted)
		w.bequeath(h, e)
	case machine.Export:
	case machine.Done:
		w.logf("%s done: %s", h.label, e.Reason)
		w.checkDone(h, e.Reason)
	}
}

func renderEffects(list []machine.Effect) string {
	var b strings.Builder
	for _, e := range list {
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
	if h.ends != 1 && !strings.HasPrefix(reason, "the first packet") {
		w.t.Errorf("the end of %s was told %d times", h.label, h.ends)
	}
	for uid, n := range h.born {
		if n != 0 {
			w.t.Errorf("%s: child %v came %d times more than it went", h.label, uid, n)
		}
	}
	if len(h.children) > 0 || h.calls.Waiting() > 0 || len(h.phase2) > 0 || h.calls.Reserved() > 0 {
		w.t.Errorf("%s is done with %d children, %d calls, %d exchanges and %d SPIs", h.label, len(h.children), h.calls.Waiting(), len(h.phase2), h.calls.Reserved())
	}
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

func (w *world) nodeAt(a netip.Addr) *node {
	for _, n := range w.nodes {
		if n.nat == a || !n.nat.IsValid() && n.addr == a {
			return n
		}
	}
	return nil
}

// receive finds the SA as the engine does: by our cookie, a first message by its hash.
func (n *node) receive(d machine.Datagram) {
	h, err := wire.ParseHeader(d.Bytes)
	if err != nil {
		return
	}
	hash := sha256.Sum256(d.Bytes)
	for _, sa := range n.sas {
		i, r := sa.Cookies()
		switch {
		case sa.initiator && i == h.InitiatorSPI,
			!sa.initiator && h.ResponderSPI != 0 && r == h.ResponderSPI,
			!sa.initiator && h.ResponderSPI == 0 && sa.first == hash && sa.State() != Closed:
			n.w.step(sa, d)
			return
		}
	}
	if _, err := InspectFirst(d.Bytes); err != nil {
		n.w.logf("%s drops a packet for no SA", n.name)
		return
	}
	sa := n.newSA(false, d.Local, d.Remote)
	sa.first = hash
	n.w.step(sa, d)
}

// renew makes the SA that is to take the place of another, as the engine does.
func (w *world) renew(h *host) {
	if !w.renews || h.State() != Established {
		return
	}
	n := h.node
	sa := n.newSA(true, netip.AddrPortFrom(h.local.Addr(), portIKE), netip.AddrPortFrom(h.remote.Addr(), portIKE))
	w.step(sa, machine.Initiate{Replaces: h.uid, Wants: h.Info().Inner.Assigned})
}

// meet tells older SAs of a node to give way to one that is established.
func (w *world) meet(h *host, e event.Event) {
	switch e := e.(type) {
	case event.IKEReauthenticated:
		w.replace(h, e.Old, machine.ReplaceReauth)
	case event.IKEEstablished:
		for _, other := range h.node.sas {
			switch {
			case other == h || other.State() != Established || h.session.replaces == other.uid || h.node.conn.Unique == policy.UniqueNever:
			case e.InitialContact && other.opened.Before(h.created):
				w.replace(h, other.uid, machine.ReplaceContact)
			case h.initiator != other.initiator && h.opened.Sub(other.opened) < crossing && other.cookieI < h.cookieI:
				w.replace(other, h.uid, machine.ReplaceUnique)
			default:
				w.replace(h, other.uid, machine.ReplaceUnique)
			}
		}
	}
}

func (w *world) replace(by *host, old event.UID, cause machine.ReplaceCause) {
	for _, h := range by.node.sas {
		if h.uid == old {
			w.later = append(w.later, func() { w.step(h, machine.Replaced{By: by.uid, Cause: cause}) })
		}
	}
}

// bequeath gives children to another SA, or back when that has ended.
func (w *world) bequeath(from *host, e machine.Bequeath) {
	to := from
	for _, h := range from.node.sas {
		if h.uid == e.To && h.State() < Closing {
			to = h
		}
	}
	for _, b := range e.Children {
		from.born[b.Child.UID]--
		to.born[b.Child.UID]++
	}
	w.later = append(w.later, func() {
		w.step(to, machine.Inherit{From: from.uid, Children: e.Children, Wanted: e.Wanted, Inner: e.Inner})
	})
}

// settleLater does what steps have left to do.
func (w *world) settleLater() bool {
	if len(w.later) == 0 {
		return false
	}
	do := w.later[0]
	w.later = w.later[1:]
	do()
	return true
}

// run answers calls and delivers packets until nothing moves.
func (w *world) run() {
	for range 1000 {
		if !w.answerCalls() && !w.deliverNext() {
			return
		}
	}
	w.t.Fatal("the world does not come to rest")
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
	if w.settleLater() {
		return true
	}
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
	result, err := n.plugin(p.call.Op)
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
	switch op := op.(type) {
	case machine.KEInitiate:
		v := n.value()
		return machine.KEInitiated{State: v, Public: bytes.Clone(v)}, nil
	case machine.KERespond:
		v := n.value()
		return machine.KEResponded{Public: v, Secret: shared(v, op.Peer)}, nil
	case machine.KEFinish:
		return machine.KEFinished{Secret: shared(op.State, op.Peer)}, nil
	case machine.SKEYID:
		return n.skeyid(op)
	case machine.Sign:
		return machine.Signed{Method: uint8(wire1.AuthRSASig), Data: signature(n.name, op.Octets), Certs: [][]byte{[]byte(n.name)}}, nil
	case machine.Verify:
		if len(op.Certs) == 0 || !bytes.Equal(op.Data, signature(string(op.Certs[0]), op.Octets)) {
			return nil, &machine.CallError{Kind: machine.Refused, Text: "signature: wrong"}
		}
		return machine.Verified{Remote: op.Remote}, nil
	case machine.CheckPassword:
		return n.checkPassword(op)
	case machine.OwnPassword:
		return n.ownPassword(op)
	case machine.Protect:
		return n.protect(op)
	case machine.Unprotect:
		return n.unprotect(op), nil
	case machine.Admit:
		return n.admit(op), nil
	case machine.FindHeir:
		return n.heir(), nil
	}
	return n.sa(op)
}

func (n *node) sa(op machine.Op) (machine.Result, *machine.CallError) {
	switch op := op.(type) {
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
	return n.lease(op)
}

// heir is the latest SA that is established.
func (n *node) heir() (r machine.Heir) {
	for _, h := range n.sas {
		if h.State() == Established {
			r.UID = h.uid
		}
	}
	return r
}

// admit counts the other SAs of the node that are established.
func (n *node) admit(op machine.Admit) machine.Admitted {
	var r machine.Admitted
	for _, h := range n.sas {
		if h.uid != op.UID && h.State() == Established {
			r.Others++
		}
	}
	return r
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

func signature(who string, octets []byte) []byte {
	v := sha256.Sum256(slices.Concat([]byte(who), octets))
	return v[:]
}

func (n *node) skeyid(op machine.SKEYID) (machine.Result, *machine.CallError) {
	psk, ok := n.psk[string(op.Remote.Data)]
	if !ok {
		psk, ok = n.psk[""]
	}
	if !ok {
		return nil, &machine.CallError{Kind: machine.NoCredential, Text: "psk: no key for this identity"}
	}
	m := hmac.New(sha256.New, []byte(psk))
	m.Write(op.Data)
	return machine.SKEYIDDerived{Value: m.Sum(nil)}, nil
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
		if held := n.leases(); !open && len(n.held) == 0 && len(held) > 0 {
			w.t.Errorf("%s has no SA, and its pools count as given %v", n.name, held)
		}
		for _, c := range n.backend {
			w.checkTwin(n, c)
		}
	}
}

// checkTwin: what one side sends with, the other receives with (RFC 2409 section 5.5).
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
		if !slices.Equal(c.LocalTS, twin.RemoteTS) || !slices.Equal(c.RemoteTS, twin.LocalTS) || c.Mode != twin.Mode || c.Encap != twin.Encap {
			w.t.Errorf("%s and %s have different ideas of child %08x", n.name, other.name, c.SPIIn)
		}
	}
}

// replay runs every SA again from its journal and compares the effects.
func (w *world) replay() {
	w.t.Helper()
	again := map[*host]*SA{}
	for i, r := range w.journal {
		s, ok := again[r.sa]
		if !ok {
			s = r.sa.make()
			again[r.sa] = s
		}
		var fx machine.Effects
		s.Step(r.now, r.in, &fx)
		if got := renderEffects(fx.List()); got != r.effects {
			w.t.Fatalf("step %d of %s differs when replayed:\nthen %s\nnow  %s", i, r.sa.label, r.effects, got)
		}
	}
}

// cloneInput keeps an input as it was: Step wipes the secrets of replies.
func cloneInput(in machine.Input) machine.Input {
	switch in := in.(type) {
	case machine.Datagram:
		in.Bytes = bytes.Clone(in.Bytes)
		return in
	case machine.Inherit:
		in.Children = slices.Clone(in.Children)
		for i := range in.Children {
			in.Children[i].Child = in.Children[i].Child.Clone()
		}
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
		case machine.SKEYIDDerived:
			r.Value = r.Value.Clone()
			in.Result = r
		case machine.OwnPasswordFound:
			r.Password = r.Password.Clone()
			in.Result = r
		case machine.Unprotected:
			r.Plain = slices.Clone(r.Plain)
			for i, p := range r.Plain {
				r.Plain[i] = p.Clone()
			}
			in.Result = r
		}
		return in
	}
	return in
}

func opName(op machine.Op) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", op), "machine.")
}
