package protocol

import (
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

var (
	sendsAway      = Settings{Redirect: "init"}
	sendsAwayLater = Settings{Redirect: "auth"}
	followsAway    = Settings{Follow: true}
)

// Redirect (RFC 5685), with the daemon as the gateway and as the client.
var redirectCases = []Case{
	{IDs: ids("RFC5685-3"), Title: "A client that says REDIRECT_SUPPORTED gets nothing but REDIRECT in the IKE_SA_INIT response, with its nonce and without SPI, and leaves no SA behind.", Run: sentAwayAtOnce, Settings: sendsAway},
	{IDs: ids("RFC5685-3"), Title: "A client that does not say so is served by a gateway that redirects.", Run: notSentAway, Settings: sendsAway},
	{IDs: ids("RFC5685-6"), Title: "In IKE_AUTH the gateway proves itself and sends the client away instead of making a child.", Run: sentAwayInAuth, Settings: sendsAwayLater},
	{IDs: ids("RFC5685-5", "RFC5685-3"), Title: "During a session a gateway sends REDIRECT without a nonce to a client that permits it, and nothing to one that does not.", Run: sentAwayLater, Settings: followsAway},
	{IDs: ids("RFC5685-3"), Title: "A daemon that does not follow says nothing of redirect, and takes the true answer after a REDIRECT.", Run: doesNotRedirect},
	{IDs: ids("RFC5685-3", "RFC5685-9.2"), Title: "The daemon follows a REDIRECT with its nonce, with REDIRECTED_FROM, and discards those with another, and with gateways that are none.", Run: goesAway, Settings: followsAway},
	{IDs: ids("RFC5685-6"), Title: "The daemon follows a REDIRECT in IKE_AUTH, and deletes the IKE SA.", Run: goesAwayInAuth, Settings: followsAway},
	{IDs: ids("RFC5685-6", "RFC7296-1.2-2"), Title: "The daemon does not follow a REDIRECT in IKE_AUTH from a gateway that has not proved itself.", Run: staysWithoutProof, Settings: followsAway},
	{IDs: ids("RFC5685-5"), Title: "Sent away during a session, the daemon brings its child up at the other gateway, and then deletes the old IKE SA.", Run: goesAwayLater, Settings: followsAway},
	{IDs: ids("RFC5685-5"), Title: "A peer that began the IKE SA itself cannot send the daemon away.", Run: clientCannotRedirect, Settings: followsAway},
	{IDs: ids("RFC5685-7"), Title: "The daemon that is sent around follows five times, and then no more.", Run: sentAround, Settings: followsAway},
}

// gatewayID is how a notify names a gateway by its address (RFC 5685 section 9.2).
func gatewayID(a netip.Addr) []byte {
	kind := byte(1)
	if a.Is6() {
		kind = 2
	}
	return append([]byte{kind, byte(len(a.AsSlice()))}, a.AsSlice()...)
}

// willing is our first message, with which the gateway may send us away.
func (sa *SA) willing() peer.Message {
	m := sa.hello()
	m.Payloads = append(m.Payloads, peer.NotifyPayload(peer.RedirectSupported))
	return m
}

// upWilling makes an SA whose client can be sent away.
func (t *T) upWilling() *SA {
	sa := t.newSA(usual)
	sa.agree(sa.greet(sa.willing()))
	return sa
}

// sendsTo demands that a REDIRECT names the gateway of the settings, with what follows.
func (t *T) sendsTo(m peer.Message, rest []byte) {
	want := append(gatewayID(netip.MustParseAddr(Gateway)), rest...)
	if n, ok := m.Notify(peer.Redirect); !ok || !slices.Equal(n.Data, want) || n.Protocol != 0 {
		t.Fatalf("REDIRECT is %x (%v), want %x: %v", n.Data, ok, want, m)
	}
}

func sentAwayAtOnce(t *T) {
	for range 3 {
		sa := t.newSA(usual)
		answer := sa.greet(sa.willing())
		t.sendsTo(answer, sa.Ni)
		if len(answer.Payloads) != 1 || answer.SPIr != 0 {
			t.Errorf("want REDIRECT alone and no SPI: %v, SPI %x", answer, answer.SPIr)
		}
	}
	t.counts(0, 0)
}

func notSentAway(t *T) {
	sa := t.up()
	sa.alive()
	t.counts(1, 1)
}

func sentAwayInAuth(t *T) {
	sa := t.upWilling()
	answer := sa.ask(sa.claim())
	sa.proven(answer)
	t.kinds(answer, peer.TypeIDr, peer.TypeAuth)
	t.sendsTo(answer, nil)
	sa.inform(peer.DeletePayload(peer.ProtoIKE))
	t.counts(0, 0)
	other := t.up() // who does not permit it gets its child
	other.alive()
}

func sentAwayLater(t *T) {
	sa := t.upWilling()
	sa.admitted(sa.ask(sa.claim()))
	t.order(Redirect)
	m := sa.request(peer.Informational)
	t.sendsTo(m, nil)
	sa.answer(m)
	sa.alive() // until we have moved
	sa.inform(peer.DeletePayload(peer.ProtoIKE))
	t.counts(0, 0)
	other := t.up()
	t.order(Redirect)
	t.quiet()
	other.alive()
}

func doesNotRedirect(t *T) {
	t.order(Up)
	sa, call := t.called()
	for _, kind := range []uint16{peer.RedirectSupported, peer.RedirectedFrom} {
		if _, says := call.Notify(kind); says {
			t.Errorf("a daemon that does not follow says so: %v", call)
		}
	}
	sa.redirect(call, append(gatewayID(netip.MustParseAddr(Gateway)), call.Body(peer.TypeNonce)...))
	sa.completes(call)
}

// redirect answers the daemon's first message with a REDIRECT.
func (sa *SA) redirect(call peer.Message, data []byte) {
	m := peer.Message{SPIi: call.SPIi, Exchange: peer.IKESAInit, Flags: peer.FlagResponse, Payloads: []peer.Payload{peer.NotifyPayload(peer.Redirect, data...)}}
	sa.t.send(sa.way, m.Encode())
}

// other is a second gateway of ours.
func (t *T) other() netip.Addr {
	to := t.elsewhere().from.Addr().Addr()
	t.listen(netip.AddrPortFrom(to, peer.PortIKE))
	return to
}

// calledAt demands that the daemon calls at another gateway, and that it says who sent it.
func (t *T) calledAt(to, from netip.Addr) (*SA, peer.Message) {
	sa, m := t.called()
	if sa.way.from.Addr().Addr() != to {
		t.Fatalf("the daemon calls %v, want %v", sa.way.from.Addr(), to)
	}
	if n, ok := m.Notify(peer.RedirectedFrom); !ok || !slices.Equal(n.Data, gatewayID(from)) {
		t.Errorf("REDIRECTED_FROM is %x (%v), want %v", n.Data, ok, from)
	}
	return sa, m
}

func goesAway(t *T) {
	to := t.other()
	t.order(Up)
	sa, call := t.called()
	if n, ok := call.Notify(peer.RedirectSupported); !ok || len(n.Data) != 0 {
		t.Errorf("REDIRECT_SUPPORTED is %+v (%v)", n, ok)
	}
	ni := call.Body(peer.TypeNonce)
	for _, data := range [][]byte{
		append(gatewayID(to), peer.Random(len(ni))...), append(gatewayID(to), ni[1:]...), gatewayID(to), nil, {1}, {1, 200},
		append([]byte{9, 4, 10, 99, 1, 1}, ni...), append([]byte{1, 5, 10, 99, 1, 1, 1}, ni...), append([]byte{3, 0}, ni...), append([]byte{3, 3, 'a', 0, 'b'}, ni...),
		append(gatewayID(netip.IPv4Unspecified()), ni...), append(gatewayID(netip.MustParseAddr("224.0.0.1")), ni...),
	} {
		sa.redirect(call, data)
	}
	t.quiet()
	sa.redirect(call, append(gatewayID(to), ni...))
	second, m := t.calledAt(to, t.Peer)
	if slices.Equal(m.Body(peer.TypeNonce), ni) || m.SPIi == call.SPIi {
		t.Errorf("the second call has the nonce or the SPI of the first")
	}
	second.completes(m)
}

// claimed is an IKE_AUTH response of a gateway that sends the daemon away instead of making a child.
func (sa *SA) awayInAuth(auth peer.Message, to netip.Addr, spoil func(proof []byte)) {
	ps := sa.grant()
	spoil(ps[1].Body)
	sa.answer(auth, append(ps, peer.NotifyPayload(peer.Redirect, gatewayID(to)...))...)
}

func goesAwayInAuth(t *T) {
	to := t.other()
	sa, auth := t.greeted()
	sa.awayInAuth(auth, to, func([]byte) {})
	second, m := t.calledAt(to, t.Peer)
	gone := sa.request(peer.Informational)
	if _, deletes := gone.Deletes(peer.ProtoIKE); !deletes {
		t.Errorf("want a Delete of the IKE SA: %v", gone)
	}
	sa.answer(gone)
	second.completes(m)
}

func staysWithoutProof(t *T) {
	to := t.other()
	sa, auth := t.greeted()
	sa.awayInAuth(auth, to, func(proof []byte) { proof[len(proof)-1] ^= 1 })
	sa.rejected()
	t.quiet()
	t.counts(0, 0)
}

func goesAwayLater(t *T) {
	to := t.other()
	sa := t.upByDaemon()
	answer := sa.inform(peer.NotifyPayload(peer.Redirect, gatewayID(to)...))
	if len(answer.Errors()) > 0 {
		t.Fatalf("the answer is %v", answer)
	}
	second, m := t.calledAt(to, t.Peer)
	second.completes(m)
	gone := sa.request(peer.Informational)
	if _, deletes := gone.Deletes(peer.ProtoIKE); !deletes {
		t.Errorf("want a Delete of the IKE SA: %v", gone)
	}
	sa.answer(gone)
	t.counts(1, 1)
}

func clientCannotRedirect(t *T) {
	to := t.other()
	sa := t.up()
	if answer := sa.inform(peer.NotifyPayload(peer.Redirect, gatewayID(to)...)); len(answer.Payloads) != 0 {
		t.Errorf("the answer is %v", answer)
	}
	t.quiet()
	sa.alive()
}

func sentAround(t *T) {
	gateways := []netip.Addr{t.Peer, t.other()}
	t.order(Up)
	sa, call := t.called()
	for i := range 5 {
		from, to := gateways[i%2], gateways[(i+1)%2]
		sa.redirect(call, append(gatewayID(to), call.Body(peer.TypeNonce)...))
		sa, call = t.calledAt(to, from)
	}
	sa.redirect(call, append(gatewayID(gateways[0]), call.Body(peer.TypeNonce)...))
	t.quiet()
	t.counts(0, 0)
}
