package protocol

import (
	"bytes"
	"slices"
	"time"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// The daemon rekeys what is three seconds old.
var (
	agingChild = Settings{LifeChild: 3 * time.Second}
	agingIKE   = Settings{LifeIKE: 3 * time.Second}
)

// Rekeying of children and IKE SAs, and collisions (RFC 7296 sections 1.3.2, 1.3.3, 2.8, 2.9.2, 2.18, 2.25).
var rekeyCases = []Case{
	{IDs: ids("RFC7296-1.3.3-1", "RFC7296-2.8-6", "RFC7296-2.8.1-2"), Title: "The peer rekeys a child, with KE and without; both are there until it deletes the old one.", Run: rekeyChild},
	{IDs: ids("RFC7296-2.9.2-3"), Title: "A rekeyed child gets all of the selectors that it had.", Run: rekeyChildScope},
	{IDs: ids("RFC7296-2.25-4", "RFC7296-2.25.1-3", "RFC7296-3.10-1"), Title: "A request to rekey an unknown child gets CHILD_SA_NOT_FOUND.", Run: rekeyUnknownChild},
	{IDs: ids("RFC7296-2.21.3-1", "RFC7296-3.10.1-3"), Title: "REKEY_SA of the daemon's own SPI, of AH, of a child that was deleted, of none, of eight octets, and two of them in a request, are refused or pass for one.", Run: oddRekeys},
	{IDs: ids("RFC7296-2.25.1-1"), Title: "A request to rekey a child that the daemon is deleting gets TEMPORARY_FAILURE.", Run: rekeyClosingChild},
	{IDs: ids("RFC7296-1.3.1-3", "RFC7296-2.7-3"), Title: "When the peer's rekeying of a child fails, the child and the IKE SA live.", Run: rekeyChildFails},
	{IDs: ids("RFC7296-1.3.3-1", "RFC7296-2.8-1", "RFC7296-2.9.2-1", "RFC7296-2.9.2-2", "RFC7296-2.8-3", "RFC7296-3.10-1", "RFC7296-2.4-8"),
		Title: "The daemon rekeys a child with REKEY_SA of the SPI it receives on and the same selectors, and then deletes the old one.", Run: daemonRekeysChild},
	{IDs: ids("RFC7296-2.25-5"), Title: "After CHILD_SA_NOT_FOUND the daemon drops the child and makes it anew.", Run: daemonChildNotFound},
	{IDs: ids("RFC7296-2.25-2"), Title: "After TEMPORARY_FAILURE to a rekeying the daemon waits, keeps the old child meanwhile, and tries again.", Run: daemonRekeyWaits},
	{IDs: ids("RFC7296-2.25.1-5"), Title: "A Delete of a child that the daemon is rekeying is answered with a Delete.", Run: deleteWhileRekeying},
	{IDs: ids("RFC7296-2.25.1-2", "RFC7296-2.8.1-3"), Title: "When both rekey a child, the daemon answers, and deletes its own new one if it has the lowest nonce.", Run: childCollisionLost},
	{IDs: ids("RFC7296-2.25.1-2", "RFC7296-2.8.1-3"), Title: "When both rekey a child and ours has the lowest nonce, the daemon keeps its own and lets us delete ours.", Run: childCollisionWon},
	{IDs: ids("RFC7296-2.25.1-7"), Title: "A request to rekey the IKE SA while the daemon rekeys a child gets TEMPORARY_FAILURE.", Run: rekeyIKEWhileChild},
	{IDs: ids("RFC7296-1.3.2-1", "RFC7296-2.18-1", "RFC7296-2.18-4", "RFC7296-2.8.2-2", "RFC7296-2.8-6"),
		Title: "The peer rekeys the IKE SA: the new one has the keys of RFC 7296, begins with message ID 0, and inherits the child.", Run: rekeyIKE},
	{IDs: ids("RFC7296-2.18-3"), Title: "Rekeying of the IKE SA with group NONE, or without any group and KEi, is refused.", Run: rekeyIKEWithoutKE},
	{IDs: ids("RFC7296-1.3-3", "RFC7296-3.4-5"), Title: "Rekeying of the IKE SA with a KEi of another group gets INVALID_KE_PAYLOAD, and the old one lives.", Run: rekeyIKEOtherGroup},
	{IDs: ids("RFC7296-2.25.2-2"), Title: "A request to rekey an IKE SA that the daemon is deleting gets TEMPORARY_FAILURE.", Run: rekeyClosingIKE},
	{IDs: ids("RFC7296-2.8.2-3"), Title: "A request to rekey an IKE SA that has been rekeyed already gets TEMPORARY_FAILURE.", Run: rekeyRekeyedIKE},
	{IDs: ids("RFC7296-1.3.2-1", "RFC7296-2.8-1", "RFC7296-2.18-1", "RFC7296-2.18-2", "RFC7296-2.18-4", "RFC7296-2.8-4", "RFC7296-2.4-9"),
		Title: "The daemon rekeys the IKE SA with KEi and no group NONE; its last request on the old one deletes it.", Run: daemonRekeysIKE},
	{IDs: ids("RFC7296-2.25.2-5", "RFC7296-1.3.2-2"), Title: "While the daemon rekeys the IKE SA, requests for children and their rekeying get TEMPORARY_FAILURE.", Run: childWhileRekeyingIKE},
	{IDs: ids("RFC7296-2.25.2-6"), Title: "While the daemon rekeys the IKE SA, a Delete of a child is answered with a Delete.", Run: deleteChildWhileRekeyingIKE},
	{IDs: ids("RFC7296-2.25.2-3"), Title: "While the daemon rekeys the IKE SA, a Delete of it is answered, and ends it.", Run: deleteIKEWhileRekeyingIKE},
	{IDs: ids("RFC7296-2.25.2-1", "RFC7296-2.8.2-1", "RFC7296-2.8.2-2"), Title: "When both rekey the IKE SA, the daemon answers, and deletes its own new one if it has the lowest nonce; the other inherits the child.", Run: ikeCollisionLost},
	{IDs: ids("RFC7296-2.25.2-1", "RFC7296-2.8.2-1", "RFC7296-2.8.2-2"), Title: "When both rekey the IKE SA and ours has the lowest nonce, the daemon's inherits the child.", Run: ikeCollisionWon},
	{IDs: ids("RFC7296-4-5"), Title: "On NO_ADDITIONAL_SAS to the rekeying of the IKE SA, the daemon makes a new one and deletes the old, or keeps the old.", Run: noAdditionalSAs, Settings: agingIKE},
	{IDs: ids("RFC7296-2.8-6"), Title: "The IKE SA that the peer makes by rekeying is ready when the response comes, also while the daemon's own rekeying is out.", Run: rekeyIKEReady},
	{IDs: ids("RFC7296-2.8-1"), Title: "A child is rekeyed by the daemon before its lifetime is over, and so is what takes its place.", Run: lifeOfChild, Settings: agingChild},
	{IDs: ids("RFC7296-2.8-1"), Title: "An IKE SA is rekeyed by the daemon before its lifetime is over, and so is what takes its place.", Run: lifeOfIKE, Settings: agingIKE},
	{IDs: ids("RFC7296-2.8-1", "RFC7296-2.8-2"), Title: "An IKE SA that cannot be rekeyed is closed when its lifetime is over.", Run: ageOfIKE, Settings: agingIKE},
	{IDs: ids("RFC7296-2.8-1", "RFC7296-2.4-8"), Title: "A child that cannot be rekeyed is deleted when its lifetime is over.", Run: ageOfChild, Settings: agingChild},
}

// rekeySA names the child to rekey by the SPI that the requester receives on (RFC 7296 section 1.3.3).
func rekeySA(spi []byte) peer.Payload {
	return peer.Notify{Protocol: peer.ProtoESP, SPI: spi, Kind: peer.RekeySA}.Payload()
}

// rekeys is our request to rekey a child.
func (o *offer) rekeys(spi []byte) peer.Message {
	return o.Request(peer.CreateChildSA, append([]peer.Payload{rekeySA(spi)}, o.payloads()...)...)
}

func rekeyChild(t *T) {
	sa := t.up()
	for _, method := range []uint16{0, peer.X25519, peer.MODP2048} {
		o := sa.offers(method)
		o.made(sa.ask(o.rekeys(sa.in)))
		t.counts(1, 1) // the old one is not shown any more; its Delete is answered, see below
		sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in)))
		t.counts(1, 1)
		sa.in, sa.out = o.spi, o.out
	}
	sa.alive()
}

