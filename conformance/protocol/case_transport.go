package protocol

import (
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// hosts makes the children be in transport mode, between the two addresses.
var hosts = Settings{Transport: true}

// Transport mode (RFC 7296 sections 1.3.1, 2.23.1).
var transportCases = []Case{
	{IDs: ids("RFC7296-1.3.1-1"), Title: "Transport mode that the peer asks for is accepted with USE_TRANSPORT_MODE.", Run: transportAccepted, Settings: hosts},
	{IDs: ids("RFC7296-1.3.1-1", "RFC7296-1.3.1-3"), Title: "A peer that does not ask for transport mode, where the daemon wants nothing else, gets no child; the IKE SA lives.", Run: transportNotAsked, Settings: hosts},
	{IDs: ids("RFC7296-2.23.1-1", "RFC7296-2.23.1-3", "RFC7296-2.23.1-4", "RFC7296-1.3.1-1"),
		Title: "The daemon asks for transport mode with one address in each selector payload: those of the IKE SA.", Run: asksForTransport, Settings: hosts},
	{IDs: ids("RFC7296-1.3.1-2"), Title: "When the peer declines transport mode, the daemon deletes the child, and the IKE SA lives.", Run: declinesTransport, Settings: hosts},
	{IDs: ids("RFC7296-2.23-11", "RFC7296-2.23.1-1"), Title: "Behind a NAT, too, transport mode has one address in each selector payload.", Run: transportNAT, Settings: hosts},
}

// between asks for a child in transport mode between the two ends.
func (sa *SA) between() []peer.Payload {
	child := sa.child()
	child[1] = peer.TSPayload(peer.TypeTSi, peer.Net(sa.t.Peer.String()+"/32"))
	child[2] = peer.TSPayload(peer.TypeTSr, peer.Net(sa.t.far.String()+"/32"))
	return append(child, peer.NotifyPayload(peer.UseTransportMode))
}

func transportAccepted(t *T) {
	sa := t.begin()
	m := sa.ask(sa.Request(peer.IKEAuth, append(sa.proofs(), sa.between()...)...))
	sa.admitted(m)
	if n, ok := m.Notify(peer.UseTransportMode); !ok || n.Protocol != 0 || len(n.Data) != 0 {
		t.Errorf("USE_TRANSPORT_MODE is %+v (%v)", n, ok)
	}
	t.counts(1, 1)
}

func transportNotAsked(t *T) {
	sa := t.begin()
	child := sa.between()[:3]
	m := sa.ask(sa.Request(peer.IKEAuth, append(sa.proofs(), child...)...))
	sa.proven(m)
	if errs := m.Errors(); len(errs) != 1 {
		t.Errorf("the answer is %v", m)
	}
	sa.alive()
	t.counts(1, 0)
}

// asksTransport returns the daemon's IKE_AUTH request for transport mode, whose selectors are one address each.
func (sa *SA) asksTransport(auth peer.Message) {
	if _, ok := auth.Notify(peer.UseTransportMode); !ok {
		sa.t.Fatalf("the daemon does not ask for transport mode: %v", auth)
	}
	for kind, want := range map[uint8]string{peer.TypeTSi: sa.way.to.Addr().String(), peer.TypeTSr: sa.way.from.Addr().Addr().String()} {
		for _, s := range must(peer.ParseTS(auth.Body(kind))) {
			if s.Start != s.End || s.Start.String() != want {
				sa.t.Errorf("the selector payload %d has %v, want %s", kind, s, want)
			}
		}
	}
}

func asksForTransport(t *T) {
	sa, auth := t.greeted()
	sa.asksTransport(auth)
	sa.answer(auth, slices.Concat(sa.grant(), sa.grantChild(auth), []peer.Payload{peer.NotifyPayload(peer.UseTransportMode)})...)
	t.counts(1, 1)
	sa.alive()
}

func declinesTransport(t *T) {
	sa, auth := t.greeted()
	sa.answer(auth, append(sa.grant(), sa.grantChild(auth)...)...)
	m := sa.request(peer.Informational)
	sa.deleted(m)
	sa.answer(m)
	t.counts(1, 0)
	sa.alive()
}

func transportNAT(t *T) {
	t.order(Up)
	sa, m := t.called()
	answer := sa.welcome(m)
	sa.natted(&answer, true, false)
	sa.accept(m, answer)
	sa.asksTransport(sa.request(peer.IKEAuth))
}
