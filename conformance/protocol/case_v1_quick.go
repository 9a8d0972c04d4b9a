package protocol

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

// secret1 gives children a key exchange of their own.
var secret1 = Settings{PFS: true}

// Quick mode and new group mode (RFC 2409 sections 5.5 and 5.6, RFC 2407 sections 4.4 to 4.6, RFC 2408 sections 4.2 and 5.4 to 5.8).
var v1QuickCases = []Case{
	{IDs: ids("RFC2409-5.5-3"), Title: "With a group in the offer, quick mode has a key exchange of its own.", Run: pfsOfPeer, Settings: secret1},
	{IDs: ids("RFC2409-5.5-3", "RFC2409-5.5-6", "RFC2408-5.7-1"), Title: "The daemon's quick mode with perfect forward secrecy has its group in every transform.", Run: pfsOfDaemon, Settings: secret1},
	{IDs: ids("RFC2408-5.7-2", "RFC2409-5.5-3"), Title: "A group without a value, or a value without a group, or a wrong value, makes no child; the SA lives.", Run: pfsMismatch, Settings: secret1},
	{IDs: ids("RFC2408-4.2-4", "RFC2408-4.2-5", "RFC2408-4.2-6", "RFC2409-3.2-1", "RFC2409-5-12", "RFC2408-5.5-2", "RFC2408-5.6-3", "RFC2407-4.5-1"),
		Title: "Of many ESP proposals and transforms, unknown ones among them, one comes back unchanged.", Run: oneOfManyESP},
	{IDs: ids("RFC2408-5.5-2", "RFC2408-5.6-2", "RFC2407-4.5.2-3", "RFC2407-4.5.3-2", "RFC2408-4.2-1", "RFC2407-4.5-2", "RFC2408-5.14-3", "RFC2408-5.14-1"),
		Title: "Unacceptable ESP offers get an error under the SA, and no child: other protocols, AH beside ESP, conflicting or unknown attributes, SPIs that are reserved.", Run: unacceptableESP},
	{IDs: ids("RFC2407-4.5.2-1", "RFC2407-4.5.1-1"), Title: "Lifetimes in seconds and in kilobytes stand side by side in a transform.", Run: bothLifetimes},
	{IDs: ids("RFC2409-5.5-5", "RFC2408-5.8-2", "RFC2408-5.14-3"), Title: "Client identities that the daemon has no child for, or cannot read, get INVALID-ID-INFORMATION; the SA lives.", Run: wrongClients},
	{IDs: ids("RFC2409-5.5-4", "RFC2409-5.5-7"), Title: "Client identities come back as they were sent, IDci before IDcr.", Run: clientsComeBack},
	{IDs: ids("RFC2409-5.5-2", "RFC2408-5.2-2"), Title: "A quick mode whose SA payload does not follow its hash makes no child; the SA lives.", Run: saNotFirst},
	{IDs: ids("RFC2409-5.5-1", "RFC2408-5.11-2", "RFC2408-4.8-1"), Title: "A quick mode with a wrong HASH(1), without one, or in clear is ignored; the SA lives.", Run: wrongHash1},
	{IDs: ids("RFC2408-5.11-2"), Title: "A wrong HASH(3) brings up no child; the right one after it does.", Run: wrongHash3},
	{IDs: ids("RFC2408-5.11-2", "RFC2409-5-13", "RFC2408-4.2-7"), Title: "Answers with a wrong HASH(2), or that the daemon did not offer, make no child.", Run: wrongAnswers, Settings: steady},
	{IDs: ids("RFC2409-4-2", "RFC2409-4-3", "RFC2409-5.6-1", "RFC2409-5.5-1"), Title: "Quick mode and new group mode before the end of phase 1 are not served.", Run: quickTooEarly},
	{IDs: ids("RFC2409-5.6-3", "RFC2408-5.14-3"), Title: "New group mode gets ATTRIBUTES-NOT-SUPPORTED under the SA, which lives.", Run: newGroup},
	{IDs: ids("RFC2409-5.7-1"), Title: "The message ID of a quick mode does not serve again, neither for another nor after it was deleted.", Run: idServesOnce},
	{IDs: ids("RFC2409-5.7-1", "RFC2408-4.8-3", "RFC2408-4.8-2"), Title: "The daemon's message IDs of phase 2 are all different.", Run: freshIDs},
	{IDs: ids("RFC2409-5-3"), Title: "Several quick modes at once are served each for itself.", Run: manyAtOnce},
	{IDs: ids("RFC2407-4.5-1", "RFC2407-4.5-2", "RFC2407-4.5-3", "RFC2407-4.5-5", "RFC2407-4.5.1-1", "RFC2407-4.4.4-1", "RFC2408-4.2-2", "RFC2408-4.2-3", "RFC2409-A-3", "RFC2408-5.5-1", "RFC2407-4.6.1-1", "RFC2407-4.2.2-1",
		"RFC2407-4.2.3-1", "RFC3947-5.1-2", "RFC3948-2.1-4", "RFC3948-1-3"),
		Title: "The daemon's ESP offer is numbered, has basic attributes in the short form, a duration behind each life type, plain tunnels, and a good SPI.", Run: offerESP},
	{IDs: ids("RFC2408-3.1-6", "RFC2408-5.2-2"), Title: "A child whose quick mode has the commit bit comes up when the peer says CONNECTED under its message ID; that is not answered.", Run: commitBit},
	{IDs: ids("RFC2408-4.3-2", "RFC2408-5.15-2"), Title: "The peer replaces a child: both serve until it deletes the old one.", Run: replacedByPeer},
	{IDs: ids("RFC2408-4.3-2"), Title: "The daemon replaces a child by a quick mode of its own, and deletes the old one afterwards.", Run: replacedByDaemon},
}