func rekeyChildScope(t *T) {
	sa := t.up()
	o := sa.offers(0)
	m := sa.ask(o.rekeys(sa.in))
	o.made(m)
	if tsr, tsi := must(peer.ParseTS(m.Body(peer.TypeTSr))), must(peer.ParseTS(m.Body(peer.TypeTSi))); !slices.Equal(tsr, []peer.Selector{peer.Net(DaemonTS)}) ||
		!slices.Equal(tsi, []peer.Selector{peer.Net(t.PeerTS)}) {
		t.Errorf("TSi is %v, TSr %v", tsi, tsr)
	}
}

func rekeyUnknownChild(t *T) {
	sa := t.up()
	spi := peer.SPI()
	n := t.only(sa.ask(sa.offers(0).rekeys(spi)), peer.ChildSANotFound)
	if len(n.SPI) > 0 && !bytes.Equal(n.SPI, spi) { // RFC 7296 section 2.25 wants the SPI there
		t.Errorf("the notify is about %x, want %x", n.SPI, spi)
	}
	sa.alive()
	t.counts(1, 1)
}

func rekeyClosingChild(t *T) {
	sa := t.up()
	t.order(DownChild)
	theirs := sa.request(peer.Informational)
	m := sa.ask(sa.offers(0).rekeys(sa.in))
	t.only(m, peer.TemporaryFailure)
	sa.answer(theirs, peer.DeletePayload(peer.ProtoESP, sa.in))
	t.counts(1, 0)
	sa.alive()
}

