package protocol

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

// watchful asks a peer that has been silent for a second.
var watchful = Settings{Liveness: time.Second, Retransmit: 2 * hundred, Tries: 2}

// Notifies, deletes and dead peer detection (RFC 2408 sections 3.14, 3.15, 4.8, 5.14, 5.15, RFC 2407 section 4.6.3, RFC 3706).
var v1InformCases = []Case{
	{IDs: ids("RFC3706-5.2-1", "RFC3706-5.3-1", "RFC3706-5.3-2", "RFC3706-5.3-3", "RFC3706-5.3-5", "RFC3706-5.3-6", "RFC3706-5.3-7", "RFC3706-5.3-8", "RFC3706-6.1-2", "RFC2408-4.1-2"),
		Title: "R-U-THERE is acknowledged with its number, both cookies, protocol ISAKMP, in both roles.", Run: acknowledges},
	{IDs: ids("RFC3706-5.2-2", "RFC2408-4.8-1", "RFC2408-5.14-4", "RFC2407-4.6.3-1", "RFC2408-5.14-5"),
		Title: "Notifies in clear are not believed: R-U-THERE, errors, INITIAL-CONTACT; the SA lives.", Run: notifiesInClear},
	{IDs: ids("RFC2408-5.15-1", "RFC2408-5.15-4", "RFC2408-4.8-1"), Title: "Deletes in clear, or under a wrong hash, delete nothing.", Run: deletesInClear},
	{IDs: ids("RFC3706-6.1-5", "RFC3706-6.2-5", "RFC3706-6.2-6"), Title: "R-U-THERE with other cookies, with no number, with an old one or one far ahead is not acknowledged.", Run: oddQuestions},
	{IDs: ids("RFC3706-5.3-4", "RFC3706-5.3-1", "RFC3706-5.3-2", "RFC3706-5.3-3", "RFC3706-5.3-5", "RFC3706-5.3-6", "RFC3706-6.1-1", "RFC3706-6.2-1", "RFC3706-6.2-2", "RFC3706-6.2-3", "RFC3706-6.2-4"),
		Title: "The daemon asks a silent peer: R-U-THERE has both cookies and a number that starts anywhere in the lower half and grows by one.", Run: asksSilent, Settings: watchful},
	{IDs: ids("RFC3706-5.4-3", "RFC3706-5.4-4", "RFC3706-5.4-5"), Title: "A peer that does not answer R-U-THERE is asked again with the same number, and then its SAs are deleted.", Run: silentPeer, Settings: watchful},
	{IDs: ids("RFC3706-6.1-3", "RFC3706-6.1-4", "RFC3706-6.1-5", "RFC3706-5.2-2"), Title: "Acknowledgements with another number, of other cookies or in clear do not show that the peer lives.", Run: wrongAcks, Settings: watchful},
	{IDs: ids("RFC3706-5.4-1", "RFC3706-5.4-2"), Title: "Who is heard from is not asked.", Run: heardPeer, Settings: watchful},
	{IDs: ids("RFC3706-5.1-1"), Title: "A peer that has not announced DPD is not asked.", Run: unableToAnswer, Settings: watchful},
	{IDs: ids("RFC2408-5.15-2"), Title: "A Delete of the ISAKMP SA ends it and its child, one of a child the child alone.", Run: deletesOfPeer},
	{IDs: ids("RFC2408-5.15-4", "RFC2408-3.15-1"), Title: "Deletes of unknown SPIs, other protocols, wrong sizes and counts delete nothing; the SA lives.", Run: oddDeletes},
	{IDs: ids("RFC2408-3.15-1", "RFC2408-3.15-2", "RFC2408-5.15-3"), Title: "The daemon deletes ISAKMP SA and child by payloads of one protocol each.", Run: deletesOfDaemon},
	{IDs: ids("RFC2408-5.14-4", "RFC2408-5.2-2", "RFC2408-5.3-2"), Title: "Notifies that nobody knows, of other DOIs or cut off, and unknown payloads under a right hash change nothing.", Run: oddNotifies},
	{IDs: ids("RFC2407-4.6.3.1-1", "RFC2407-4.5.4-1", "RFC2407-4.5.4-2", "RFC2407-4.6.3-1"),
		Title: "To who offers a longer lifetime than the daemon's, in either phase, it announces its own by RESPONDER-LIFETIME under the keys.", Run: announcesLifetime},
	{IDs: ids("RFC2408-5.14-4"), Title: "RESPONDER-LIFETIME and REPLAY-STATUS in the peer's answer are taken; malformed ones are ignored.", Run: responderLifetime},
	{IDs: ids("RFC2407-4.6.3.3-1", "RFC2407-4.6.3.3-2", "RFC2407-4.6.3-1", "RFC2407-4.6.3-3"), Title: "INITIAL-CONTACT of the daemon goes under the keys, names the SA, and has no data.", Run: contactOfDaemon},
	{IDs: ids("RFC3947-6-1", "RFC3947-6-2"), Title: "INITIAL-CONTACT ends the other SAs of the same identity, from wherever they came.", Run: contactOfPeer},
	{IDs: ids("RFC2408-4.3-1", "RFC2408-4.3-2", "RFC2408-5.15-2"), Title: "A peer that replaces the ISAKMP SA and deletes the old one keeps its child.", Run: outlives},
	{IDs: ids("RFC2408-4.3-1", "RFC2408-4.3-2", "RFC3947-3-3"), Title: "The daemon replaces the ISAKMP SA by a main mode with fresh cookies, and deletes the old one afterwards.", Run: replacesISAKMP},
}