func pfsOfPeer(t *T) {
	for _, group := range []uint16{peer.X25519, peer.MODP2048} {
		sa := t.main()
		sa.quick().secretly(group).done()
		t.counts(1, 1)
		sa.tell(sa.goodbye())
		t.counts(0, 0)
	}
}

func pfsOfDaemon(t *T) {
	t.order(Up)
	sa, _ := t.called1()
	t.send(sa.way, sa.swap(sa.answered(sa.welcome())).Encode())
	sa.admitted(sa.phase1())
	sa.push(sa.message(peer1.MainMode, 0, sa.identity()...))
	q := sa.offered()
	ke := peer.Message{Payloads: q.theirs}.Body(peer1.TypeKE)
	for _, p := range q.proposals() {
		for _, tr := range p.Transforms {
			if group, ok := tr.Value(peer1.SAGroup); !ok || group != peer.X25519 && group != peer.MODP2048 || group == peer.X25519 && len(ke) != 32 {
				t.Errorf("a transform has group %d (%v); the value has %d octets", group, ok, len(ke))
			}
		}
	}
	q.answer(q.grant()...)
	q.proved()
	t.counts(1, 1)
}

// refusedQuick demands that a quick mode is refused by one of some notifies, and that the SA lives.
func (q *Quick) refused(kinds ...uint16) {
	sa := q.sa
	ps := sa.told()
	for _, kind := range kinds {
		if _, ok := peer1.NotifyOf(ps, kind); ok {
			sa.alive()
			return
		}
	}
	sa.t.Fatalf("want one of the notifies %d: %s", kinds, peer1.Describe(peer.Message{Payloads: ps}))
}

func pfsMismatch(t *T) {
	sa := t.main()
	q := sa.quick().secretly(peer.X25519)
	q.half = nil
	sa.push(q.first(q.offer()...))
	q.refused(peer1.InvalidKeyInformation, peer1.NoProposalChosen)
	q = sa.quick()
	q.half = peer.NewExchange(peer.X25519)
	sa.push(q.first(q.offer()...))
	q.refused(peer1.InvalidKeyInformation, peer1.NoProposalChosen)
	q = sa.quick().secretly(peer.X25519)
	q.half.Public = make([]byte, 32)
	sa.push(q.first(q.offer()...))
	q.refused(peer1.InvalidKeyInformation)
	t.counts(1, 0)
}

