package protocol

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

// NAT traversal (RFC 3947, RFC 3948).
var v1NATCases = []Case{
	{IDs: ids("RFC3947-3.1-1", "RFC3947-5.1-2"), Title: "The daemon's NAT-D payloads are right, the destination's first, in both roles; without a NAT it stays on port 500.", Run: natdOfDaemon},
	{IDs: ids("RFC3947-4-1", "RFC3947-4-2", "RFC3947-4-3", "RFC3947-4-4", "RFC3947-4-10", "RFC3947-5.1-1", "RFC3947-5.1-3", "RFC3947-5.2-2", "RFC3948-2.1-1"),
		Title: "When a NAT is found, by either hash, the daemon sends its identity from and to port 4500, and offers UDP-encapsulated tunnels alone, without NAT-OA.", Run: floats1},
	{IDs: ids("RFC3947-4-3", "RFC3947-4-4", "RFC3947-4-5", "RFC3947-4-6", "RFC3947-5.1-1"), Title: "An initiator that goes to port 4500 with its identity is answered there, and told there.", Run: peerFloats1},
	{IDs: ids("RFC3947-3-1", "RFC3947-3-2"), Title: "An initiator on another port than 500 is answered on that.", Run: otherPort},
	{IDs: ids("RFC3947-4-8"), Title: "A main mode that begins on port 4500 stays there.", Run: beginsOn4500v1},
	{IDs: ids("RFC3947-4-9"), Title: "Main mode on port 500 after the change to 4500 does not move the SA back.", Run: backTo500},
	{IDs: ids("RFC3947-3-3", "RFC3947-4-7"), Title: "The daemon replaces an ISAKMP SA that it answered on the ports of the old one, 500 or 4500.", Run: replacesOnPorts},
	{IDs: ids("RFC3947-5.2-1", "RFC3947-5.2-3"), Title: "The daemon's offer of UDP-encapsulated transport mode comes with both original addresses.", Run: natOAOfDaemon, Settings: hosts},
	{IDs: ids("RFC3947-5.2-1", "RFC3947-5.2-4"), Title: "Its acceptance of UDP-encapsulated transport mode does, too; without a NAT there is none.", Run: natOAOfResponder, Settings: hosts},
	{IDs: ids("RFC3948-2.3-1", "RFC3948-2.3-4", "RFC3948-4-2"), Title: "Behind a NAT the daemon sends keepalives of one octet 0xff on port 4500.", Run: keepalives1, Settings: Settings{Keepalive: time.Second}},
	{IDs: ids("RFC3948-2.3-5"), Title: "Keepalives, and what is neither IKE nor ESP, on port 4500 are not answered.", Run: keepaliveOfPeer1},
	{IDs: ids("RFC3948-4-1"), Title: "Keepalives do not show that the peer lives.", Run: keepalivesProveNothing, Settings: watchful},
	{IDs: ids("RFC3947-7-1", "RFC3947-8-2"), Title: "When the NAT of the peer changes its port, what the daemon sends follows an authentic message.", Run: follows1},
	{IDs: ids("RFC3947-7-1"), Title: "It follows neither a forged message, nor one in clear, nor one that it has seen.", Run: followsNoForgery1},
	{IDs: ids("RFC3947-7-2"), Title: "A daemon that is behind a NAT itself follows nobody.", Run: followsNobody},
}

// behind are NAT-D payloads as if there were a NAT in front of the peer, or of the daemon.
func (sa *ISAKMP) behindNAT(peerBehind, daemonBehind bool) []peer.Payload {
	ps := sa.exchange()
	n := len(ps)
	if daemonBehind {
		ps[n-2].Body = peer.Random(32)
	}
	if peerBehind {
		ps[n-1].Body = peer.Random(32)
	}
	return ps
}

// mainBehind makes an ISAKMP SA with NATs, over port 4500.
func (t *T) mainBehind(peerBehind, daemonBehind bool) *ISAKMP {
	sa := t.newISAKMP(usual1)
	sa.accepted(sa.bid(sa.propose()))
	sa.exchanged(sa.bid(sa.message(peer1.MainMode, 0, sa.behindNAT(peerBehind, daemonBehind)...)))
	sa.way = t.path(peer.PortNAT)
	sa.enters()
	return sa
}

// behindByDaemon makes one as the responder, and returns the daemon's quick mode.
func (t *T) behindByDaemon(peerBehind, daemonBehind bool) (*ISAKMP, *Quick) {
	t.order(Up)
	sa, _ := t.called1()
	m := sa.answered(sa.welcome())
	sa.swap(m)
	t.send(sa.way, sa.message(peer1.MainMode, 0, sa.behindNAT(peerBehind, daemonBehind)...).Encode())
	d, fifth := sa.waitFor(func(m peer.Message) bool { return m.Exchange == peer1.MainMode })
	sa.admitted(fifth)
	if id, _ := peer1.ParseID(fifth.Body(peer1.TypeID)); id.Port != 0 {
		t.Errorf("the identity has port %d", id.Port)
	}
	if d.Local.Port() != peer.PortNAT || d.Remote.Port() != peer.PortNAT {
		t.Fatalf("the identity came from port %d to port %d", d.Remote.Port(), d.Local.Port())
	}
	sa.way = t.path(peer.PortNAT)
	sa.push(sa.message(peer1.MainMode, 0, sa.identity()...))
	return sa, sa.offered()
}