func acknowledges(t *T) {
	sa := t.main()
	for range 3 {
		sa.alive()
	}
	sa.tell(sa.goodbye())
	t.counts(0, 0)
	sa, _ = t.up1ByDaemon()
	sa.seq = binary.BigEndian.Uint32(peer.Random(4))
	sa.alive()
}

// plain returns an informational message in clear.
func (sa *ISAKMP) plain(id uint32, ps ...peer.Payload) []byte {
	return sa.message(peer1.Informational, id, ps...).Encode()
}

func notifiesInClear(t *T) {
	sa, _ := t.up1()
	ps := []peer.Payload{sa.ruThere().Payload()}
	for _, kind := range []uint16{peer1.NoProposalChosen, peer1.AuthenticationFailed, peer1.InitialContact, peer1.InvalidSPI, 4, peer1.ResponderLifetime} {
		ps = append(ps, sa.about(kind).Payload())
	}
	for _, p := range ps {
		for _, id := range []uint32{0, newID()} {
			t.send(sa.way, sa.plain(id, p))
			t.send(sa.way, sa.plain(id, peer1.Hashed(sa.Hash1(id, []peer.Payload{p}), p)...))
		}
	}
	sa.alive()
	t.counts(1, 1)
}

func deletesInClear(t *T) {
	sa, q := t.up1()
	for _, p := range []peer.Payload{sa.goodbye(), q.gone()} {
		id := newID()
		t.send(sa.way, sa.plain(0, p))
		t.send(sa.way, sa.plain(id, p))
		t.send(sa.way, sa.plain(id, peer1.Hashed(sa.Hash1(id, []peer.Payload{p}), p)...))
		sa.push(sa.message(peer1.Informational, id, p))
		sa.push(sa.message(peer1.Informational, id+1, peer1.Hashed(peer.Random(32), p)...))
		sa.push(sa.message(peer1.Informational, id+2, peer1.Hashed(sa.Hash1(id, []peer.Payload{p}), p)...)) // of another message
		sa.push(sa.message(peer1.Informational, id+3, p, peer.Payload{Type: peer1.TypeHash, Body: sa.Hash1(id+3, []peer.Payload{p})}))
	}
	sa.alive()
	t.counts(1, 1)
}