func oneOfManyESP(t *T) {
	sa := t.main()
	q := sa.quick()
	good := q.ours.Transforms[0]
	des, unknown := good, good
	des.ID, des.Number = 2, 4
	unknown.ID, unknown.Number = 200, 6
	good.Number = 9
	q.ours.Number, q.ours.Transforms = 5, []peer1.Transform{des, unknown, good}
	sctp := peer1.Proposal{Number: 3, Protocol: 77, SPI: []byte{1}, Transforms: []peer1.Transform{{Number: 1, ID: 1}}}
	ah := peer1.ESP(4, peer.SPI(), 0)
	ah.Protocol = peer1.ProtoAH
	ps := q.offer()
	ps[0] = peer1.SAPayload(sctp, ah, q.ours)
	q.agree(q.ask(ps...))
	sa.push(q.proof())
	t.counts(1, 1)
}

// attribute sets an attribute of the first transform of an offer, or adds it.
func (q *Quick) attribute(class, value uint16) {
	as := q.ours.Transforms[0].Attributes
	if i := slices.IndexFunc(as, func(a peer1.Attribute) bool { return a.Class == class }); i >= 0 {
		as[i] = peer1.Attribute{Class: class, Value: value}
		return
	}
	q.ours.Transforms[0].Attributes = append(as, peer1.Attribute{Class: class, Value: value})
}

func unacceptableESP(t *T) {
	sa := t.main()
	for _, change := range []func(*Quick){
		func(q *Quick) { q.ours.Protocol = peer1.ProtoAH },
		func(q *Quick) { q.ours.Transforms[0].ID = 2 },
		func(q *Quick) { q.attribute(peer1.SAKeyLength, 100) },
		func(q *Quick) { q.attribute(peer1.Encapsulation, peer1.Transport) },
		func(q *Quick) { q.attribute(peer1.Encapsulation, peer1.UDPTunnel) },
		func(q *Quick) { q.attribute(peer1.Encapsulation, 9) },
		func(q *Quick) { q.attribute(peer1.Integrity, 1) },
		func(q *Quick) { q.attribute(99, 1) },
		func(q *Quick) { q.attribute(peer1.SALifeDuration, 0) },
		func(q *Quick) { q.attribute(peer1.SALifeType, 7) },
		func(q *Quick) { // two key lengths
			q.ours.Transforms[0].Attributes = append(q.ours.Transforms[0].Attributes, peer1.Attribute{Class: peer1.SAKeyLength, Value: 256})
		},
		func(q *Quick) { // a duration before its type
			as := q.ours.Transforms[0].Attributes
			n := len(as)
			as[n-1], as[n-2] = as[n-2], as[n-1]
		},
		func(q *Quick) { q.ours.SPI = []byte{0, 0, 0, 0} },
		func(q *Quick) { q.ours.SPI = []byte{0, 0, 0, 255} },
	} {
		q := sa.quick()
		change(q)
		sa.push(q.first(q.offer()...))
		q.refused(peer1.NoProposalChosen, peer1.AttributesNotSupported, peer1.InvalidSPI)
	}
	q := sa.quick() // ESP with AH
	ps := q.offer()
	ah := peer1.ESP(1, peer.SPI(), 0)
	ah.Protocol = peer1.ProtoAH
	ps[0] = peer1.SAPayload(q.ours, ah)
	sa.push(q.first(ps...))
	q.refused(peer1.NoProposalChosen)
	t.counts(1, 0)
}

func bothLifetimes(t *T) {
	sa := t.main()
	q := sa.quick()
	as := &q.ours.Transforms[0].Attributes
	*as = append(*as, peer1.Life(peer1.SALifeType, peer1.SALifeDuration, peer1.Kilobytes, 4<<20)...)
	q.done()
	t.counts(1, 1)
}

