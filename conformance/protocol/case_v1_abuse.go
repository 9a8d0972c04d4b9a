package protocol

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

// Settings that give a case of IKEv1 a daemon of its own, which forgets half-open SAs soon.
var (
	alone1      = Settings{HalfOpen: 2 * time.Second, Liveness: time.Second, Tries: 2, Retransmit: hundred}
	aloneBoldly = Settings{HalfOpen: 2 * time.Second, Tries: 2, Retransmit: hundred, IKEv1: "aggressive"}
)

// Bad input and faults: each leaves neither a crash, nor an SA, nor memory, and is told by an event.
var v1AbuseCases = []Case{
	{IDs: ids("RFC2408-1.7.1-1"), Title: "A flood of aggressive mode is answered up to a rate, told, and forgotten; who comes after it is served.", Run: floodAggressive, Settings: aloneBoldly},
	{IDs: ids("RFC2408-1.7.1-1", "RFC2408-2.5.3-2", "RFC2408-5.2-2"), Title: "Two thousand malformed, half-open, replayed and mangled attempts by IKEv1 leave neither an SA nor memory behind, and are told.", Run: nothingLasts1, Settings: alone1},
	{IDs: ids("RFC2408-5.1-3", "RFC2408-5.2-2"), Title: "A first message that comes again, even after its SA has gone, makes one half-open SA at most.", Run: replayedFirst, Settings: alone1},
	{IDs: ids("RFC2409-B-2", "RFC2409-10-2", "RFC2408-5.1-2"), Title: "Ciphertexts that are no whole blocks, empty, or of random octets are ignored and told; the SA lives.", Run: badCiphertexts},
	{IDs: ids("RFC2409-B-2"), Title: "Padding of whatever octets and length, as peers of the installed base send it, harms nothing.", Run: oddPadding},
	{IDs: ids("RFC2409-4-2", "RFC2408-5.2-2", "RFC2408-2.4-1"), Title: "Message ID 0 in phase 2 does nothing, in quick mode, informational and new group mode; the SA lives.", Run: idZero},
	{IDs: ids("RFC2407-4.5.2-3", "RFC2407-4.5-2"), Title: "A lifetime of zero makes no SA, in seconds or kilobytes, in either phase.", Run: zeroLifetimes},
	{IDs: ids("RFC2407-4.5.2-1", "RFC2407-4.5-1"), Title: "Lifetimes in kilobytes and seconds beyond 32 and 64 bits neither overflow nor end a child.", Run: hugeLifetimes},
	{IDs: ids("RFC2408-4.2-4", "RFC2408-3.15-1"), Title: "Offers of hundreds of transforms and Deletes of a thousand SPIs are served, or dropped, and no more.", Run: manyThings},
}

// told demands that the daemon comes to tell of an event whose text has certain words.
func (t *T) told(name, words string) {
	for end := time.Now().Add(patience); time.Now().Before(end); pause(hundred) {
		said, err := t.daemon.Told(t.context(), name, words)
		if t.must(err); said {
			return
		}
	}
	t.Errorf("the daemon does not tell %s with %q", name, words)
}

// empty demands that the daemon comes to hold nothing.
func (t *T) empty() {
	var l Load
	for end := time.Now().Add(patience); time.Now().Before(end); pause(hundred) {
		var err error
		l, err = t.daemon.Load(t.context())
		if t.must(err); l.SAs == 0 {
			return
		}
	}
	t.Fatalf("the daemon holds %d SAs", l.SAs)
}

func floodAggressive(t *T) {
	const flood = 400
	m := t.newISAKMP(usual1).declare()
	for range flood {
		m.SPIi = peer.SPI64()
		t.must(t.path(peer.PortIKE).from.Send(t.path(peer.PortIKE).to, m.Encode()))
	}
	answers := 0
	for _, ok := t.receive(time.Second, anyDatagram); ok; _, ok = t.receive(silence, anyDatagram) {
		answers++
	}
	t.note("#", answers)
	if answers > flood/4 {
		t.Errorf("%d of %d first messages of aggressive mode were answered", answers, flood)
	}
	t.told("dos.rate_limited", t.Peer.String())
	t.empty()
	pause(time.Second)
	t.bold().child()
	t.counts(1, 1)
}