func rekeyChildFails(t *T) {
	sa := t.up()
	o := sa.offers(0)
	m := o.rekeys(sa.in)
	m.Payloads[1] = peer.SAPayload(with(without(peer.ESPProposal(1, o.spi, 0), peer.ENCR), peer.Transform{Type: peer.ENCR, ID: 2}))
	t.only(sa.ask(m), peer.NoProposalChosen)
	m = o.rekeys(sa.in)
	m.Payloads[4] = peer.TSPayload(peer.TypeTSr, peer.Net("172.16.0.0/12"))
	t.only(sa.ask(m), peer.TSUnacceptable)
	sa.alive()
	t.counts(1, 1)
}

// daemonRekeys orders the daemon to rekey the child and returns its request.
func (sa *SA) daemonRekeys() peer.Message {
	sa.t.order(RekeyChild)
	return sa.rekeyed()
}

// rekeyed waits for the daemon's request to rekey the child, which must name it.
func (sa *SA) rekeyed() peer.Message {
	m := sa.request(peer.CreateChildSA)
	n, there := m.Notify(peer.RekeySA)
	if !there || n.Protocol != peer.ProtoESP || !bytes.Equal(n.SPI, sa.out) {
		sa.t.Fatalf("want REKEY_SA of %x: %v with %+v", sa.out, m, n)
	}
	return m
}

func daemonRekeysChild(t *T) {
	sa := t.up()
	m := sa.daemonRekeys()
	t.wellOffered(m.Body(peer.TypeSA), peer.ProtoESP, 4, peer.ENCR, peer.ESN)
	if tsi, tsr := must(peer.ParseTS(m.Body(peer.TypeTSi))), must(peer.ParseTS(m.Body(peer.TypeTSr))); !slices.Contains(tsi, peer.Net(DaemonTS)) ||
		!slices.Contains(tsr, peer.Net(t.PeerTS)) {
		t.Errorf("TSi is %v, TSr %v", tsi, tsr)
	}
	used := must(peer.ParseSA(m.Body(peer.TypeSA)))
	if !slices.ContainsFunc(used, func(p peer.Proposal) bool { return p.Has(peer.ESPProposal(1, nil, 0).Transforms[0]) }) {
		t.Errorf("the algorithm in use is not offered: %+v", used)
	}
	o, answer := sa.agreeTo(m)
	sa.answer(m, answer...)
	del := sa.request(peer.Informational)
	sa.deleted(del) // by the SPI that it received on
	sa.answer(del, peer.DeletePayload(peer.ProtoESP, sa.in))
	t.counts(1, 1)
	sa.in, sa.out = o.spi, o.out
	sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in)))
	t.counts(1, 0)
}