func wrongClients(t *T) {
	sa := t.main()
	mine, theirs := peer1.Subnet(t.PeerTS), peer1.Subnet(DaemonTS)
	odd := theirs
	odd.Protocol, odd.Port = 0, 80
	for _, pair := range [][]peer1.ID{
		{mine, peer1.Subnet("192.168.0.0/16")}, {peer1.Subnet("192.168.0.0/16"), theirs}, {theirs, mine}, {mine, peer1.Subnet("10.0.0.0/8")}, {mine},
		{mine, {Kind: peer1.IDFQDN, Data: []byte("lan.example.net")}}, {mine, {Kind: peer1.IDIPv4Subnet, Data: peer.Random(7)}}, {mine, {Kind: 200, Data: peer.Random(8)}},
		{mine, {Kind: peer1.IDIPv4Subnet, Data: []byte{10, 1, 0, 0, 255, 0, 255, 0}}}, {mine, {Kind: peer1.IDIPv4Range, Data: []byte{10, 1, 0, 9, 10, 1, 0, 1}}}, {mine, odd}, {},
	} {
		q := sa.quick()
		q.ids = nil
		for _, id := range pair {
			q.ids = append(q.ids, id.Payload())
		}
		sa.push(q.first(q.offer()...))
		q.refused(peer1.InvalidIDInformation)
	}
	t.counts(1, 0)
}

func clientsComeBack(t *T) {
	sa := t.main()
	tcp := peer1.Subnet(DaemonTS)
	tcp.Protocol, tcp.Port = 6, 80
	client := peer1.Subnet(t.PeerTS)
	client.Protocol = 6
	one := peer1.ID{Kind: peer1.IDIPv4, Data: []byte{10, 1, 2, 3}}
	some := peer1.ID{Kind: peer1.IDIPv4Range, Data: []byte{10, 1, 2, 3, 10, 1, 2, 77}}
	for _, pair := range [][2]peer1.ID{{client, tcp}, {peer1.Subnet(t.PeerTS), one}, {peer1.Subnet(t.PeerTS), some}} {
		q := sa.quick()
		q.ids = []peer.Payload{pair[0].Payload(), pair[1].Payload()}
		q.done() // agree compares
	}
	t.counts(1, 3)
}

func saNotFirst(t *T) {
	sa := t.main()
	q := sa.quick()
	ps := q.offer()
	ps[0], ps[1] = ps[1], ps[0]
	sa.push(q.first(ps...))
	q.refused(peer1.PayloadMalformed)
	for _, ps := range [][]peer.Payload{q.offer()[:1], q.offer()[1:]} {
		q := sa.quick()
		sa.push(q.first(ps...))
		q.refused(peer1.PayloadMalformed)
	}
	t.counts(1, 0)
}

func wrongHash1(t *T) {
	sa := t.main()
	for _, change := range []func([]peer.Payload) []peer.Payload{
		func(ps []peer.Payload) []peer.Payload { ps[0].Body[0] ^= 1; return ps },
		func(ps []peer.Payload) []peer.Payload { ps[0].Body = ps[0].Body[:16]; return ps },
		func(ps []peer.Payload) []peer.Payload { ps[0].Body = nil; return ps },
		func(ps []peer.Payload) []peer.Payload { return ps[1:] },
		func(ps []peer.Payload) []peer.Payload { return append(ps[1:], ps[0]) },
		func(ps []peer.Payload) []peer.Payload { ps[2].Body[0] ^= 1; return ps },
		func(ps []peer.Payload) []peer.Payload { return ps[:len(ps)-1] },
	} {
		q := sa.quick()
		m := q.first(q.offer()...)
		m.Payloads = change(m.Payloads)
		sa.push(m)
	}
	q := sa.quick()
	t.send(sa.way, q.first(q.offer()...).Encode())
	sa.alive()
	t.counts(1, 0)
}