// natdRight demands NAT-D payloads that tell the addresses as they are.
func (sa *ISAKMP) natdRight(m peer.Message) {
	got := peer1.All(m.Payloads, peer1.TypeNATD)
	if len(got) < 2 || !bytes.Equal(got[0], sa.NATHash(sa.way.from.Addr())) || !bytes.Equal(got[1], sa.NATHash(sa.way.to)) {
		sa.t.Errorf("the NAT-D payloads are %x", got)
	}
}

func natdOfDaemon(t *T) {
	sa := t.newISAKMP(usual1)
	sa.accepted(sa.bid(sa.propose()))
	m := sa.bid(sa.message(peer1.MainMode, 0, sa.exchange()...))
	sa.natdRight(m)
	sa.exchanged(m)
	sa.enters()
	sa.tell(sa.goodbye())
	t.counts(0, 0)
	t.order(Up)
	called, _ := t.called1()
	m = called.answered(called.welcome())
	called.natdRight(m)
	t.send(called.way, called.swap(m).Encode())
	d, fifth := called.waitFor(func(m peer.Message) bool { return m.Exchange == peer1.MainMode })
	called.admitted(fifth)
	if d.Local.Port() != peer.PortIKE || d.Remote.Port() != peer.PortIKE {
		t.Errorf("the identity came from port %d to port %d", d.Remote.Port(), d.Local.Port())
	}
}

func floats1(t *T) {
	for _, peerBehind := range []bool{true, false} {
		sa, q := t.behindByDaemon(peerBehind, !peerBehind)
		for _, p := range q.proposals() {
			for _, tr := range p.Transforms {
				if mode, _ := tr.Value(peer1.Encapsulation); mode != peer1.UDPTunnel {
					t.Errorf("encapsulation %d", mode)
				}
			}
		}
		if len(peer1.All(q.theirs, peer1.TypeNATOA)) > 0 {
			t.Errorf("NAT-OA in tunnel mode")
		}
		q.answer(q.grant()...)
		q.proved()
		t.counts(1, 1)
		sa.alive()
		sa.tell(q.gone())
		sa.tell(sa.goodbye())
		t.counts(0, 0)
		t.forget()
	}
}

// asks demands that what the daemon says next goes a certain way.
func (sa *ISAKMP) tellsBy(want path) {
	q := sa.quick()
	q.attribute(peer1.Encapsulation, peer1.UDPTunnel)
	q.done()
	sa.t.counts(1, 1)
	sa.t.order(DownChild)
	d, _ := sa.waitFor(func(m peer.Message) bool { return m.Exchange == peer1.Informational })
	if d.Local != want.from.Addr() || d.Remote != want.to {
		sa.t.Errorf("the Delete came from %v to %v, want from %v to %v", d.Remote, d.Local, want.to, want.from.Addr())
	}
	sa.t.counts(1, 0)
}

func peerFloats1(t *T) {
	sa := t.mainBehind(true, false)
	sa.alive()
	sa.tellsBy(t.path(peer.PortNAT))
}

func otherPort(t *T) {
	sa := t.newISAKMP(usual1)
	sa.way = t.from(40600, peer.PortIKE)
	sa.meets() // bid looks at the way back
	sa.enters()
	sa.alive()
}

func beginsOn4500v1(t *T) {
	sa := t.newISAKMP(usual1)
	sa.way = t.path(peer.PortNAT)
	sa.meets()
	sa.enters()
	sa.alive()
}

func backTo500(t *T) {
	sa := t.mainBehind(true, false)
	there := sa.way
	sa.way = t.path(peer.PortIKE)
	sa.pushOdd(sa.message(peer1.MainMode, 0, sa.identity()...), peer1.Oddities{Keep: true})
	sa.way = there
	sa.alive()
	sa.tellsBy(there)
}

func replacesOnPorts(t *T) {
	for _, make := range []func() *ISAKMP{t.main, func() *ISAKMP { return t.mainBehind(false, true) }} {
		old := make()
		t.counts(1, 0)
		t.order(RekeyIKE)
		sa, _ := t.called1()
		if sa.way.to != old.way.to || sa.way.from.Addr() != old.way.from.Addr() {
			t.Errorf("the new main mode came from %v to %v, and the old went from %v to %v", sa.way.to, sa.way.from.Addr(), old.way.from.Addr(), old.way.to)
		}
		t.order(Down)
		t.counts(0, 0)
		t.forget()
	}
}

// originals are the addresses in NAT-OA payloads.
func originals(ps []peer.Payload) (list []netip.Addr) {
	for _, body := range peer1.All(ps, peer1.TypeNATOA) {
		if a, ok := netip.AddrFromSlice(body[min(4, len(body)):]); ok && body[0] == peer1.IDIPv4 {
			list = append(list, a)
		}
	}
	return list
}