func daemonChildNotFound(t *T) {
	sa := t.up()
	m := sa.daemonRekeys()
	sa.answer(m, peer.Notify{Protocol: peer.ProtoESP, SPI: sa.out, Kind: peer.ChildSANotFound}.Payload())
	m = sa.request(peer.CreateChildSA)
	if _, there := m.Notify(peer.RekeySA); there {
		t.Errorf("the daemon rekeys what is not there: %v", m)
	}
	_, answer := sa.agreeTo(m)
	sa.answer(m, answer...)
	t.counts(1, 1)
}

func daemonRekeyWaits(t *T) {
	sa := t.up()
	m := sa.daemonRekeys()
	sa.answer(m, peer.NotifyPayload(peer.TemporaryFailure))
	t.quiet()
	t.counts(1, 1)
	m = sa.request(peer.CreateChildSA)
	_, answer := sa.agreeTo(m)
	sa.answer(m, answer...)
	del := sa.request(peer.Informational)
	sa.deleted(del)
	sa.answer(del, peer.DeletePayload(peer.ProtoESP, sa.in))
	t.counts(1, 1)
}

func deleteWhileRekeying(t *T) {
	sa := t.up()
	m := sa.daemonRekeys()
	sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in)))
	sa.answer(m, peer.Notify{Protocol: peer.ProtoESP, SPI: sa.out, Kind: peer.ChildSANotFound}.Payload())
	sa.inform()
}

// serve answers what the daemon asks, until a while nothing comes, and returns what it deleted.
func (sa *SA) serve() (esp [][]byte, ike bool) {
	for {
		d, ok := sa.t.receive(2*silence, func(d peer.Datagram) bool {
			h, err := peer.Header(d.Bytes)
			return err == nil && sa.ours(d) && !h.Response()
		})
		if !ok {
			return esp, ike
		}
		m, _ := sa.open(d)
		sa.t.note("<<", m)
		sa.t.form(m)
		sa.Theirs = m.ID + 1
		spis, _ := m.Deletes(peer.ProtoESP)
		_, all := m.Deletes(peer.ProtoIKE)
		esp, ike = append(esp, spis...), ike || all
		sa.answer(m)
	}
}

// collide has both sides rekey the child; ours has a certain nonce.
func (sa *SA) collide(nonce []byte) (ours, theirs *offer) {
	m := sa.daemonRekeys()
	ours = sa.offers(0)
	ours.nonce = nonce
	ours.made(sa.ask(ours.rekeys(sa.in))) // the daemon answers normally
	theirs, answer := sa.agreeTo(m)
	theirs.nonce = slices.Repeat([]byte{0x80}, 32)
	for i, p := range answer {
		if p.Type == peer.TypeNonce {
			answer[i] = peer.NoncePayload(theirs.nonce)
		}
	}
	sa.answer(m, answer...)
	return ours, theirs
}

func childCollisionLost(t *T) {
	sa := t.up()
	// Three of the four nonces are ours or higher than any: the daemon's Ni is the lowest, unless it begins with many ones.
	ours, theirs := sa.collide(slices.Repeat([]byte{0xff}, 32))
	deleted, _ := sa.serve()
	lowest := theirs.out // the daemon's Ni or Nr may be the lowest; the first makes it delete its own, the second leaves it to us
	if !slices.ContainsFunc(deleted, func(spi []byte) bool { return bytes.Equal(spi, lowest) || bytes.Equal(spi, sa.out) }) {
		t.Errorf("the daemon deletes neither its new child %x nor the old one %x: %x", theirs.out, sa.out, deleted)
	}
	if slices.ContainsFunc(deleted, func(spi []byte) bool { return bytes.Equal(spi, ours.out) }) {
		t.Errorf("the daemon deletes our new child %x", ours.out)
	}
	sa.alive()
}

