package protocol

import (
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

// Quick is one quick mode of a case (RFC 2409 section 5.5).
type Quick struct {
	sa        *ISAKMP
	initiator bool
	id        uint32
	ni, nr    []byte
	in        []byte         // the SPI that we chose
	out       []byte         // the daemon's
	half      *peer.Exchange // nil without perfect forward secrecy
	ids       []peer.Payload // IDci and IDcr
	ours      peer1.Proposal // that we offer
	theirs    []peer.Payload // what the daemon offers
}

// quick prepares a quick mode of ours for the networks of the connection.
func (sa *ISAKMP) quick() *Quick {
	q := &Quick{sa: sa, initiator: true, id: newID(), ni: peer.Random(32), in: peer.SPI(),
		ids: []peer.Payload{peer1.Subnet(sa.t.PeerTS).Payload(), peer1.Subnet(DaemonTS).Payload()}}
	q.ours = peer1.ESP(1, q.in, 0)
	return q
}

// secretly gives a quick mode a key exchange.
func (q *Quick) secretly(group uint16) *Quick {
	q.half = peer.NewExchange(group)
	q.ours = peer1.ESP(1, q.in, group)
	return q
}

// offer is all that our first message says behind its hash.
func (q *Quick) offer() []peer.Payload {
	return q.keyed(peer1.SAPayload(q.ours), q.ni)
}

// keyed is SA, nonce, key exchange value if there is to be one, and identities.
func (q *Quick) keyed(sa peer.Payload, nonce []byte) []peer.Payload {
	ps := []peer.Payload{sa, {Type: peer1.TypeNonce, Body: nonce}}
	if q.half != nil {
		ps = append(ps, peer.Payload{Type: peer1.TypeKE, Body: q.half.Public})
	}
	return append(ps, q.ids...)
}

// first is our first message with its hash.
func (q *Quick) first(ps ...peer.Payload) peer.Message {
	return q.sa.message(peer1.QuickMode, q.id, peer1.Hashed(q.sa.Hash1(q.id, ps), ps...)...)
}

// ask sends our first message and returns what follows the hash in the answer.
func (q *Quick) ask(ps ...peer.Payload) []peer.Payload {
	q.sa.push(q.first(ps...))
	return q.second()
}

// second waits for the daemon's answer, whose hash must be right.
func (q *Quick) second() []peer.Payload {
	m := q.sa.wait(q.mine)
	return q.sa.behind(m, func(rest []peer.Payload) []byte { return q.sa.Hash2(q.id, q.ni, rest) })
}

func (q *Quick) mine(m peer.Message) bool { return m.Exchange == peer1.QuickMode && m.ID == q.id }

// agree takes an answer: SA first, one proposal with one transform of ours, a nonce, a key exchange value if we sent one, and our
// identities.
func (q *Quick) agree(ps []peer.Payload) {
	t := q.sa.t
	want := []uint8{peer1.TypeSA, peer1.TypeNonce}
	if q.half != nil {
		want = append(want, peer1.TypeKE)
	}
	for range q.ids {
		want = append(want, peer1.TypeID)
	}
	m := peer.Message{Payloads: ps}
	t.kinds1(m, want...)
	list, err := peer1.ParseSA(m.Body(peer1.TypeSA))
	t.must(err)
	if len(list) != 1 || len(list[0].Transforms) != 1 || list[0].Protocol != peer1.ProtoESP || list[0].Number != q.ours.Number ||
		!slices.ContainsFunc(q.ours.Transforms, func(o peer1.Transform) bool { return sameTransform(o, list[0].Transforms[0]) }) {
		t.Fatalf("the answer %+v is not one of %+v", list, q.ours)
	}
	var ids []peer.Payload
	for _, body := range peer1.All(ps, peer1.TypeID) {
		ids = append(ids, peer.Payload{Type: peer1.TypeID, Body: body})
	}
	if !slices.EqualFunc(ids, q.ids, func(a, b peer.Payload) bool { return slices.Equal(a.Body, b.Body) }) {
		t.Fatalf("the answer's identities are %x, ours %x", ids, q.ids)
	}
	q.out, q.nr = list[0].SPI, m.Body(peer1.TypeNonce)
	if len(q.out) != 4 || [3]byte(q.out) == [3]byte{} {
		t.Fatalf("the daemon's SPI is %x", q.out)
	}
	if q.half != nil {
		_, err := q.sa.agree(q.half, m.Body(peer1.TypeKE))
		t.must(err)
	}
}

// proof is our third message.
func (q *Quick) proof() peer.Message {
	return q.sa.message(peer1.QuickMode, q.id, peer1.Hashed(q.sa.Hash3(q.id, q.ni, q.nr))...)
}

// done does a whole quick mode of ours.
func (q *Quick) done() *Quick {
	q.agree(q.ask(q.offer()...))
	q.sa.push(q.proof())
	return q
}

// child makes a child.
func (sa *ISAKMP) child() *Quick { return sa.quick().done() }

// offered waits for a quick mode of the daemon: its hash is right, and SA comes first.
func (sa *ISAKMP) offered() *Quick {
	m := sa.wait(func(m peer.Message) bool { return m.Exchange == peer1.QuickMode })
	q := &Quick{sa: sa, id: m.ID, nr: peer.Random(32), in: peer.SPI(), theirs: sa.unhashed(m), ni: m.Body(peer1.TypeNonce)}
	if len(q.theirs) == 0 || q.theirs[0].Type != peer1.TypeSA {
		sa.t.Fatalf("the SA payload does not follow the hash: %s", peer1.Describe(m))
	}
	for _, body := range peer1.All(q.theirs, peer1.TypeID) {
		q.ids = append(q.ids, peer.Payload{Type: peer1.TypeID, Body: body})
	}
	return q
}

// proposals are those that the daemon offers.
func (q *Quick) proposals() []peer1.Proposal {
	list, err := peer1.ParseSA(q.theirs[0].Body)
	q.sa.t.must(err)
	return list
}

// pick is the first transform of the daemon's offer.
func (q *Quick) pick() peer1.Proposal {
	p := q.proposals()[0]
	p.Transforms = p.Transforms[:1]
	q.out, p.SPI = p.SPI, q.in
	return p
}

// grant is our answer to the daemon's offer.
func (q *Quick) grant() []peer.Payload {
	p := q.pick()
	if group, ok := p.Transforms[0].Value(peer1.SAGroup); ok {
		q.half = peer.NewExchange(uint16(group))
	}
	return q.keyed(peer1.SAPayload(p), q.nr)
}

// reply is our second message with its hash.
func (q *Quick) reply(ps ...peer.Payload) peer.Message {
	return q.sa.message(peer1.QuickMode, q.id, peer1.Hashed(q.sa.Hash2(q.id, q.ni, ps), ps...)...)
}

// answer sends our second message.
func (q *Quick) answer(ps ...peer.Payload) { q.sa.push(q.reply(ps...)) }

// proved waits for the third message, whose hash must be right.
func (q *Quick) proved() {
	m := q.sa.wait(q.mine)
	if rest := q.sa.behind(m, func([]peer.Payload) []byte { return q.sa.Hash3(q.id, q.ni, q.nr) }); len(rest) > 0 {
		q.sa.t.Errorf("the third message of quick mode has more than its hash: %s", peer1.Describe(m))
	}
}

// gone is the deletion of our half of the child.
func (q *Quick) gone() peer.Payload {
	return peer1.Delete{DOI: peer1.DOI, Protocol: peer1.ProtoESP, SPIs: [][]byte{q.in}}.Payload()
}
