package protocol

import (
	"encoding/binary"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

// steady repeats with pauses in which also a busy machine comes to read what it got.
var steady = Settings{Retransmit: 4 * hundred, Tries: 3}

// Header, generic payload header and the order of things (RFC 2408 sections 2.4, 2.5, 3.1 to 3.16, 5.1 to 5.5).
var v1HeaderCases = []Case{
	{IDs: ids("RFC2408-2.5.1-1", "RFC2408-2.5.2-1", "RFC2408-2.4-1", "RFC2408-3.1-1", "RFC2408-3.1-3", "RFC2408-3.1-5", "RFC2408-3.1-8", "RFC2408-3.8-1", "RFC2408-3.16-3", "RFC2408-5.2-1", "RFC2408-5.3-1",
		"RFC2408-5.8-1", "RFC2408-5.14-2", "RFC2408-5.15-3", "RFC2409-B-2", "RFC2409-5-8", "RFC2408-4.8-2", "RFC2409-4-4"),
		Title: "Whatever the daemon sends by IKEv1, in both roles, has the form of RFC 2408: versions, flags, cookies, message IDs, reserved fields, lengths, padding.", Run: formOfAll1},
	{IDs: ids("RFC2408-2.5.2-2", "RFC2408-5.3-2"), Title: "Messages with a reserved field that is not zero are dropped; the true ones after them are served.", Run: reservedNotZero},
	{IDs: ids("RFC2408-3.1-2", "RFC2408-5.2-2"), Title: "A first message of minor version 1 is dropped, and so is a protected one of an SA, which lives.", Run: higherMinor},
	{IDs: ids("RFC2408-5.1-1", "RFC2408-5.1-2", "RFC2408-5.3-2"), Title: "Messages of IKEv1 whose lengths lie are dropped without an answer.", Run: lyingLengths1},
	{IDs: ids("RFC2408-5.2-2", "RFC2408-3.1-8", "RFC2408-2.4-1", "RFC2409-4-1", "RFC2409-4-2", "RFC2409-5-6"),
		Title: "What cannot begin an ISAKMP SA by its cookies, message ID, flags, exchange or first payload is dropped.", Run: noBeginning},
	{IDs: ids("RFC2408-5.2-2", "RFC2408-3.1-8", "RFC2409-4-2", "RFC2409-5-5"),
		Title: "Protected messages with wrong cookies, flags, exchanges or message ID 0 are ignored; the SA lives.", Run: wrongHeaders},
	{IDs: ids("RFC2408-3.4-1", "RFC2408-3.5-1", "RFC2408-3.6-1", "RFC2408-5.4-2", "RFC2408-5.5-2", "RFC2408-5.6-2"),
		Title: "SA payloads whose proposals and transforms do not hang together are dropped.", Run: brokenProposals},
	{IDs: ids("RFC2408-3.5-2"), Title: "Whatever the SPI of an ISAKMP proposal is, of up to 16 octets, it is ignored.", Run: spiOfISAKMP},
	{IDs: ids("RFC2408-3.14-1"), Title: "A notify about the ISAKMP SA is taken whatever octets are its SPI.", Run: spiOfNotify},
	{IDs: ids("RFC2408-3.9-2", "RFC2408-3.10-2", "RFC2408-3.16-1", "RFC2408-3.16-2", "RFC2409-5-9"),
		Title: "Unknown vendor IDs, certificates and requests for them may stand in every message of main mode and quick mode, and change nothing.", Run: payloadsAnywhere},
	{IDs: ids("RFC2408-3.16-4", "RFC3706-5.1-1", "RFC3947-3.1-1"), Title: "The daemon announces DPD and NAT traversal by their vendor IDs, in both roles.", Run: vendorsOfDaemon},
	{IDs: ids("RFC2408-5.1-3", "RFC2408-5.1-4", "RFC2408-1.7.1-1"), Title: "Messages of phase 1 that are not answered are repeated, octet for octet, after pauses that grow, and then given up.", Run: repeats1, Settings: steady},
	{IDs: ids("RFC2408-5.1-3", "RFC2408-1.7.1-1"), Title: "As a responder the daemon repeats nothing before the peer has proved itself, and forgets who does not.", Run: repeatsNothing,
		Settings: alone},
	{IDs: ids("RFC2408-5.1-3"), Title: "A message that comes again gets the same octets again; one that comes again after the end of its exchange gets no new ones.", Run: repeatsAnswers},
	{IDs: ids("RFC2409-10-2"), Title: "Messages that do not make sense do not move the running IV: the true ones after them are served.", Run: ivStays},
	{IDs: ids("RFC2409-5-5", "RFC2408-5.2-2"), Title: "An exchange that goes on as another one is not followed.", Run: switchedExchange},
	{IDs: ids("RFC2409-5-8", "RFC2408-5.13-2"), Title: "Nonces of 8 and 256 octets are taken, those of 7 and 257 are not.", Run: nonceLengths},
	{IDs: ids("RFC2409-5-7", "RFC2408-5.7-1"), Title: "The daemon's MODP values have the length of the modulus, in both roles.", Run: modp1},
	{IDs: ids("RFC2408-5.7-2"), Title: "Key exchange values that nobody could have computed make no SA: too short, too long, of small order.", Run: badValues},
}

func formOfAll1(t *T) {
	sa, q := t.up1() // each message that comes is judged
	sa.tell(q.gone())
	t.counts(1, 0)
	q = sa.child()
	t.order(DownChild)
	sa.deleted(q)
	t.order(Down)
	sa.told()
	t.counts(0, 0)
	sa, q = t.up1ByDaemon()
	sa.alive()
	t.order(Down)
	sa.deleted(q)
	sa.told()
}

// deleted demands that the daemon deletes its half of a child, alone.
func (sa *ISAKMP) deleted(q *Quick) {
	ps := sa.told()
	if len(ps) != 1 || ps[0].Type != peer1.TypeDelete {
		sa.t.Fatalf("want one Delete: %s", peer1.Describe(peer.Message{Payloads: ps}))
	}
	d, err := peer1.ParseDelete(ps[0].Body)
	sa.t.must(err)
	if d.Protocol != peer1.ProtoESP || len(d.SPIs) != 1 || !slices.Equal(d.SPIs[0], q.out) {
		sa.t.Fatalf("it deletes %+v, want %x", d, q.out)
	}
}

func reservedNotZero(t *T) {
	sa := t.newISAKMP(usual1)
	for i := range sa.offer() {
		m := sa.propose()
		m.Payloads[i].Flags = 1
		t.send(sa.way, m.Encode())
	}
	for _, at := range []int{9, 17, 22, 23} { // RESERVED of proposal and transform, RESERVED2
		m := sa.propose()
		m.Payloads[0].Body = slices.Clone(m.Payloads[0].Body)
		m.Payloads[0].Body[at] = 1
		t.send(sa.way, m.Encode())
	}
	t.quiet()
	sa.accepted(sa.bid(sa.propose()))
	m := sa.message(peer1.MainMode, 0, sa.exchange()...)
	m.Payloads[1].Flags = 0x80
	t.send(sa.way, m.Encode())
	t.quiet()
	m.Payloads[1].Flags = 0
	sa.exchanged(sa.bid(m))
	sa.enters()
	ps := []peer.Payload{sa.ruThere().Payload()}
	ps[0].Flags = 1
	sa.tell(ps...)
	sa.alive()
}

func higherMinor(t *T) {
	sa := t.newISAKMP(usual1)
	for _, version := range []uint8{0x11, 0x1f} {
		m := sa.propose()
		m.Version = version
		t.send(sa.way, m.Encode())
	}
	t.quiet()
	sa.meets()
	sa.enters()
	n := []peer.Payload{sa.ruThere().Payload()}
	id := newID()
	m := sa.message(peer1.Informational, id, peer1.Hashed(sa.Hash1(id, n), n...)...)
	m.Version = 0x11
	sa.push(m)
	sa.alive()
}

func lyingLengths1(t *T) {
	sa := t.newISAKMP(usual1)
	t.sendLies(sa.way, sa.propose(), 27, 28, 29)
	t.quiet()
	t.counts(0, 0)
}

func noBeginning(t *T) {
	for _, change := range []func(*peer.Message){
		func(m *peer.Message) { m.SPIi = 0 },
		func(m *peer.Message) { m.SPIr = peer.SPI64() },
		func(m *peer.Message) { m.ID = 1 },
		func(m *peer.Message) { m.Flags = peer1.FlagEncryption },
		func(m *peer.Message) { m.Flags = peer1.FlagCommit },
		func(m *peer.Message) { m.Flags = peer1.FlagAuthOnly },
		func(m *peer.Message) { m.Flags = 0x80 },
		func(m *peer.Message) { m.Exchange = 0 },
		func(m *peer.Message) { m.Exchange = peer1.Base },
		func(m *peer.Message) { m.Exchange = peer1.AuthOnly },
		func(m *peer.Message) { m.Exchange = peer1.Informational },
		func(m *peer.Message) { m.Exchange = peer1.QuickMode },
		func(m *peer.Message) { m.Exchange, m.ID = peer1.QuickMode, 5 },
		func(m *peer.Message) { m.Exchange = peer1.NewGroupMode },
		func(m *peer.Message) { m.Exchange = 255 },
		func(m *peer.Message) { slices.Reverse(m.Payloads) },
		func(m *peer.Message) { m.Payloads = m.Payloads[1:] },
		func(m *peer.Message) { m.Payloads = append(m.Payloads, m.Payloads[0]) },
		func(m *peer.Message) { m.Payloads = nil },
	} {
		m := t.newISAKMP(usual1).propose()
		change(&m)
		t.send(t.path(peer.PortIKE), m.Encode())
	}
	t.quiet()
	t.counts(0, 0)
}

func wrongHeaders(t *T) {
	sa := t.main()
	for _, change := range []func(*peer.Message){
		func(m *peer.Message) { m.SPIr++ },
		func(m *peer.Message) { m.SPIi++ },
		func(m *peer.Message) { m.SPIr = 0 },
		func(m *peer.Message) { m.Flags = 0x10 },
		func(m *peer.Message) { m.Exchange = peer1.MainMode },
		func(m *peer.Message) { m.Exchange = peer1.Aggressive },
		func(m *peer.Message) { m.Exchange = peer1.Base },
		func(m *peer.Message) { m.Exchange = 200 },
		func(m *peer.Message) { m.ID = 0 },
		func(m *peer.Message) { m.ID, m.Exchange = 0, peer1.QuickMode },
	} {
		ps := []peer.Payload{sa.ruThere().Payload()}
		id := newID()
		m := sa.message(peer1.Informational, id, peer1.Hashed(sa.Hash1(id, ps), ps...)...)
		change(&m)
		sa.pushOdd(m, peer1.Oddities{Keep: true})
	}
	q := sa.quick() // message ID 0 in phase 2, all else right
	q.id = 0
	sa.pushOdd(q.first(q.offer()...), peer1.Oddities{Keep: true})
	sa.alive()
	t.counts(1, 0)
}

func brokenProposals(t *T) {
	sa := t.newISAKMP(usual1)
	body := peer1.SAPayload(sa.ours).Body
	for at, octet := range map[int]byte{
		8: 3, 11: 0, 14: 200, 15: 2, // next payload, length, SPI size and number of transforms of the proposal
		16: 2, 18: 0xff, 19: 4, // next payload and length of the transform
	} {
		m := sa.propose()
		m.Payloads[0].Body = slices.Clone(body)
		m.Payloads[0].Body[at] = octet
		t.send(sa.way, m.Encode())
	}
	empty := sa.propose()
	empty.Payloads[0] = peer1.SAPayload(peer1.Proposal{Number: 1, Protocol: peer1.ProtoISAKMP})
	t.send(sa.way, empty.Encode())
	t.quiet()
	t.counts(0, 0)
}

func spiOfISAKMP(t *T) {
	for _, n := range []int{0, 4, 8, 16} {
		sa := t.newISAKMP(usual1)
		sa.ours.SPI = peer.Random(n)
		sa.meets()
		sa.enters()
		sa.tell(sa.goodbye())
	}
}

func spiOfNotify(t *T) {
	sa := t.main()
	for _, spi := range [][]byte{nil, peer.Random(4), peer.Random(8), peer.Random(40)} {
		n := sa.ruThere()
		n.SPI = spi
		sa.tell(n.Payload())
		sa.acknowledged(sa.told())
	}
}

// everywhere are payloads that may stand in every message.
func everywhere() []peer.Payload {
	return []peer.Payload{{Type: peer1.TypeVendor, Body: peer.Random(19)}, {Type: peer1.TypeCert, Body: append([]byte{4}, peer.Random(60)...)},
		{Type: peer1.TypeCertReq, Body: append([]byte{4}, peer.Random(30)...)}, {Type: 200, Body: peer.Random(9)}}
}

func payloadsAnywhere(t *T) {
	sa := t.newISAKMP(usual1)
	with := func(m peer.Message) peer.Message { m.Payloads = append(m.Payloads, everywhere()...); return m }
	sa.accepted(sa.bid(with(sa.propose())))
	sa.exchanged(sa.bid(with(sa.message(peer1.MainMode, 0, sa.exchange()...))))
	sa.push(with(sa.message(peer1.MainMode, 0, sa.identity()...)))
	sa.admitted(sa.phase1())
	q := sa.quick()
	q.agree(q.ask(append(q.offer(), everywhere()...)...))
	sa.push(q.proof())
	t.counts(1, 1)
}

func vendorsOfDaemon(t *T) {
	has := func(m peer.Message) {
		for _, v := range []peer.Payload{peer1.NATVendor(), peer1.DPDVendor()} {
			if !slices.ContainsFunc(peer1.All(m.Payloads, peer1.TypeVendor), func(b []byte) bool { return slices.Equal(b, v.Body) }) {
				t.Errorf("no vendor ID %x: %s", v.Body, peer1.Describe(m))
			}
		}
	}
	sa := t.newISAKMP(usual1)
	has(sa.bid(sa.propose()))
	t.order(Up)
	_, m := t.called1()
	has(m)
}

func repeats1(t *T) {
	t.order(Up)
	sa, first := t.called1()
	sa.repeated(first.Encode())
	t.order(Up) // which would be nothing while the other attempt goes on
	sa, _ = t.called1()
	third := sa.answered(sa.welcome())
	sa.repeated(third.Encode())
	t.counts(0, 0)
}

// repeated demands that a message comes again as often as steady says, with pauses that grow, and no more.
func (sa *ISAKMP) repeated(b []byte) {
	t := sa.t
	var last peer.Datagram
	for i := range steady.Tries {
		d, ok := t.receive(patience, func(d peer.Datagram) bool { return slices.Equal(d.Bytes, b) })
		if !ok {
			t.Fatalf("no repetition %d", i+1)
		}
		// A pause may be too long on a busy machine, and never too short: twice the same pause would be.
		if pause := d.At.Sub(last.At); i > 0 && pause < steady.Retransmit<<i*9/10 {
			t.Errorf("pause %d was %v, want %v", i, pause, steady.Retransmit<<i)
		}
		last = d
	}
	pause(steady.Retransmit << (steady.Tries + 1))
	t.nothingCame()
}

func repeatsNothing(t *T) {
	sa := t.newISAKMP(usual1)
	sa.accepted(sa.bid(sa.propose()))
	t.quiet()
	sa.exchanged(sa.bid(sa.message(peer1.MainMode, 0, sa.exchange()...)))
	t.quiet()
	for {
		l, err := t.daemon.Load(t.context())
		if t.must(err); l.SAs == 0 {
			break
		}
		pause(hundred)
	}
	sa.push(sa.message(peer1.MainMode, 0, sa.identity()...))
	t.quiet() // forgotten
}

func repeatsAnswers(t *T) {
	sa := t.newISAKMP(usual1)
	first := sa.propose().Encode()
	again := func(b []byte) {
		t.send(sa.way, b)
		d1, ok1 := t.receive(patience, anyDatagram)
		t.send(sa.way, b)
		d2, ok2 := t.receive(patience, anyDatagram)
		if !ok1 || !ok2 || !slices.Equal(d1.Bytes, d2.Bytes) {
			t.Fatalf("a message that came twice got %x and %x", d1.Bytes, d2.Bytes)
		}
		t.aside = append(t.aside, d1)
	}
	again(first)
	sa.SAi = sa.offer()[0].Body
	_, m := t.clear1(sa.CookieI, 0)
	sa.accepted(m)
	again(sa.message(peer1.MainMode, 0, sa.exchange()...).Encode())
	_, m = t.clear1(sa.CookieI, 0)
	sa.exchanged(m)
	fifth := sa.Seal(sa.message(peer1.MainMode, 0, sa.identity()...), peer1.Oddities{})
	again(fifth)
	sa.admitted(sa.phase1())
	q := sa.quick()
	offer := sa.Seal(q.first(q.offer()...), peer1.Oddities{})
	again(offer)
	q.agree(q.second())
	third := sa.push(q.proof())
	t.counts(1, 1)
	t.send(sa.way, third)
	t.send(sa.way, offer)
	sa.alive()
	t.counts(1, 1)
}

func ivStays(t *T) {
	sa := t.met()
	m := sa.message(peer1.MainMode, 0, sa.identity()...)
	for range 3 {
		t.send(sa.way, peer1.Frame(m, peer1.TypeID, peer.Random(80)))
	}
	sa.push(m)
	sa.admitted(sa.phase1())
	q := sa.quick()
	first := q.first(q.offer()...)
	sa.pushOdd(first, peer1.Oddities{Inner: peer.Random(160), Keep: true})
	q.agree(q.ask(q.offer()...))
	third := q.proof()
	sa.pushOdd(third, peer1.Oddities{Inner: peer.Random(48), Keep: true})
	sa.push(third)
	t.counts(1, 1)
	sa.alive()
}

func switchedExchange(t *T) {
	sa := t.newISAKMP(usual1)
	sa.accepted(sa.bid(sa.propose()))
	for _, exchange := range []uint8{peer1.Base, peer1.Aggressive, peer1.QuickMode, peer1.AuthOnly} {
		t.send(sa.way, sa.message(exchange, 0, sa.exchange()...).Encode())
	}
	t.quiet()
	sa.exchanged(sa.bid(sa.message(peer1.MainMode, 0, sa.exchange()...)))
	m := sa.message(peer1.Aggressive, 0, sa.identity()[1:]...)
	sa.pushOdd(m, peer1.Oddities{Keep: true})
	t.quiet()
	sa.enters()
}

func nonceLengths(t *T) {
	for _, n := range []int{8, 256} {
		sa := t.newISAKMP(usual1)
		sa.Ni = peer.Random(n)
		sa.meets()
		sa.enters()
		q := sa.quick()
		q.ni = peer.Random(n)
		q.done()
		t.counts(1, 1)
		sa.tell(sa.goodbye())
		t.counts(0, 0)
	}
	for _, n := range []int{0, 7, 257} {
		sa := t.newISAKMP(usual1)
		sa.Ni = peer.Random(n)
		sa.accepted(sa.bid(sa.propose()))
		t.send(sa.way, sa.message(peer1.MainMode, 0, sa.exchange()...).Encode())
		t.quiet()
	}
	t.counts(0, 0)
}

func modp1(t *T) {
	sa := t.newISAKMP(peer1.Suite{Group: peer.MODP2048})
	sa.meets() // our half of the exchange demands the length
	sa.enters()
	sa.tell(sa.goodbye())
	t.counts(0, 0)
	t.order(Up)
	called, _ := t.called1()
	called.Suite = peer1.Suite{Group: peer.MODP2048}
	t.send(called.way, called.swap(called.answered(called.welcome())).Encode())
	called.admitted(called.phase1())
}

func badValues(t *T) {
	for group, values := range map[uint16][][]byte{
		peer.X25519:   {nil, make([]byte, 31), make([]byte, 32), make([]byte, 33)},
		peer.MODP2048: {make([]byte, 256), binary.BigEndian.AppendUint16(make([]byte, 254), 1), peer.MODP2048Minus1(), peer.Random(255), peer.Random(257)},
		peer.P256:     {peer.Random(64), make([]byte, 64), peer.Random(65)},
	} {
		for _, v := range values {
			sa := t.newISAKMP(peer1.Suite{Group: group})
			sa.accepted(sa.bid(sa.propose()))
			m := sa.message(peer1.MainMode, 0, sa.exchange()...)
			m.Payloads[0].Body = v
			t.send(sa.way, m.Encode())
		}
	}
	if d, ok := t.receive(silence, func(d peer.Datagram) bool {
		m, err := peer1.Decode(d.Bytes)
		return err != nil || m.Body(peer1.TypeKE) != nil
	}); ok {
		t.Fatalf("the daemon answers a value that nobody could have computed: %x", d.Bytes)
	}
	t.counts(0, 0)
}