func childCollisionWon(t *T) {
	sa := t.up()
	ours, theirs := sa.collide(make([]byte, 32))
	deleted, _ := sa.serve()
	if slices.ContainsFunc(deleted, func(spi []byte) bool { return bytes.Equal(spi, theirs.out) }) {
		t.Errorf("the daemon deletes its own child %x, though ours has the lowest nonce", theirs.out)
	}
	sa.inform(peer.DeletePayload(peer.ProtoESP, ours.spi))
	if !slices.ContainsFunc(deleted, func(spi []byte) bool { return bytes.Equal(spi, sa.out) }) {
		sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in))
	}
	t.counts(1, 1)
	sa.deleted2(theirs)
}

// deleted2 deletes the child of an offer and demands that it was there.
func (sa *SA) deleted2(o *offer) {
	m := sa.inform(peer.DeletePayload(peer.ProtoESP, o.spi))
	if spis, _ := m.Deletes(peer.ProtoESP); len(spis) != 1 || !bytes.Equal(spis[0], o.out) {
		sa.t.Fatalf("want a Delete of %x: %v %x", o.out, m, spis)
	}
}

func rekeyIKEWhileChild(t *T) {
	sa := t.up()
	m := sa.daemonRekeys()
	t.only(sa.ask(sa.renewal().requestOn(sa)), peer.TemporaryFailure)
	sa.answer(m, peer.NotifyPayload(peer.NoProposalChosen))
	sa.inform()
}

// renewal is our half of the IKE SA that is to replace sa.
func (sa *SA) renewal() *SA {
	n := &SA{SA: &peer.SA{Suite: sa.Suite, Initiator: true, SPIi: peer.SPI64(), Ni: peer.Random(32)}, t: sa.t, half: peer.NewExchange(sa.Suite.Method),
		way: sa.way, id: sa.id, in: sa.in, out: sa.out, sent: map[uint32][]byte{}}
	return n
}

// renew is SA, Ni and KEi for a new SA with an SPI of ours.
func (sa *SA) renew(spi uint64) []peer.Payload {
	p := sa.Suite.Proposal(1)
	p.SPI = peer.Octets64(spi)
	return []peer.Payload{peer.SAPayload(p), peer.NoncePayload(sa.Ni), peer.KEPayload(sa.half.Method, sa.half.Public)}
}

// requestOn is the request for the new SA on the old one.
func (sa *SA) requestOn(old *SA) peer.Message {
	return old.Request(peer.CreateChildSA, sa.renew(sa.SPIi)...)
}

// renewed takes the response that makes the new SA.
func (sa *SA) renewed(old *SA, m peer.Message) {
	t := sa.t
	if errs := m.Errors(); len(errs) > 0 {
		t.Fatalf("rekeying is refused with %v", errs)
	}
	t.kinds(m, peer.TypeSA, peer.TypeNonce, peer.TypeKE)
	chosen := must(peer.ParseSA(m.Body(peer.TypeSA)))
	if len(chosen) != 1 || len(chosen[0].SPI) != 8 || len(chosen[0].Transforms) != len(sa.Suite.Proposal(1).Transforms) {
		t.Fatalf("the answer has %+v", chosen)
	}
	secret, err := sa.half.Agree(m.Body(peer.TypeKE))
	t.must(err)
	sa.SPIr, sa.Nr = spi64(chosen[0].SPI), m.Body(peer.TypeNonce)
	sa.Rekeyed(old.SA, secret)
}

func spi64(b []byte) (v uint64) {
	for _, o := range b {
		v = v<<8 | uint64(o)
	}
	return v
}

func rekeyIKE(t *T) {
	old := t.up()
	sa := old.renewal()
	sa.renewed(old, old.ask(sa.requestOn(old)))
	sa.alive() // with message ID 0
	if m := old.inform(peer.DeletePayload(peer.ProtoIKE)); len(m.Payloads) != 0 {
		t.Errorf("the answer to the Delete of the old SA is %v", m)
	}
	t.counts(1, 1)
	sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in)))
	t.counts(1, 0)
	t.order(Down)
	m := sa.request(peer.Informational) // with message ID 0
	sa.answer(m)
	t.counts(0, 0)
}