func oddQuestions(t *T) {
	sa := t.main()
	sa.alive()
	for _, change := range []func(*peer1.Notify){
		func(n *peer1.Notify) { n.SPI = peer.Random(16) },
		func(n *peer1.Notify) { n.Data = nil },
		func(n *peer1.Notify) { n.Data = n.Data[:3] },
		func(n *peer1.Notify) { n.Data = append(n.Data, 0) },
		func(n *peer1.Notify) { n.Data = binary.BigEndian.AppendUint32(nil, sa.seq-2) },
		func(n *peer1.Notify) { n.Data = binary.BigEndian.AppendUint32(nil, sa.seq+1<<20) },
	} {
		n := sa.ruThere()
		sa.seq--
		change(&n)
		sa.tell(n.Payload())
	}
	sa.alive()
}

// asked waits for an R-U-THERE and returns its number.
func (sa *ISAKMP) asked() uint32 {
	ps := sa.told()
	n, ok := peer1.NotifyOf(ps, peer1.RUThere)
	if !ok || len(ps) != 1 || n.DOI != peer1.DOI || n.Protocol != peer1.ProtoISAKMP || !slices.Equal(n.SPI, sa.Cookies()) || len(n.Data) != 4 {
		sa.t.Fatalf("want R-U-THERE: %s %+v", peer1.Describe(peer.Message{Payloads: ps}), n)
	}
	return binary.BigEndian.Uint32(n.Data)
}

// lives acknowledges an R-U-THERE.
func (sa *ISAKMP) lives(seq uint32) {
	sa.tell(sa.about(peer1.RUThereAck, binary.BigEndian.AppendUint32(nil, seq)...).Payload())
}

func asksSilent(t *T) {
	sa := t.main()
	first := sa.asked()
	sa.lives(first)
	second := sa.asked()
	sa.lives(second)
	if first>>31 != 0 || second != first+1 {
		t.Errorf("the numbers are %08x and %08x", first, second)
	}
	sa.tell(sa.goodbye())
	t.counts(0, 0)
	other := t.main()
	if n := other.asked(); n>>31 != 0 || n-first < 100 {
		t.Errorf("the numbers of two SAs begin with %08x and %08x", first, n)
	}
}

func silentPeer(t *T) {
	sa, _ := t.up1()
	first := sa.asked()
	for range watchful.Tries {
		if again := sa.asked(); again != first {
			t.Errorf("asked again with the number %08x instead of %08x", again, first)
		}
	}
	t.counts(0, 0)
}

func wrongAcks(t *T) {
	sa := t.main()
	seq := sa.asked()
	sa.lives(seq + 1)
	sa.lives(seq - 1)
	octets := binary.BigEndian.AppendUint32(nil, seq)
	n := sa.about(peer1.RUThereAck, octets...)
	t.send(sa.way, sa.plain(0, n.Payload()))
	n.SPI = peer.Random(16)
	sa.tell(n.Payload())
	sa.tell(sa.about(peer1.RUThereAck, octets[:3]...).Payload())
	if again := sa.asked(); again != seq {
		t.Errorf("asked again with the number %08x instead of %08x", again, seq)
	}
	t.counts(0, 0)
}

func heardPeer(t *T) {
	sa := t.main()
	for range 8 {
		pause(300 * time.Millisecond)
		sa.alive() // nothing else has come
	}
}

func unableToAnswer(t *T) {
	sa := t.newISAKMP(usual1)
	m := sa.propose()
	m.Payloads = m.Payloads[:2]
	sa.accepted(sa.bid(m))
	sa.exchanged(sa.bid(sa.message(peer1.MainMode, 0, sa.exchange()...)))
	sa.enters()
	pause(2 * watchful.Liveness)
	t.nothingCame()
	t.counts(1, 0)
}