func natOAOfDaemon(t *T) {
	_, q := t.behindByDaemon(true, false)
	if mode, _ := q.proposals()[0].Transforms[0].Value(peer1.Encapsulation); mode != peer1.UDPTransport {
		t.Errorf("encapsulation %d", mode)
	}
	if got := originals(q.theirs); len(got) != 2 || got[0] != t.far || got[1] != t.Peer {
		t.Errorf("NAT-OA are %v, want %v and %v", got, t.far, t.Peer)
	}
}

func natOAOfResponder(t *T) {
	hostsOf := func(q *Quick, mode uint16) *Quick {
		q.attribute(peer1.Encapsulation, mode)
		q.ids = nil
		for _, a := range []netip.Addr{t.Peer, t.far} {
			q.ids = append(q.ids, peer1.ID{Kind: peer1.IDIPv4, Data: a.AsSlice()}.Payload())
		}
		return q
	}
	answer := func(sa *ISAKMP, q *Quick, more ...peer.Payload) []netip.Addr {
		ps := q.ask(append(q.offer(), more...)...)
		var rest []peer.Payload
		for _, p := range ps {
			if p.Type != peer1.TypeNATOA {
				rest = append(rest, p)
			}
		}
		q.agree(rest)
		sa.push(q.proof())
		t.counts(1, 1)
		return originals(ps)
	}
	sa := t.mainBehind(true, false)
	oa := func(a netip.Addr) peer.Payload {
		return peer.Payload{Type: peer1.TypeNATOA, Body: append([]byte{peer1.IDIPv4, 0, 0, 0}, a.AsSlice()...)}
	}
	if got := answer(sa, hostsOf(sa.quick(), peer1.UDPTransport), oa(t.Peer), oa(t.far)); len(got) != 2 {
		t.Errorf("NAT-OA are %v", got)
	}
	sa.tell(sa.goodbye())
	t.counts(0, 0)
	sa = t.main()
	if got := answer(sa, hostsOf(sa.quick(), peer1.Transport)); len(got) != 0 {
		t.Errorf("NAT-OA without a NAT: %v", got)
	}
}

func keepalives1(t *T) {
	sa := t.mainBehind(false, true)
	for range 2 {
		d, ok := t.receive(patience, func(d peer.Datagram) bool { return d.ESP })
		if !ok || len(d.Bytes) != 1 || d.Bytes[0] != 0xff || d.Local != sa.way.from.Addr() || d.Remote != sa.way.to {
			t.Fatalf("want a keepalive: %v %x from %v to %v", ok, d.Bytes, d.Remote, d.Local)
		}
	}
	sa.tell(sa.goodbye())
}

func keepaliveOfPeer1(t *T) {
	sa := t.mainBehind(true, false)
	for _, b := range [][]byte{{0xff}, {0}, {0xff, 0xff}, {0, 0, 0, 0}, {0, 0, 0, 0, 0xff}, peer.Random(40)} {
		t.must(sa.way.from.SendRaw(sa.way.to, b))
	}
	sa.alive()
}

func keepalivesProveNothing(t *T) {
	sa := t.mainBehind(true, false)
	sa.asked()
	for range 4 {
		t.must(sa.way.from.SendRaw(sa.way.to, []byte{0xff}))
		pause(hundred)
	}
	t.counts(0, 0)
}

func follows1(t *T) {
	sa := t.mainBehind(true, false)
	sa.way = t.from(40601, peer.PortNAT)
	sa.alive()
	t.told("mobility.nat_mapping_changed", sa.way.from.Addr().String())
	sa.tellsBy(sa.way)
}

func followsNoForgery1(t *T) {
	sa := t.mainBehind(true, false)
	there := sa.way
	elsewhere := t.from(40602, peer.PortNAT)
	seen := sa.tell(sa.ruThere().Payload())
	sa.acknowledged(sa.told())
	sa.way = elsewhere
	t.send(elsewhere, seen)
	t.send(elsewhere, sa.plain(newID(), sa.ruThere().Payload()))
	t.send(elsewhere, peer1.Frame(sa.message(peer1.Informational, newID()), peer1.TypeHash, peer.Random(96)))
	sa.push(sa.message(peer1.Informational, newID(), peer1.Hashed(peer.Random(32), sa.ruThere().Payload())...))
	sa.way = there
	q := sa.quick()
	q.attribute(peer1.Encapsulation, peer1.UDPTunnel)
	q.done()
	t.counts(1, 1)
	t.order(DownChild)
	d, _ := sa.waitFor(func(m peer.Message) bool { return m.Exchange == peer1.Informational })
	if d.Local != there.from.Addr() {
		t.Errorf("the Delete came to %v", d.Local)
	}
}

func followsNobody(t *T) {
	sa := t.mainBehind(false, true)
	there := sa.way
	sa.way = t.from(40603, peer.PortNAT)
	sa.tell(sa.ruThere().Payload())
	d, m := sa.waitFor(func(m peer.Message) bool { return m.Exchange == peer1.Informational })
	sa.acknowledged(sa.unhashed(m))
	if d.Local != there.from.Addr() {
		t.Errorf("the acknowledgement came to %v", d.Local)
	}
}