func rekeyIKEWithoutKE(t *T) {
	for _, spoil := range []func(ps []peer.Payload, sa *SA) []peer.Payload{
		func(ps []peer.Payload, sa *SA) []peer.Payload {
			p := with(without(sa.Suite.Proposal(1), peer.KE), peer.Transform{Type: peer.KE})
			p.SPI = peer.Octets64(sa.SPIi)
			ps[0] = peer.SAPayload(p)
			return ps
		},
		func(ps []peer.Payload, sa *SA) []peer.Payload {
			p := without(sa.Suite.Proposal(1), peer.KE)
			p.SPI = peer.Octets64(sa.SPIi)
			ps[0] = peer.SAPayload(p)
			return ps[:2]
		},
	} {
		old := t.up()
		sa := old.renewal()
		m := old.ask(old.Request(peer.CreateChildSA, spoil(sa.renew(sa.SPIi), sa)...))
		if len(m.Errors()) != 1 || len(m.Payloads) != 1 {
			t.Fatalf("the answer is %v", m)
		}
		if m.Errors()[0] != peer.InvalidSyntax { // which ends an IKE SA (RFC 7296 section 2.21.3)
			old.alive()
		}
	}
}

func rekeyIKEOtherGroup(t *T) {
	old := t.up()
	sa := old.renewal()
	ps := sa.renew(sa.SPIi)
	p := with(without(sa.Suite.Proposal(1), peer.KE), peer.Transform{Type: peer.KE, ID: peer.P256})
	p.SPI = peer.Octets64(sa.SPIi)
	ps[0] = peer.SAPayload(p)
	n := t.only(old.ask(old.Request(peer.CreateChildSA, ps...)), peer.InvalidKEPayload)
	if !bytes.Equal(n.Data, []byte{0, peer.P256}) {
		t.Errorf("the notify holds %x, want group 19", n.Data)
	}
	old.alive()
	t.counts(1, 1)
}

func rekeyClosingIKE(t *T) {
	sa := t.up()
	t.order(Down)
	theirs := sa.request(peer.Informational)
	t.only(sa.ask(sa.renewal().requestOn(sa)), peer.TemporaryFailure)
	sa.answer(theirs)
	t.counts(0, 0)
}

func rekeyRekeyedIKE(t *T) {
	old := t.up()
	sa := old.renewal()
	sa.renewed(old, old.ask(sa.requestOn(old)))
	t.only(old.ask(old.renewal().requestOn(old)), peer.TemporaryFailure)
	sa.alive()
}

// daemonRenews orders the daemon to rekey the IKE SA and returns its request with our half of the new one.
func (sa *SA) daemonRenews() (*SA, peer.Message) {
	sa.t.order(RekeyIKE)
	return sa.renews()
}

// renews waits for the daemon's request to rekey the IKE SA.
func (sa *SA) renews() (*SA, peer.Message) {
	m := sa.request(peer.CreateChildSA)
	t := sa.t
	t.kinds(m, peer.TypeSA, peer.TypeNonce, peer.TypeKE)
	t.wellOffered(m.Body(peer.TypeSA), peer.ProtoIKE, 8, peer.ENCR, peer.PRF, peer.KE)
	n := sa.renewal()
	n.Initiator, n.Ni, n.Nr, n.SPIr = false, m.Body(peer.TypeNonce), peer.Random(32), peer.SPI64()
	n.Suite.Method = method(m)
	n.half = peer.NewExchange(n.Suite.Method)
	return n, m
}

// consent answers the daemon's request for a new SA on the old one.
func (sa *SA) consent(old *SA, m peer.Message) {
	want := sa.Suite.Proposal(0)
	for _, p := range must(peer.ParseSA(m.Body(peer.TypeSA))) {
		if !slices.ContainsFunc(want.Transforms, func(tr peer.Transform) bool { return !p.Has(tr) }) {
			want.Number, sa.SPIi = p.Number, spi64(p.SPI)
		}
	}
	want.SPI = peer.Octets64(sa.SPIr)
	secret, err := sa.half.Agree(m.Body(peer.TypeKE))
	sa.t.must(err)
	sa.Rekeyed(old.SA, secret)
	old.answer(m, peer.SAPayload(want), peer.NoncePayload(sa.Nr), peer.KEPayload(sa.half.Method, sa.half.Public))
}