func deletesOfPeer(t *T) {
	sa, q := t.up1()
	sa.tell(q.gone())
	t.counts(1, 0)
	sa.child()
	t.counts(1, 1)
	sa.tell(sa.goodbye())
	t.counts(0, 0)
	sa.gone()
}

func oddDeletes(t *T) {
	sa, q := t.up1()
	cookies := sa.Cookies()
	for _, d := range []peer1.Delete{
		{DOI: peer1.DOI, Protocol: peer1.ProtoESP, SPIs: [][]byte{peer.SPI()}},
		{DOI: peer1.DOI, Protocol: peer1.ProtoESP, SPIs: [][]byte{q.out}},
		{DOI: peer1.DOI, Protocol: peer1.ProtoESP},
		{DOI: peer1.DOI, Protocol: peer1.ProtoAH, SPIs: [][]byte{q.in}},
		{DOI: peer1.DOI, Protocol: 4, SPIs: [][]byte{q.in}},
		{DOI: peer1.DOI, Protocol: 99, SPIs: [][]byte{q.in}},
		{DOI: peer1.DOI, Protocol: peer1.ProtoISAKMP, SPIs: [][]byte{peer.Random(16)}},
		{DOI: peer1.DOI, Protocol: peer1.ProtoISAKMP, SPIs: [][]byte{cookies[:8]}},
		{DOI: peer1.DOI, Protocol: peer1.ProtoISAKMP, SPIs: [][]byte{append(slices.Clone(cookies[8:]), cookies[:8]...)}},
		{DOI: peer1.DOI, Protocol: peer1.ProtoESP, SPIs: [][]byte{q.in[:2], q.in[2:]}},
	} {
		sa.tell(d.Payload())
	}
	many := q.gone()
	many.Body[7] = 200 // SPIs that are not there
	sa.tell(many)
	sa.alive()
	t.counts(1, 1)
}

func deletesOfDaemon(t *T) {
	sa, q := t.up1()
	t.order(Down)
	sa.deleted(q)
	ps := sa.told()
	d, err := peer1.ParseDelete(ps[0].Body)
	t.must(err)
	if len(ps) != 1 || d.Protocol != peer1.ProtoISAKMP || len(d.SPIs) != 1 || !slices.Equal(d.SPIs[0], sa.Cookies()) {
		t.Fatalf("it deletes %+v", d)
	}
	t.counts(0, 0)
	sa.gone()
}

func oddNotifies(t *T) {
	sa, _ := t.up1()
	unknown := sa.about(12345)
	other := sa.about(peer1.InitialContact)
	other.DOI = 7
	cut := sa.about(peer1.RUThere).Payload()
	cut.Body = cut.Body[:9]
	for _, p := range []peer.Payload{unknown.Payload(), other.Payload(), cut, sa.about(40000).Payload(), sa.about(peer1.NoProposalChosen).Payload(),
		{Type: 200, Body: peer.Random(30)}, {Type: peer1.TypeNonce, Body: peer.Random(30)}, {Type: peer1.TypeNotify}} {
		sa.tell(p)
	}
	sa.tell()
	sa.alive()
	t.counts(1, 1)
}

func responderLifetime(t *T) {
	sa := t.mainByDaemon()
	for range 2 {
		q := sa.offered()
		life := peer1.Attributes(peer1.Life(peer1.SALifeType, peer1.SALifeDuration, peer1.Seconds, 1800))
		ps := q.grant()
		for _, data := range [][]byte{life, life[:7], nil, peer.Random(13)} {
			ps = append(ps, peer1.Notify{DOI: peer1.DOI, Protocol: peer1.ProtoESP, SPI: q.in, Kind: peer1.ResponderLifetime, Data: data}.Payload())
		}
		ps = append(ps, peer1.Notify{DOI: peer1.DOI, Protocol: peer1.ProtoESP, SPI: q.in, Kind: peer1.ReplayStatus, Data: []byte{0, 0, 0, 1}}.Payload())
		q.answer(ps...)
		q.proved()
		t.counts(1, 1)
		t.order(DownChild)
		sa.deleted(q)
		t.counts(1, 0)
		t.order(Up)
	}
}

