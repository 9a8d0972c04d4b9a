package protocol

import (
	"time"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// NAT traversal, ports and addresses (RFC 7296 sections 2.11, 2.23).
var natCases = []Case{
	{IDs: ids("RFC7296-2.23-2", "RFC7296-2.23-7", "RFC7296-2.23-9"), Title: "When a NAT is found, by either hash, the daemon as the initiator goes on from and to port 4500.", Run: floats},
	{IDs: ids("RFC7296-2.23-2"), Title: "Without a NAT the daemon stays on port 500.", Run: stays},
	{IDs: ids("RFC7296-2.23-1", "RFC7296-2.11-3"), Title: "An initiator that goes to port 4500 at IKE_AUTH is answered there, and asked there.", Run: peerFloats},
	{IDs: ids("RFC7296-2.23-8"), Title: "Behind a NAT the daemon sends NAT keepalives of one octet 0xff to port 4500.", Run: keepalives,
		Settings: Settings{Keepalive: time.Second}},
	{IDs: ids("RFC7296-2.23-8"), Title: "NAT keepalives of the peer are not answered.", Run: keepaliveOfPeer},
	{IDs: ids("RFC7296-2.23-12"), Title: "When the NAT of the peer changes its port, the daemon's requests follow an authentic message.", Run: follows},
	{IDs: ids("RFC7296-2.23-12"), Title: "They follow neither a forged message, nor a repeated one, nor one in clear.", Run: followsNoForgery},
	{IDs: ids("RFC7296-2.23-13"), Title: "A daemon that is behind a NAT itself does not follow: it asks where it has asked before.", Run: doesNotFollow},
	{IDs: ids("RFC7296-2.23-12", "RFC7296-2.23-13"), Title: "Without any NAT the daemon does not follow.", Run: doesNotFollowWithout},
	{IDs: ids("RFC7296-2.23-6", "RFC7296-2.23-7"), Title: "A peer that sends several sources of which one is right is not behind a NAT; one without any does without NAT traversal.", Run: severalSources},
	{IDs: ids("RFC7296-2.11-1", "RFC7296-2-3"), Title: "A peer that begins on port 4500 is served there.", Run: beginsOn4500},
}

// natted does NAT detection with lies: as if there were a NAT in front of the peer, or of the daemon.
func (sa *SA) natted(m *peer.Message, peerBehind, daemonBehind bool) {
	for i, p := range m.Payloads {
		n, err := peer.ParseNotify(p.Body)
		if p.Type != peer.TypeNotify || err != nil {
			continue
		}
		if n.Kind == peer.NATDetectionSource && peerBehind || n.Kind == peer.NATDetectionDestination && daemonBehind {
			m.Payloads[i] = peer.NotifyPayload(n.Kind, peer.Random(20)...)
		}
	}
}

// upBehind makes an SA as the initiator, with NATs, over port 4500.
func (t *T) upBehind(peerBehind, daemonBehind bool) *SA {
	sa := t.newSA(usual)
	m := sa.hello()
	sa.natted(&m, peerBehind, daemonBehind)
	sa.agree(sa.greet(m))
	sa.way = t.path(peer.PortNAT)
	sa.admitted(sa.ask(sa.claim()))
	return sa
}

func floats(t *T) {
	for _, peerBehind := range []bool{true, false} {
		t.order(Up)
		sa, m := t.called()
		answer := sa.welcome(m)
		sa.natted(&answer, peerBehind, !peerBehind)
		sa.accept(m, answer)
		auth := sa.request(peer.IKEAuth)
		if sa.way.to.Port() != peer.PortNAT || sa.way.from.Addr().Port() != peer.PortNAT {
			t.Errorf("IKE_AUTH went from port %d to port %d", sa.way.to.Port(), sa.way.from.Addr().Port())
		}
		sa.answer(auth, append(sa.grant(), sa.grantChild(auth)...)...)
		t.counts(1, 1)
		sa.alive()
		sa.inform(peer.DeletePayload(peer.ProtoIKE))
		t.counts(0, 0)
	}
}

func stays(t *T) {
	sa := t.upByDaemon()
	if sa.way.to.Port() != peer.PortIKE || sa.way.from.Addr().Port() != peer.PortIKE {
		t.Errorf("IKE_AUTH went from port %d to port %d", sa.way.to.Port(), sa.way.from.Addr().Port())
	}
}

// asks demands that the daemon's next request goes a certain way.
func (sa *SA) asks(want path) {
	sa.t.order(DownChild)
	m := sa.request(peer.Informational)
	if sa.way.from.Addr() != want.from.Addr() || sa.way.to != want.to {
		sa.t.Errorf("the request came from %v to %v, want from %v to %v", sa.way.to, sa.way.from.Addr(), want.to, want.from.Addr())
	}
	sa.answer(m)
	sa.t.counts(1, 0)
}

func peerFloats(t *T) {
	sa := t.upBehind(true, false)
	sa.alive()
	sa.asks(t.path(peer.PortNAT))
}

func keepalives(t *T) {
	sa := t.upBehind(false, true)
	for range 2 {
		d, ok := t.receive(patience, func(d peer.Datagram) bool { return d.ESP })
		if !ok || len(d.Bytes) != 1 || d.Bytes[0] != 0xff || d.Local != sa.way.from.Addr() {
			t.Fatalf("want a keepalive: %v %x to %v", ok, d.Bytes, d.Local)
		}
	}
	sa.inform()
}

func keepaliveOfPeer(t *T) {
	sa := t.upBehind(true, false)
	for _, b := range [][]byte{{0xff}, {0}, {0xff, 0xff}} {
		t.must(sa.way.from.SendRaw(sa.way.to, b))
	}
	sa.alive()
}

func follows(t *T) {
	sa := t.upBehind(true, false)
	sa.way = t.from(40001, peer.PortNAT)
	sa.alive()
	sa.asks(sa.way)
}

func followsNoForgery(t *T) {
	sa := t.upBehind(true, false)
	true_, elsewhere := sa.way, t.from(40002, peer.PortNAT)
	m := sa.Request(peer.Informational)
	sa.ask(m)
	sa.way = elsewhere
	sa.again(m)
	t.send(sa.way, sa.Seal(sa.Request(peer.Informational), peer.Oddities{Forge: true}))
	sa.Own--
	t.send(sa.way, sa.Request(peer.Informational).Encode())
	sa.Own--
	pause(silence)
	t.forget()
	sa.way = true_
	sa.asks(true_)
}

func doesNotFollow(t *T) {
	sa := t.upBehind(false, true)
	before := sa.way
	sa.way = t.from(40003, peer.PortNAT)
	sa.inform()
	sa.asks(before)
}

func doesNotFollowWithout(t *T) {
	sa := t.up()
	before := sa.way
	sa.way = t.from(40004, peer.PortIKE)
	sa.inform()
	sa.asks(before)
}

func severalSources(t *T) {
	sa := t.newSA(usual)
	m := sa.hello()
	m.Payloads = append([]peer.Payload{peer.NotifyPayload(peer.NATDetectionSource, peer.Random(20)...)}, m.Payloads...)
	sa.agree(sa.greet(m))
	sa.admitted(sa.ask(sa.claim()))
	before := sa.way
	sa.way = t.from(40005, peer.PortIKE)
	sa.inform()
	sa.asks(before) // as without a NAT
	sa.inform(peer.DeletePayload(peer.ProtoIKE))
	sa = t.newSA(usual)
	m = sa.hello()
	m.Payloads = m.Payloads[:3]
	sa.agree(sa.greet(m))
	sa.admitted(sa.ask(sa.claim()))
}

func beginsOn4500(t *T) {
	sa := t.newSA(usual)
	sa.way = t.path(peer.PortNAT)
	sa.agree(sa.greet(sa.hello()))
	sa.admitted(sa.ask(sa.claim()))
	sa.asks(t.path(peer.PortNAT))
}
