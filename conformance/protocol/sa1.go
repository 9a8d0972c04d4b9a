package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

// ISAKMP is one ISAKMP SA of a case: what SA is for IKEv2.
type ISAKMP struct {
	*peer1.SA
	t      *T
	half   *peer.Exchange // ours of the key exchange
	way    path
	secret []byte          // of the key exchange
	method uint16          // of authentication that we choose
	id     peer1.ID        // who we say we are
	ours   peer1.Proposal  // that we offer
	seq    uint32          // of our last R-U-THERE
	opened map[string]bool // messages of the daemon that were read
}

const sharedKey = 1 // an authentication method (RFC 2409 appendix A)

// usual1 is the suite of cases that do not care.
var usual1 = peer1.Suite{Group: peer.X25519}

// newISAKMP makes our half of an SA that we begin.
func (t *T) newISAKMP(s peer1.Suite) *ISAKMP {
	sa := &ISAKMP{SA: &peer1.SA{Suite: s, Initiator: true, CookieI: peer.SPI64(), Ni: peer.Random(32)}, t: t, half: peer.NewExchange(s.Group),
		way: t.path(peer.PortIKE), id: peer1.ID{Kind: t.PeerID.Kind, Data: []byte(t.PeerID.Data)}, ours: s.Proposal(), opened: map[string]bool{}}
	sa.GI, sa.seq = sa.half.Public, binary.BigEndian.Uint32(peer.Random(4))>>1
	return sa
}

// message returns a message of this SA.
func (sa *ISAKMP) message(exchange uint8, id uint32, ps ...peer.Payload) peer.Message {
	return peer.Message{SPIi: sa.CookieI, SPIr: sa.CookieR, Version: peer1.Version, Exchange: exchange, ID: id, Payloads: ps}
}

// offer is our SA payload, and the vendor IDs of what we can.
func (sa *ISAKMP) offer() []peer.Payload {
	return []peer.Payload{peer1.SAPayload(sa.ours), peer1.NATVendor(), peer1.DPDVendor()}
}

// propose is our first message of main mode.
func (sa *ISAKMP) propose() peer.Message { return sa.message(peer1.MainMode, 0, sa.offer()...) }

// bid sends a message of phase 1 in clear and returns the answer.
func (sa *ISAKMP) bid(m peer.Message) peer.Message {
	if body := m.Body(peer1.TypeSA); body != nil {
		sa.SAi = body
	}
	sa.t.send(sa.way, m.Encode())
	d, answer := sa.t.clear1(sa.CookieI, 0)
	if d.Local != sa.way.from.Addr() || d.Remote != sa.way.to {
		sa.t.Errorf("the answer came from %v to %v, the message went from %v to %v", d.Remote, d.Local, sa.way.from.Addr(), sa.way.to)
	}
	return answer
}

// clear1 receives the next message in clear of an ISAKMP SA, with a certain responder's cookie if that is not 0: the daemon may repeat what it
// sent before it knew ours.
func (t *T) clear1(cookie, responder uint64) (peer.Datagram, peer.Message) {
	d, ok := t.receive(patience, func(d peer.Datagram) bool {
		m, err := peer.Header(d.Bytes)
		return !d.ESP && err == nil && m.Version == peer1.Version && m.SPIi == cookie && (responder == 0 || m.SPIr == responder)
	})
	if !ok {
		t.Fatalf("no answer came within %v", patience)
	}
	m, err := peer1.Decode(d.Bytes)
	t.must(err)
	t.form1(m)
	return d, m
}

// form1 demands that a message has the form that RFC 2408 wants. It is asked of every message that comes.
func (t *T) form1(m peer.Message) {
	for _, fault := range peer1.Faults(m) {
		t.Errorf("a message that the daemon sent: %s (%s)", fault, peer1.Describe(m))
	}
}

