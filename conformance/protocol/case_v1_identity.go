package protocol

import (
	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

// Identities of phase 1 and situations (RFC 2407 sections 4.2 and 4.6.2).
var v1IdentityCases = []Case{
	{IDs: ids("RFC2407-4.6.2-2", "RFC3947-4-10"), Title: "An identity is for protocol and port 0, or UDP and 500.", Run: goodIDs},
	{IDs: ids("RFC2407-4.6.2-2", "RFC2407-4.6.2-3", "RFC2407-4.6.2-4", "RFC2408-5.8-2"), Title: "An identity with another protocol or port, or that cannot be read, makes no SA.", Run: badIDs},
	{IDs: ids("RFC2407-4.6.2-1"), Title: "An identity that no connection names makes no SA, though its proof is right.", Run: unknownID},
	{IDs: ids("RFC2407-4.2.1-2", "RFC2409-5-5"), Title: "Main mode without an identity, or with two, makes no SA.", Run: noID},
	{IDs: ids("RFC2407-4.2.2-3", "RFC2407-4.2.3-3", "RFC2408-5.4-2", "RFC2407-4.2.1-1"),
		Title: "Offers for SIT_SECRECY, SIT_INTEGRITY, no situation or another DOI make no SA, in either phase.", Run: otherSituations},
	{IDs: ids("RFC2407-4.6.2-3", "RFC2409-5-13"), Title: "A responder under another identity, or with one for another port, is not believed.", Run: otherResponder1},
}

func goodIDs(t *T) {
	for _, change := range []func(*peer1.ID){
		func(*peer1.ID) {},
		func(id *peer1.ID) { id.Protocol, id.Port = 17, 500 },
	} {
		sa := t.met()
		change(&sa.id)
		sa.enters() // it looks at the daemon's, too
		sa.tell(sa.goodbye())
		t.counts(0, 0)
	}
}

func badIDs(t *T) {
	for _, change := range []func(*peer1.ID){
		func(id *peer1.ID) { id.Protocol, id.Port = 6, 80 },
		func(id *peer1.ID) { id.Protocol, id.Port = 17, 501 },
		func(id *peer1.ID) { id.Protocol, id.Port = 0, 500 },
		func(id *peer1.ID) { id.Protocol, id.Port = 255, 65535 },
		func(id *peer1.ID) { id.Kind = 0 },
		func(id *peer1.ID) { id.Kind = 200 },
		func(id *peer1.ID) { id.Kind, id.Data = peer1.IDIPv4, []byte{10, 1, 1} },
		func(id *peer1.ID) { id.Kind, id.Data = peer1.IDIPv4Subnet, make([]byte, 8) },
		func(id *peer1.ID) { id.Data = nil },
		func(id *peer1.ID) { id.Data = append(id.Data, 0) },
	} {
		sa := t.met()
		change(&sa.id)
		sa.push(sa.message(peer1.MainMode, 0, sa.identity()...))
		sa.turnedAway()
	}
	t.told("ike_sa.failed", "not for IKE (RFC 2407 section 4.6.2)")
	t.counts(0, 0)
}

func unknownID(t *T) {
	sa := t.met()
	sa.id.Data = []byte("stranger.example.net")
	sa.push(sa.message(peer1.MainMode, 0, sa.identity()...))
	sa.turnedAway()
	t.counts(0, 0)
}

func noID(t *T) {
	sa := t.met()
	sa.push(sa.message(peer1.MainMode, 0, sa.identity()[1:]...))
	sa.turnedAway()
	sa = t.met()
	ps := sa.identity()
	sa.push(sa.message(peer1.MainMode, 0, ps[0], ps[1], ps[1]))
	sa.turnedAway()
	t.counts(0, 0)
}

func otherSituations(t *T) {
	change := func(p peer.Payload, at int, octet byte) peer.Payload {
		p.Body[at] = octet
		return p
	}
	sa := t.newISAKMP(usual1)
	for at, octets := range map[int][]byte{7: {0, 2, 3, 4, 5, 7, 8}, 3: {0, 2}} {
		for _, octet := range octets {
			other := t.newISAKMP(usual1)
			m := other.propose()
			m.Payloads[0] = change(m.Payloads[0], at, octet)
			t.send(other.way, m.Encode())
		}
	}
	for d, ok := t.receive(silence, anyDatagram); ok; d, ok = t.receive(silence, anyDatagram) {
		m, err := peer1.Decode(d.Bytes)
		if t.must(err); m.Exchange != peer1.Informational {
			t.Fatalf("the daemon goes on: %s", peer1.Describe(m))
		}
	}
	sa.meets()
	sa.enters()
	q := sa.quick()
	ps := q.offer()
	ps[0] = change(ps[0], 7, 2)
	sa.push(q.first(ps...))
	q.refused(peer1.NoProposalChosen, peer1.SituationNotSupported)
	t.counts(1, 0)
}

func otherResponder1(t *T) {
	for _, change := range []func(*peer1.ID){
		func(id *peer1.ID) { id.Data = []byte("other.example.net") },
		func(id *peer1.ID) { id.Protocol, id.Port = 6, 500 },
	} {
		sa, _ := t.greeted1()
		change(&sa.id)
		sa.push(sa.message(peer1.MainMode, 0, sa.identity()...))
		sa.refused(peer1.InvalidIDInformation)
		t.counts(0, 0)
		t.forget()
	}
}