func daemonRekeysIKE(t *T) {
	old := t.up()
	sa, m := old.daemonRenews()
	for _, p := range must(peer.ParseSA(m.Body(peer.TypeSA))) {
		if p.Has(peer.Transform{Type: peer.KE}) {
			t.Errorf("proposal %d has group NONE", p.Number)
		}
	}
	sa.consent(old, m)
	del := old.request(peer.Informational)
	if _, any := del.Deletes(peer.ProtoIKE); !any {
		t.Fatalf("want a Delete of the old IKE SA: %v", del)
	}
	old.answer(del)
	t.counts(1, 1)
	sa.alive() // with message ID 0
	t.order(DownChild)
	m = sa.request(peer.Informational) // with message ID 0
	sa.deleted(m)
	sa.answer(m)
	t.counts(1, 0)
}

func childWhileRekeyingIKE(t *T) {
	sa := t.up()
	fresh, m := sa.daemonRenews()
	t.only(sa.ask(sa.Request(peer.CreateChildSA, sa.offers(0).payloads()...)), peer.TemporaryFailure)
	t.only(sa.ask(sa.offers(0).rekeys(sa.in)), peer.TemporaryFailure)
	fresh.consent(sa, m)
	sa.serve()
	t.counts(1, 1)
}

func deleteChildWhileRekeyingIKE(t *T) {
	sa := t.up()
	fresh, m := sa.daemonRenews()
	sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in)))
	fresh.consent(sa, m)
	sa.serve()
	t.counts(1, 0)
}

func deleteIKEWhileRekeyingIKE(t *T) {
	sa := t.up()
	sa.daemonRenews()
	if m := sa.inform(peer.DeletePayload(peer.ProtoIKE)); len(m.Payloads) != 0 {
		t.Errorf("the answer is %v", m)
	}
	t.counts(0, 0)
}

// collideIKE has both sides rekey the IKE SA; our request has a certain nonce.
func (sa *SA) collideIKE(nonce []byte) (ours, theirs *SA) {
	theirs, m := sa.daemonRenews()
	ours = sa.renewal()
	ours.Ni = nonce
	ours.renewed(sa, sa.ask(ours.requestOn(sa)))
	theirs.Nr = slices.Repeat([]byte{0xff}, 32)
	theirs.consent(sa, m)
	return ours, theirs
}

func rekeyIKEReady(t *T) {
	old := t.up()
	old.daemonRenews()
	sa := old.renewal()
	sa.renewed(old, old.ask(sa.requestOn(old)))
	sa.alive()
}

func ikeCollisionLost(t *T) {
	old := t.up()
	ours, theirs := old.collideIKE(slices.Repeat([]byte{0xff}, 32))
	// The lowest is the daemon's Ni, of its own SA, or its Nr, of ours.
	lost := bytes.Compare(theirs.Ni, ours.Nr) < 0
	loser, winner := theirs, ours
	if !lost {
		loser, winner = ours, theirs
	}
	if lost {
		if _, gone := loser.serve(); !gone {
			t.Errorf("the daemon does not delete its own new SA, which has the lowest nonce")
		}
		old.inform(peer.DeletePayload(peer.ProtoIKE))
	} else {
		loser.inform(peer.DeletePayload(peer.ProtoIKE))
		old.serve()
	}
	t.counts(1, 1)
	winner.deleted(winner.inform(peer.DeletePayload(peer.ProtoESP, winner.in)))
}

func ikeCollisionWon(t *T) {
	old := t.up()
	ours, theirs := old.collideIKE(make([]byte, 32))
	ours.inform(peer.DeletePayload(peer.ProtoIKE))
	if _, gone := old.serve(); !gone {
		t.Errorf("the daemon does not delete the old SA")
	}
	t.counts(1, 1)
	theirs.deleted(theirs.inform(peer.DeletePayload(peer.ProtoESP, theirs.in)))
}

func lifeOfChild(t *T) {
	sa := t.up()
	for range 2 {
		m := sa.rekeyed()
		o, answer := sa.agreeTo(m)
		sa.answer(m, answer...)
		del := sa.request(peer.Informational)
		sa.deleted(del)
		sa.answer(del, peer.DeletePayload(peer.ProtoESP, sa.in))
		sa.in, sa.out = o.spi, o.out
	}
}