// kinds1 demands that a message holds payloads of these types in this order; vendor IDs, notifies and NAT-D are not looked at.
func (t *T) kinds1(m peer.Message, want ...uint8) {
	var got []uint8
	for _, p := range m.Payloads {
		if p.Type != peer1.TypeNotify && p.Type != peer1.TypeVendor && p.Type != peer1.TypeNATD {
			got = append(got, p.Type)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("payload types %d, want %d: %s", got, want, peer1.Describe(m))
	}
}

// accepted takes the daemon's choice: one proposal with one transform, unchanged.
func (sa *ISAKMP) accepted(m peer.Message) {
	t := sa.t
	t.kinds1(m, peer1.TypeSA)
	sa.chosen(m)
}

// chosen reads the daemon's SA payload of phase 1, and its cookie.
func (sa *ISAKMP) chosen(m peer.Message) {
	t := sa.t
	list, err := peer1.ParseSA(m.Body(peer1.TypeSA))
	t.must(err)
	if m.Exchange == peer1.Informational || len(list) != 1 || len(list[0].Transforms) != 1 {
		t.Fatalf("want one proposal with one transform: %+v", list)
	}
	got, offered := list[0].Transforms[0], sa.ours.Transforms
	if list[0].Protocol != peer1.ProtoISAKMP || list[0].Number != sa.ours.Number || !slices.ContainsFunc(offered, func(o peer1.Transform) bool { return sameTransform(o, got) }) {
		t.Fatalf("the choice %+v is not among %+v", list[0], sa.ours)
	}
	if sa.CookieR = m.SPIr; sa.CookieR == 0 {
		t.Fatalf("the responder's cookie is zero")
	}
}

// sameTransform demands that number, ID and attributes are those of an offer; how numbers are encoded is free (RFC 2409 section 5).
func sameTransform(a, b peer1.Transform) bool {
	return a.Number == b.Number && a.ID == b.ID && slices.EqualFunc(a.Attributes, b.Attributes, func(x, y peer1.Attribute) bool {
		return x.Class == y.Class && x.Number() == y.Number()
	})
}

// exchange is our key exchange value, nonce, and NAT-D payloads as the addresses are.
func (sa *ISAKMP) exchange() []peer.Payload {
	return append([]peer.Payload{{Type: peer1.TypeKE, Body: sa.half.Public}, {Type: peer1.TypeNonce, Body: sa.nonce()}}, sa.natd()...)
}

func (sa *ISAKMP) nonce() []byte {
	if sa.Initiator {
		return sa.Ni
	}
	return sa.Nr
}

// natd is NAT detection as the addresses are: the destination's hash first (RFC 3947 section 3.2).
func (sa *ISAKMP) natd() []peer.Payload {
	return []peer.Payload{{Type: peer1.TypeNATD, Body: sa.NATHash(sa.way.to)}, {Type: peer1.TypeNATD, Body: sa.NATHash(sa.way.from.Addr())}}
}

// exchanged takes the daemon's key exchange value and nonce, and derives the keys.
func (sa *ISAKMP) exchanged(m peer.Message) {
	sa.t.kinds1(m, peer1.TypeKE, peer1.TypeNonce)
	sa.keyed(m)
}

func (sa *ISAKMP) keyed(m peer.Message) {
	ke, nonce := m.Body(peer1.TypeKE), m.Body(peer1.TypeNonce)
	if sa.Initiator {
		sa.GR, sa.Nr = ke, nonce
	} else {
		sa.GI, sa.Ni = ke, nonce
	}
	secret, err := sa.agree(sa.half, ke)
	sa.t.must(err)
	sa.secret = secret
	sa.Agreed(sa.t.Key, secret)
}

// agree computes the secret of a key exchange.
func (sa *ISAKMP) agree(half *peer.Exchange, ke []byte) ([]byte, error) {
	return half.Agree(append(binary.BigEndian.AppendUint32(nil, uint32(half.Method)<<16), ke...))
}

// identity is our ID and proof.
func (sa *ISAKMP) identity() []peer.Payload {
	id := sa.id.Payload()
	return []peer.Payload{id, {Type: peer1.TypeHash, Body: sa.Proof(sa.Initiator, id.Body)}}
}

// proven demands that the daemon's identity and proof in a message are right.
func (sa *ISAKMP) proven(m peer.Message) {
	t := sa.t
	id, err := peer1.ParseID(m.Body(peer1.TypeID))
	t.must(err)
	if id.Kind != peer1.IDFQDN || string(id.Data) != DaemonID || id.Protocol != 0 && id.Protocol != 17 || id.Port != 0 && id.Port != peer.PortIKE {
		t.Fatalf("the daemon calls itself %+v", id)
	}
	if want := sa.Proof(!sa.Initiator, m.Body(peer1.TypeID)); !bytes.Equal(m.Body(peer1.TypeHash), want) {
		t.Fatalf("HASH is %x, want %x", m.Body(peer1.TypeHash), want)
	}
}

// met does the first four messages of main mode, after which there are keys.
func (t *T) met() *ISAKMP {
	sa := t.newISAKMP(usual1)
	sa.meets()
	return sa
}

func (sa *ISAKMP) meets() {
	sa.accepted(sa.bid(sa.propose()))
	sa.exchanged(sa.bid(sa.message(peer1.MainMode, 0, sa.exchange()...)))
}

// enters ends main mode.
func (sa *ISAKMP) enters() {
	sa.push(sa.message(peer1.MainMode, 0, sa.identity()...))
	sa.admitted(sa.phase1())
}

// admitted takes the daemon's last message of main mode.
func (sa *ISAKMP) admitted(m peer.Message) {
	sa.t.kinds1(m, peer1.TypeID, peer1.TypeHash)
	sa.proven(m)
}

// phase1 waits for a message of main or aggressive mode under encryption.
func (sa *ISAKMP) phase1() peer.Message {
	return sa.wait(func(m peer.Message) bool { return m.ID == 0 && m.Exchange != peer1.Informational })
}

// main makes an ISAKMP SA as the initiator.
func (t *T) main() *ISAKMP {
	sa := t.met()
	sa.enters()
	return sa
}

// up1 makes an ISAKMP SA with a child as the initiator.
func (t *T) up1() (*ISAKMP, *Quick) {
	sa := t.main()
	q := sa.child()
	t.counts(1, 1)
	return sa, q
}

// push sends a message encrypted.
func (sa *ISAKMP) push(m peer.Message) []byte { return sa.pushOdd(m, peer1.Oddities{}) }

func (sa *ISAKMP) pushOdd(m peer.Message, odd peer1.Oddities) []byte {
	sa.t.note(">>", peer1.Describe(m))
	b := sa.Seal(m, odd)
	sa.t.send(sa.way, b)
	return b
}

// belongs reports whether a datagram is of this SA.
func (sa *ISAKMP) belongs(d peer.Datagram) bool {
	m, err := peer.Header(d.Bytes)
	return !d.ESP && err == nil && m.SPIi == sa.CookieI && m.SPIr == sa.CookieR
}

// wait waits for an encrypted message, new to us, whose header a filter wants.
func (sa *ISAKMP) wait(want func(peer.Message) bool) peer.Message {
	_, m := sa.waitFor(want)
	return m
}

func (sa *ISAKMP) waitFor(want func(peer.Message) bool) (peer.Datagram, peer.Message) {
	d, ok := sa.t.receive(patience, func(d peer.Datagram) bool {
		h, err := peer.Header(d.Bytes)
		return err == nil && sa.belongs(d) && peer1.Encrypted(h) && want(h) && !sa.opened[string(d.Bytes)]
	})
	if !ok {
		sa.t.Fatalf("what must come did not within %v", patience)
	}
	return d, sa.open(d)
}

// open reads an encrypted message, and judges its form.
func (sa *ISAKMP) open(d peer.Datagram) peer.Message {
	m, err := sa.Open(d.Bytes)
	sa.t.must(err)
	sa.opened[string(d.Bytes)] = true
	sa.t.note("<<", peer1.Describe(m))
	sa.t.form1(m)
	return m
}

// tell sends an informational message with its hash, under a message ID of its own.
func (sa *ISAKMP) tell(ps ...peer.Payload) []byte {
	id := newID()
	return sa.push(sa.message(peer1.Informational, id, peer1.Hashed(sa.Hash1(id, ps), ps...)...))
}

// newID returns a message ID.
func newID() uint32 { return binary.BigEndian.Uint32(peer.Random(4)) | 1 }

// told waits for an informational message, whose hash must be right, and returns what follows that.
func (sa *ISAKMP) told() []peer.Payload {
	return sa.unhashed(sa.wait(func(m peer.Message) bool { return m.Exchange == peer1.Informational }))
}

// unhashed checks HASH(1) of a message, and returns what follows it.
func (sa *ISAKMP) unhashed(m peer.Message) []peer.Payload {
	return sa.behind(m, func(rest []peer.Payload) []byte { return sa.Hash1(m.ID, rest) })
}

func (sa *ISAKMP) behind(m peer.Message, want func([]peer.Payload) []byte) []peer.Payload {
	if len(m.Payloads) == 0 || m.Payloads[0].Type != peer1.TypeHash || !bytes.Equal(m.Payloads[0].Body, want(m.Payloads[1:])) {
		sa.t.Fatalf("the hash in front is wrong or missing: %s", peer1.Describe(m))
	}
	return m.Payloads[1:]
}

// refused waits for an informational message with this error notify.
func (sa *ISAKMP) refused(kind uint16) peer1.Notify {
	ps := sa.told()
	n, ok := peer1.NotifyOf(ps, kind)
	if !ok {
		sa.t.Fatalf("want the notify %d: %s", kind, peer1.Describe(peer.Message{Payloads: ps}))
	}
	return n
}

// about returns a notify about this ISAKMP SA.
func (sa *ISAKMP) about(kind uint16, data ...byte) peer1.Notify {
	return peer1.Notify{DOI: peer1.DOI, Protocol: peer1.ProtoISAKMP, SPI: sa.Cookies(), Kind: kind, Data: data}
}

// goodbye is the deletion of this ISAKMP SA.
func (sa *ISAKMP) goodbye() peer.Payload {
	return peer1.Delete{DOI: peer1.DOI, Protocol: peer1.ProtoISAKMP, SPIs: [][]byte{sa.Cookies()}}.Payload()
}

// ruThere is the next R-U-THERE (RFC 3706 section 5.3).
func (sa *ISAKMP) ruThere() peer1.Notify {
	sa.seq++
	return sa.about(peer1.RUThere, binary.BigEndian.AppendUint32(nil, sa.seq)...)
}

// alive demands that the daemon acknowledges an R-U-THERE, and that nothing else has come before.
func (sa *ISAKMP) alive() {
	sa.tell(sa.ruThere().Payload())
	d, ok := sa.t.receive(patience, anyDatagram)
	if !ok {
		sa.t.Fatalf("the SA is dead: no answer within %v", patience)
	}
	if h, err := peer.Header(d.Bytes); err != nil || !sa.belongs(d) || h.Exchange != peer1.Informational || !peer1.Encrypted(h) {
		sa.t.Fatalf("an answer where none is due: %s", peer1.Describe(h))
	}
	sa.acknowledged(sa.unhashed(sa.open(d)))
}

// acknowledged demands the acknowledgement of our last R-U-THERE.
func (sa *ISAKMP) acknowledged(ps []peer.Payload) {
	n, ok := peer1.NotifyOf(ps, peer1.RUThereAck)
	if !ok || len(ps) != 1 || n.Protocol != peer1.ProtoISAKMP || !bytes.Equal(n.SPI, sa.Cookies()) || !bytes.Equal(n.Data, binary.BigEndian.AppendUint32(nil, sa.seq)) {
		sa.t.Fatalf("want the acknowledgement of %d: %s %+v", sa.seq, peer1.Describe(peer.Message{Payloads: ps}), n)
	}
}

// ignores demands that the daemon ignores octets: neither an answer nor a change, the SA goes on.
func (sa *ISAKMP) ignores(b []byte) {
	sa.t.send(sa.way, b)
	sa.alive()
}

// gone demands that the daemon no longer serves the SA.
func (sa *ISAKMP) gone() {
	sa.tell(sa.ruThere().Payload())
	if d, ok := sa.t.receive(silence, sa.belongs); ok {
		sa.t.Fatalf("the SA still lives: %v", sa.open(d))
	}
}

// anew encrypts a message as if it were the first of its exchange, which it may not be.
func (sa *ISAKMP) anew(m peer.Message) []byte {
	return sa.Seal(m, peer1.Oddities{IV: sa.FirstIV(m.ID), Keep: true})
}

// called1 waits for a first message of the daemon and returns our half of the SA with it.
func (t *T) called1() (*ISAKMP, peer.Message) {
	d, ok := t.receive(patience, func(d peer.Datagram) bool {
		m, err := peer.Header(d.Bytes)
		return err == nil && m.Version == peer1.Version && m.SPIr == 0 && (m.Exchange == peer1.MainMode || m.Exchange == peer1.Aggressive)
	})
	if !ok {
		t.Fatalf("the daemon does not call within %v", patience)
	}
	m, err := peer1.Decode(d.Bytes)
	t.must(err)
	t.form1(m)
	sa := &ISAKMP{SA: &peer1.SA{Suite: usual1, CookieI: m.SPIi, CookieR: peer.SPI64(), Nr: peer.Random(32), SAi: m.Body(peer1.TypeSA)},
		t: t, method: sharedKey, way: path{t.ports[d.Local], d.Remote}, id: peer1.ID{Kind: t.PeerID.Kind, Data: []byte(t.PeerID.Data)}, opened: map[string]bool{}}
	return sa, m
}

// choose picks the transform of our suite from the daemon's offer.
func (sa *ISAKMP) choose() peer1.Proposal {
	offer, err := peer1.ParseSA(sa.SAi)
	sa.t.must(err)
	want := sa.Suite.Transform(0)
	want.Attributes[3].Value = sa.method
	for _, p := range offer {
		for _, tr := range p.Transforms {
			if !slices.ContainsFunc(want.Attributes[:5], func(a peer1.Attribute) bool { got, ok := tr.Value(a.Class); return !ok || got != a.Number() }) {
				p.Transforms = []peer1.Transform{tr}
				return p
			}
		}
	}
	sa.t.Fatalf("the daemon does not offer our suite: %+v", offer)
	return peer1.Proposal{}
}

// welcome is our answer to a first message of main mode.
func (sa *ISAKMP) welcome() peer.Message {
	return sa.message(peer1.MainMode, 0, peer1.SAPayload(sa.choose()), peer1.NATVendor(), peer1.DPDVendor())
}

// answered sends a message of phase 1 in clear and returns the next one of the daemon in clear.
func (sa *ISAKMP) answered(m peer.Message) peer.Message {
	sa.t.send(sa.way, m.Encode())
	_, next := sa.t.clear1(sa.CookieI, sa.CookieR)
	return next
}

// swap takes the daemon's key exchange value and returns our answer with ours.
func (sa *ISAKMP) swap(m peer.Message) peer.Message {
	sa.half = peer.NewExchange(sa.Suite.Group)
	sa.GR, sa.Ni = sa.half.Public, m.Body(peer1.TypeNonce)
	sa.exchanged(m)
	return sa.message(peer1.MainMode, 0, sa.exchange()...)
}

// greeted1 orders the daemon to call, does the first four messages of main mode as the responder, and returns the daemon's fifth.
func (t *T) greeted1() (*ISAKMP, peer.Message) {
	t.order(Up)
	sa, _ := t.called1()
	reply := sa.swap(sa.answered(sa.welcome()))
	t.send(sa.way, reply.Encode())
	m := sa.phase1()
	sa.admitted(m)
	return sa, m
}

// mainByDaemon makes an ISAKMP SA as the responder.
func (t *T) mainByDaemon() *ISAKMP {
	sa, _ := t.greeted1()
	sa.push(sa.message(peer1.MainMode, 0, sa.identity()...))
	return sa
}

// up1ByDaemon makes an ISAKMP SA with a child as the responder.
func (t *T) up1ByDaemon() (*ISAKMP, *Quick) {
	sa := t.mainByDaemon()
	q := sa.offered()
	q.answer(q.grant()...)
	q.proved()
	t.counts(1, 1)
	return sa, q
}

// String names the SA in faults.
func (sa *ISAKMP) String() string {
	return fmt.Sprintf("ISAKMP SA %016x/%016x", sa.CookieI, sa.CookieR)
}
