package protocol

import "github.com/parley-ike/parley/conformance/protocol/peer"

var (
	six       = Settings{IPv6: true}
	sixMobile = Settings{IPv6: true, MOBIKE: true}
	sixSmall  = Settings{IPv6: true, Fragments: 200}
)

// What changes when the outer addresses are of IPv6.
var ipv6Cases = []Case{
	{IDs: ids("RFC7296-4-3", "RFC7296-2.11-1"), Title: "Over IPv6, four messages make an IKE SA and a child, in both roles, and Deletes end them.", Run: sixBothRoles, Settings: six},
	{IDs: ids("RFC7296-2.23-6", "RFC7296-2.23-2"), Title: "Over IPv6, NAT detection has the right hashes, and without a NAT ports stay.", Run: sixNATD, Settings: six},
	{IDs: ids("RFC7296-2.11-1"), Title: "Over IPv6, responses go back where the request came from, from the port that was asked.", Run: anyPort, Settings: six},
	{IDs: ids("RFC7296-1.3.3-1", "RFC7296-2.8-6"), Title: "Over IPv6, a child and the IKE SA are rekeyed.", Run: sixRekey, Settings: six},
	{IDs: ids("RFC7383-2.5.1-1", "RFC7383-2.4-3"), Title: "Over IPv6, the datagrams of a message in fragments fit the size, with the longer header.", Run: sixFragments, Settings: sixSmall},
	{IDs: ids("RFC4555-3.7-1", "RFC4555-3.7-2"), Title: "Over IPv6, the peer moves to another address, and the daemon asks it there.", Run: peerMoves, Settings: sixMobile},
	{IDs: ids("RFC4555-3.9-2"), Title: "Over IPv6, NO_NATS_ALLOWED of 36 octets is compared with the addresses of the packet.", Run: sixNoNATs, Settings: sixMobile},
	{IDs: ids("RFC7296-2.6-2", "RFC7296-2.6-5"), Title: "Over IPv6, cookies are asked for and taken.", Run: cookie, Settings: Settings{IPv6: true, Cookies: true}},
}

func sixBothRoles(t *T) {
	t.up().inform(peer.DeletePayload(peer.ProtoIKE))
	t.counts(0, 0)
	sa := t.upByDaemon()
	t.order(Down)
	sa.answer(sa.request(peer.Informational))
	t.counts(0, 0)
}

func sixNATD(t *T) {
	natdOfResponder(t)
	stays(t)
}

func sixRekey(t *T) {
	sa := t.up()
	o := sa.offers(0)
	o.made(sa.ask(o.rekeys(sa.in)))
	sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in)))
	fresh := sa.renewal()
	fresh.renewed(sa, sa.ask(fresh.requestOn(sa)))
	sa.inform(peer.DeletePayload(peer.ProtoIKE))
	fresh.alive()
	t.counts(1, 1)
}

func sixFragments(t *T) {
	sa := t.beginFragments()
	m := sa.claim()
	sa.push(m)
	sa.admitted(t.fit(sa, func(h peer.Message) bool { return h.Response() && h.ID == m.ID }))
}

func sixNoNATs(t *T) {
	sa := t.upMobile()
	before, away := sa.way, t.elsewhere()
	sa.way = away
	m := sa.inform(peer.NotifyPayload(peer.UpdateSAAddresses), peer.NotifyPayload(peer.NoNATsAllowed, addresses(before)...))
	t.has(m, peer.UnexpectedNATDetected)
	m = sa.inform(peer.NotifyPayload(peer.UpdateSAAddresses), peer.NotifyPayload(peer.NoNATsAllowed, addresses(away)...))
	if errs := m.Errors(); len(errs) > 0 {
		t.Fatalf("the move is refused with %v", errs)
	}
	question := sa.request(peer.Informational)
	sa.answer(question, returned(question))
	sa.asks(away)
}