// attempts1 are ways to begin something by IKEv1 that comes to nothing.
var attempts1 = []func(t *T, sa *ISAKMP, r *rand.Rand){
	func(t *T, sa *ISAKMP, r *rand.Rand) { sa.hurl(sa.propose().Encode()) },
	func(t *T, sa *ISAKMP, r *rand.Rand) { sa.hurl(mangleBy(r, sa.propose().Encode())) },
	func(t *T, sa *ISAKMP, r *rand.Rand) { sa.hurl(mangleBy(r, sa.declare().Encode())) },
	func(t *T, sa *ISAKMP, r *rand.Rand) {
		sa.hurl(peer1.Frame(sa.message(uint8(r.IntN(40)), r.Uint32()), uint8(r.IntN(16)), peer.Random(r.IntN(200))))
	},
	func(t *T, sa *ISAKMP, r *rand.Rand) {
		sa.CookieR = peer.SPI64()
		sa.hurl(sa.plain(r.Uint32(), sa.about(uint16(r.IntN(31))).Payload(), sa.goodbye()))
	},
}

func (sa *ISAKMP) hurl(b []byte) { sa.t.must(sa.way.from.Send(sa.way.to, b)) }

func mangleBy(r *rand.Rand, b []byte) []byte {
	for range 1 + r.IntN(4) {
		b[r.IntN(len(b))] = byte(r.Uint32())
	}
	return b
}

func nothingLasts1(t *T) {
	r := rand.New(rand.NewPCG(2408, 17))
	round := func(n int) int64 {
		for range n {
			attempts1[r.IntN(len(attempts1))](t, t.newISAKMP(usual1), r)
			t.forget()
		}
		t.empty()
		l, err := t.daemon.Load(t.context())
		t.must(err)
		return l.Memory
	}
	before := round(1000)
	if grown := round(1000) - before; grown > 16<<20 {
		t.Errorf("the daemon's memory has grown by %d octets", grown)
	}
	t.told("protocol.parse_error", t.Peer.String())
	pause(time.Second)
	t.forget()
	t.main().child()
	t.counts(1, 1)
}

func replayedFirst(t *T) {
	sa := t.newISAKMP(usual1)
	first := sa.propose()
	for range 20 {
		sa.hurl(first.Encode())
	}
	answers := map[string]bool{}
	for d, ok := t.receive(time.Second, anyDatagram); ok; d, ok = t.receive(silence, anyDatagram) {
		answers[string(d.Bytes)] = true
	}
	if len(answers) != 1 {
		t.Errorf("a first message that came 20 times got %d different answers", len(answers))
	}
	t.empty()
	sa.hurl(first.Encode())
	if d, ok := t.receive(patience, anyDatagram); !ok || answers[string(d.Bytes)] {
		t.Errorf("what comes again after the end of its SA gets the old answer, or none: %v", ok)
	}
	t.empty()
}

func badCiphertexts(t *T) {
	sa := t.main()
	for _, exchange := range []uint8{peer1.Informational, peer1.QuickMode, peer1.NewGroupMode} {
		for _, n := range []int{0, 1, 8, 15, 16, 17, 32, 160, 1200} {
			for _, first := range []uint8{0, peer1.TypeHash, peer1.TypeSA, 255} {
				t.send(sa.way, peer1.Frame(sa.message(exchange, newID()), first, peer.Random(n)))
			}
		}
	}
	sa.alive()
	t.told("protocol.decrypt_failed", t.Peer.String())
	t.counts(1, 0)
}

func oddPadding(t *T) {
	sa := t.main()
	for _, fill := range []byte{0, 1, 0xff} {
		for _, extra := range []int{0, 16, 240} {
			ps := []peer.Payload{sa.ruThere().Payload()}
			id := newID()
			m := sa.message(peer1.Informational, id, peer1.Hashed(sa.Hash1(id, ps), ps...)...)
			inner, _ := m.Inner()
			pad := make([]byte, (16-len(inner)%16)%16+extra)
			for i := range pad {
				pad[i] = fill
			}
			sa.pushOdd(m, peer1.Oddities{Pad: pad})
			sa.acknowledged(sa.told())
		}
	}
}