func wrongHash3(t *T) {
	sa := t.main()
	q := sa.quick()
	q.agree(q.ask(q.offer()...))
	wrong := q.proof()
	wrong.Payloads = peer1.Hashed(peer.Random(32))
	sa.pushOdd(wrong, peer1.Oddities{Keep: true})
	sa.alive()
	t.counts(1, 0)
	sa.push(q.proof())
	t.counts(1, 1)
}

func wrongAnswers(t *T) {
	sa := t.mainByDaemon()
	q := sa.offered()
	right := q.grant()
	wrong := q.reply(right...)
	wrong.Payloads[0].Body = bytes.Repeat([]byte{7}, 32)
	sa.pushOdd(wrong, peer1.Oddities{Keep: true})
	p := q.pick()
	p.Transforms[0].Attributes = slices.Clone(p.Transforms[0].Attributes)
	p.Transforms[0].Attributes[0].Value++
	right[0] = peer1.SAPayload(p)
	q.answer(right...)
	q.withdrawn()
	t.counts(1, 0)
}

// withdrawn demands that the daemon does not end its quick mode, and says so under the SA.
func (q *Quick) withdrawn() {
	for range 2 + steady.Tries { // it may have repeated its first message
		d, ok := q.sa.t.receive(patience, func(d peer.Datagram) bool { return q.sa.belongs(d) && !q.sa.opened[string(d.Bytes)] })
		if !ok {
			break
		}
		m := q.sa.open(d)
		if m.Exchange == peer1.QuickMode {
			q.sa.t.Fatalf("the daemon goes on: %s", peer1.Describe(m))
		}
		if _, said := peer1.NotifyOf(q.sa.unhashed(m), peer1.NoProposalChosen); said {
			return
		}
	}
	q.sa.t.Fatalf("the daemon does not say that it takes no such answer")
}

func quickTooEarly(t *T) {
	sa := t.met()
	q := sa.quick()
	for _, exchange := range []uint8{peer1.QuickMode, peer1.NewGroupMode} {
		m := q.first(q.offer()...)
		m.Exchange = exchange
		sa.pushOdd(m, peer1.Oddities{Keep: true})
		t.send(sa.way, m.Encode())
	}
	t.quiet()
	t.counts(0, 0)
}

func newGroup(t *T) {
	sa := t.main()
	id := newID()
	ps := []peer.Payload{peer1.SAPayload(peer1.Proposal{Number: 1, Protocol: peer1.ProtoISAKMP, Transforms: []peer1.Transform{{Number: 1, ID: 1,
		Attributes: []peer1.Attribute{{Class: peer1.Group, Value: 40000}, {Class: peer1.GroupType, Value: 1}, {Class: peer1.GroupPrime, Data: peer.MODP2048Minus1()}}}}})}
	sa.push(sa.message(peer1.NewGroupMode, id, peer1.Hashed(sa.Hash1(id, ps), ps...)...))
	sa.refused(peer1.AttributesNotSupported)
	sa.alive()
	bad := sa.message(peer1.NewGroupMode, newID(), peer1.Hashed(peer.Random(32), ps...)...)
	sa.ignores(sa.Seal(bad, peer1.Oddities{}))
}

func idServesOnce(t *T) {
	sa, q := t.up1()
	again := sa.quick()
	again.id = q.id
	first := again.first(again.offer()...)
	sa.pushOdd(first, peer1.Oddities{Keep: true})
	sa.ignores(sa.anew(first))
	t.counts(1, 1)
	sa.tell(q.gone())
	t.counts(1, 0)
	sa.ignores(sa.anew(first))
	t.counts(1, 0)
}

func freshIDs(t *T) {
	sa, q := t.up1ByDaemon()
	seen := map[uint32]bool{0: true, q.id: true}
	for range 4 {
		t.order(DownChild)
		m := sa.wait(func(m peer.Message) bool { return m.Exchange == peer1.Informational })
		sa.tell(sa.ruThere().Payload())
		ack := sa.wait(func(m peer.Message) bool { return m.Exchange == peer1.Informational })
		t.counts(1, 0)
		t.order(Up)
		q = sa.offered()
		q.answer(q.grant()...)
		q.proved()
		for _, id := range []uint32{m.ID, ack.ID, q.id} {
			if seen[id] {
				t.Errorf("message ID %08x comes again", id)
			}
			seen[id] = true
		}
		t.counts(1, 1)
	}
}