func lifeOfIKE(t *T) {
	old := t.up()
	for range 2 {
		sa, m := old.renews()
		sa.consent(old, m)
		del := old.request(peer.Informational)
		old.answer(del)
		old = sa
	}
}

// refuseAll answers every request of the daemon but a Delete with an error, until it deletes something.
func (sa *SA) refuseAll(kind uint16) peer.Message {
	for end := time.Now().Add(2 * patience); time.Now().Before(end); {
		d, ok := sa.t.receive(patience, func(d peer.Datagram) bool {
			h, err := peer.Header(d.Bytes)
			return err == nil && sa.ours(d) && !h.Response()
		})
		if !ok {
			break
		}
		m, _ := sa.open(d)
		sa.t.note("<<", m)
		sa.Theirs = m.ID + 1
		if m.Body(peer.TypeDelete) != nil {
			return m
		}
		if m.Exchange == peer.CreateChildSA {
			sa.answer(m, peer.NotifyPayload(kind))
		} else {
			sa.answer(m)
		}
	}
	sa.t.Fatalf("the daemon keeps what is too old")
	return peer.Message{}
}

func ageOfIKE(t *T) {
	sa := t.up()
	m := sa.refuseAll(peer.NoProposalChosen)
	if _, any := m.Deletes(peer.ProtoIKE); !any {
		t.Fatalf("want a Delete of the IKE SA: %v", m)
	}
	sa.answer(m)
	t.counts(0, 0)
}

func ageOfChild(t *T) {
	sa := t.up()
	m := sa.refuseAll(peer.NoProposalChosen)
	sa.deleted(m)
	sa.answer(m)
	t.counts(1, 0)
}

func noAdditionalSAs(t *T) {
	old := t.up()
	_, m := old.renews()
	old.answer(m, peer.NotifyPayload(peer.NoAdditionalSAs))
	d, ok := t.receive(patience, func(d peer.Datagram) bool {
		h, err := peer.Header(d.Bytes)
		return err == nil && !h.Response() && (h.Exchange == peer.IKESAInit || old.ours(d))
	})
	if !ok {
		t.Fatalf("the daemon keeps an SA past its lifetime")
	}
	if h, _ := peer.Header(d.Bytes); h.Exchange == peer.IKESAInit {
		return // it makes a new one first
	}
	if del, _ := old.open(d); del.Exchange == peer.Informational {
		if _, any := del.Deletes(peer.ProtoIKE); any {
			return
		}
	}
	t.Errorf("the daemon neither makes a new SA nor deletes the old one")
}

func oddRekeys(t *T) {
	of := func(protocol uint8, spi []byte) []peer.Payload {
		return []peer.Payload{peer.Notify{Protocol: protocol, SPI: spi, Kind: peer.RekeySA}.Payload()}
	}
	for _, pick := range []func(sa *SA) []peer.Payload{
		func(sa *SA) []peer.Payload { return of(peer.ProtoESP, sa.out) },
		func(sa *SA) []peer.Payload { return of(peer.ProtoAH, sa.in) },
		func(*SA) []peer.Payload { return of(peer.ProtoESP, []byte{0, 0, 0, 0}) },
		func(*SA) []peer.Payload { return of(0, nil) },
		func(sa *SA) []peer.Payload { return of(peer.ProtoESP, append(sa.in, sa.in...)) },
		func(sa *SA) []peer.Payload { return append(of(peer.ProtoESP, sa.in), of(peer.ProtoESP, peer.SPI())...) },
	} {
		sa := t.up()
		o := sa.offers(0)
		m := sa.ask(sa.Request(peer.CreateChildSA, append(pick(sa), o.payloads()...)...))
		if errs := m.Errors(); len(errs) > 1 || len(errs) == 0 && m.Body(peer.TypeSA) == nil {
			t.Errorf("the answer is %v", m)
		}
		if _, child, err := t.daemon.Count(t.context(), t.Name); err != nil || child > 2 {
			t.Errorf("%d children: %v", child, err)
		}
		t.daemonForgets(sa)
	}
	sa := t.up()
	sa.deleted(sa.inform(peer.DeletePayload(peer.ProtoESP, sa.in)))
	t.only(sa.ask(sa.offers(0).rekeys(sa.in)), peer.ChildSANotFound)
	t.counts(1, 0)
}