func idZero(t *T) {
	sa, _ := t.up1()
	q := sa.quick()
	q.id = 0
	for _, m := range []peer.Message{q.first(q.offer()...), sa.message(peer1.Informational, 0, peer1.Hashed(sa.Hash1(0, []peer.Payload{sa.goodbye()}), sa.goodbye())...),
		sa.message(peer1.NewGroupMode, 0, peer1.Hashed(sa.Hash1(0, q.offer()), q.offer()...)...)} {
		sa.pushOdd(m, peer1.Oddities{Keep: true})
		sa.pushOdd(m, peer1.Oddities{Keep: true, IV: sa.FirstIV(0)})
		t.send(sa.way, m.Encode())
	}
	sa.alive()
	t.counts(1, 1)
}

func zeroLifetimes(t *T) {
	for _, data := range [][]byte{{0, 0, 0, 0}, {0}, make([]byte, 9)} {
		sa := t.newISAKMP(usual1)
		as := sa.ours.Transforms[0].Attributes
		as[len(as)-1].Data = data
		sa.declined(sa.bid(sa.propose()))
	}
	sa := t.main()
	for _, unit := range []uint16{peer1.Seconds, peer1.Kilobytes} {
		q := sa.quick()
		as := &q.ours.Transforms[0].Attributes
		*as = append(slices.Clone(*as)[:len(*as)-2], peer1.Life(peer1.SALifeType, peer1.SALifeDuration, unit, 0)...)
		sa.push(q.first(q.offer()...))
		q.refused(peer1.NoProposalChosen, peer1.AttributesNotSupported)
	}
	t.told("child_sa.failed", t.Name)
	t.counts(1, 0)
}

func hugeLifetimes(t *T) {
	sa := t.main()
	for _, octets := range [][]byte{binary.BigEndian.AppendUint64(nil, 1<<32), binary.BigEndian.AppendUint64(nil, 1<<54+1), binary.BigEndian.AppendUint64(nil, 1<<64-1), {0xff, 0xff, 0xff, 0xff}} {
		for _, unit := range []uint16{peer1.Kilobytes, peer1.Seconds} {
			q := sa.quick()
			as := &q.ours.Transforms[0].Attributes
			*as = append(slices.Clone(*as)[:len(*as)-2], peer1.Attribute{Class: peer1.SALifeType, Value: unit}, peer1.Attribute{Class: peer1.SALifeDuration, Data: octets})
			q.done()
			t.counts(1, 1)
			sa.tell(q.gone())
			t.counts(1, 0)
		}
	}
	q := sa.quick()
	as := &q.ours.Transforms[0].Attributes
	*as = append(slices.Clone(*as)[:len(*as)-1], peer1.Attribute{Class: peer1.SALifeDuration, Data: append([]byte{1}, make([]byte, 8)...)})
	sa.push(q.first(q.offer()...))
	q.refused(peer1.NoProposalChosen, peer1.AttributesNotSupported) // 65 bits
}

func manyThings(t *T) {
	for _, n := range []int{250, 255} {
		sa := t.newISAKMP(usual1)
		good := sa.ours.Transforms[0]
		sa.ours.Transforms = nil
		for i := range n {
			tr := peer1.Suite{Group: 2}.Transform(uint8(i))
			if i == 100 {
				tr = good
				tr.Number = 100
			}
			sa.ours.Transforms = append(sa.ours.Transforms, tr)
		}
		sa.accepted(sa.bid(sa.propose()))
	}
	sa, q := t.up1()
	d := peer1.Delete{DOI: peer1.DOI, Protocol: peer1.ProtoESP}
	for range 1000 {
		d.SPIs = append(d.SPIs, peer.SPI())
	}
	sa.tell(d.Payload())
	sa.alive()
	d.SPIs[999] = q.in
	sa.tell(d.Payload())
	t.counts(1, 0)
	sa.alive()
}