func manyAtOnce(t *T) {
	sa := t.main()
	var all []*Quick
	for range 5 {
		q := sa.quick()
		sa.push(q.first(q.offer()...))
		all = append(all, q)
	}
	slices.Reverse(all)
	for _, q := range all {
		q.agree(q.second())
	}
	for _, q := range all {
		sa.push(q.proof())
	}
	sa.alive()
	l, err := t.daemon.Load(t.context())
	if t.must(err); l.SAs < 2 {
		t.Errorf("the daemon has %d SAs", l.SAs)
	}
}

func offerESP(t *T) {
	sa := t.mainByDaemon()
	q := sa.offered()
	for i, p := range q.proposals() {
		if int(p.Number) != i+1 || p.Protocol != peer1.ProtoESP || len(p.SPI) != 4 || binary.BigEndian.Uint32(p.SPI) < 256 {
			t.Errorf("proposal %d has number %d, protocol %d, SPI %x", i+1, p.Number, p.Protocol, p.SPI)
		}
		for j, tr := range p.Transforms {
			if int(tr.Number) != j+1 {
				t.Errorf("transform %d has number %d", j+1, tr.Number)
			}
			t.goodESP(tr)
		}
	}
}

// goodESP demands what RFC 2407 section 4.5 wants of a transform of an AEAD: no integrity algorithm, a key length, a mode, and lifetimes.
func (t *T) goodESP(tr peer1.Transform) {
	var before uint16
	for _, a := range tr.Attributes {
		if a.Data != nil && a.Class != peer1.SALifeDuration {
			t.Errorf("attribute %d is variable", a.Class)
		}
		if (a.Class == peer1.SALifeDuration) != (before == peer1.SALifeType) {
			t.Errorf("attribute %d follows attribute %d", a.Class, before)
		}
		before = a.Class
	}
	mode, _ := tr.Value(peer1.Encapsulation)
	bits, _ := tr.Value(peer1.SAKeyLength)
	_, integrity := tr.Value(peer1.Integrity)
	_, life := tr.Value(peer1.SALifeDuration)
	if mode != peer1.Tunnel || bits != 128 && bits != 256 || integrity || !life || tr.ID != 20 {
		t.Errorf("transform %+v", tr)
	}
}

func commitBit(t *T) {
	sa := t.mainByDaemon()
	q := sa.offered()
	m := q.reply(q.grant()...)
	m.Flags = peer1.FlagCommit
	sa.push(m)
	q.proved()
	n := peer1.Notify{DOI: peer1.DOI, Protocol: peer1.ProtoESP, SPI: q.in, Kind: peer1.Connected}
	ps := []peer.Payload{n.Payload()}
	sa.alive()
	if _, child, err := t.daemon.Count(t.context(), t.Name); err != nil || child != 0 {
		t.Errorf("before CONNECTED there are %d children (%v)", child, err)
	}
	connected := sa.message(peer1.Informational, q.id, peer1.Hashed(sa.Hash1(q.id, ps), ps...)...)
	t.send(sa.way, sa.anew(connected))
	t.counts(1, 1)
	sa.alive()
}

func replacedByPeer(t *T) {
	sa, old := t.up1()
	sa.child()
	sa.alive()
	sa.tell(old.gone())
	t.counts(1, 1)
	sa.alive()
}

func replacedByDaemon(t *T) {
	sa, old := t.up1ByDaemon() // had we begun it so short a time ago, the two could have crossed
	t.order(RekeyChild)
	q := sa.offered()
	q.answer(q.grant()...)
	q.proved()
	sa.deleted(old)
	t.counts(1, 1)
}