// lifetime demands a RESPONDER-LIFETIME with fewer seconds than were offered (RFC 2407 section 4.6.3.1).
func (t *T) lifetime(ps []peer.Payload, protocol uint8, spi []byte, kind, duration uint16, offered uint32) {
	n, ok := peer1.NotifyOf(ps, peer1.ResponderLifetime)
	as, err := peer1.ParseAttributes(n.Data)
	tr := peer1.Transform{Attributes: as}
	unit, _ := tr.Value(kind)
	seconds, _ := tr.Value(duration)
	if !ok || err != nil || n.DOI != peer1.DOI || n.Protocol != protocol || !slices.Equal(n.SPI, spi) || unit != peer1.Seconds || seconds == 0 || seconds >= uint64(offered) {
		t.Errorf("RESPONDER-LIFETIME is %+v (%v) with %d of unit %d", n, ok, seconds, unit)
	}
}

func announcesLifetime(t *T) {
	const days = 100 * 24 * 3600
	sa := t.newISAKMP(usual1)
	as := sa.ours.Transforms[0].Attributes
	copy(as[len(as)-2:], peer1.Life(peer1.LifeType, peer1.LifeDuration, peer1.Seconds, days))
	sa.meets()
	sa.enters()
	t.lifetime(sa.told(), peer1.ProtoISAKMP, sa.Cookies(), peer1.LifeType, peer1.LifeDuration, days)
	q := sa.quick()
	as = q.ours.Transforms[0].Attributes
	copy(as[len(as)-2:], peer1.Life(peer1.SALifeType, peer1.SALifeDuration, peer1.Seconds, days))
	ps := q.ask(q.offer()...)
	q.agree(ps)
	t.lifetime(ps, peer1.ProtoESP, q.out, peer1.SALifeType, peer1.SALifeDuration, days)
	sa.push(q.proof())
	t.counts(1, 1)
}

func contactOfDaemon(t *T) {
	sa, m := t.greeted1()
	sa.contact(m.Payloads)
}

// contact demands an INITIAL-CONTACT.
func (sa *ISAKMP) contact(ps []peer.Payload) {
	n, ok := peer1.NotifyOf(ps, peer1.InitialContact)
	if !ok || n.Protocol != peer1.ProtoISAKMP || len(n.Data) != 0 || !slices.Equal(n.SPI, sa.Cookies()) {
		sa.t.Errorf("INITIAL-CONTACT is %+v: %s", n, peer1.Describe(peer.Message{Payloads: ps}))
	}
}

func contactOfPeer(t *T) {
	old, _ := t.up1()
	sa := t.newISAKMP(usual1)
	sa.way = t.from(40500, peer.PortIKE) // of the port nothing follows
	sa.meets()
	sa.push(sa.message(peer1.MainMode, 0, append(sa.identity(), sa.about(peer1.InitialContact).Payload())...))
	sa.admitted(sa.phase1())
	sa.child()
	t.counts(1, 1)
	old.gone()
}

func outlives(t *T) {
	old, q := t.up1()
	sa := t.main()
	old.tell(old.goodbye())
	t.counts(1, 1)
	sa.tell(q.gone())
	t.counts(1, 0)
}

func replacesISAKMP(t *T) {
	old, _ := t.up1ByDaemon()
	t.order(RekeyIKE)
	sa, _ := t.called1()
	if sa.way.to.Port() != peer.PortIKE || sa.CookieI == old.CookieI {
		t.Errorf("the new SA is begun from %v with the cookie %x", sa.way.to, sa.CookieI)
	}
	t.send(sa.way, sa.swap(sa.answered(sa.welcome())).Encode())
	sa.admitted(sa.phase1())
	sa.push(sa.message(peer1.MainMode, 0, sa.identity()...))
	t.counts(1, 1)
	sa.alive()
}
