package protocol

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

// Main mode (RFC 2409 sections 5 and 5.4, RFC 2408 sections 4.2 and 5), with the daemon as responder and as initiator.
var v1MainCases = []Case{
	{IDs: ids("RFC2409-5-1", "RFC2409-5-3", "RFC2409-5-5", "RFC2409-3.2-2", "RFC2408-1.6.2-1", "RFC2408-1.5.3-1", "RFC2408-4.5-1", "RFC2409-4-5", "RFC2409-4-6", "RFC2409-5.5-1",
		"RFC2409-B-3", "RFC2408-4.1.1-2", "RFC2408-3.1-4", "RFC2407-4.2.1-1", "RFC2407-4.4.1.1-1", "RFC2407-4.4.2.1-1", "RFC2408-5.11-1", "RFC2409-4-11"),
		Title: "Main mode and quick mode, nine messages, make an ISAKMP SA and a child; encryption begins with the fifth.", Run: nineMessages},
	{IDs: ids("RFC2409-5-1", "RFC2409-5-3", "RFC2408-4.2-3", "RFC2409-5.5-2", "RFC2409-5.5-4", "RFC2409-4-1", "RFC2409-4-2"),
		Title: "Called by the daemon, nine messages make an ISAKMP SA and a child.", Run: nineMessagesOfDaemon},
	{IDs: ids("RFC2409-3.2-1", "RFC2409-7.1-1", "RFC2408-4.1.1-1", "RFC2408-4.2-4", "RFC2408-4.2-5", "RFC2408-4.2-6", "RFC2409-5-12"),
		Title: "Of many transforms one comes back, unchanged, with its number and the proposal's.", Run: oneOfMany},
	{IDs: ids("RFC2409-5-12"), Title: "Attributes that are encoded otherwise than the daemon would are taken, and come back with their values.", Run: encodedOtherwise},
	{IDs: ids("RFC2408-4.2-4", "RFC2408-5.4-2", "RFC2408-5.6-3", "RFC2409-4-8"),
		Title: "Unacceptable phase 1 offers get nothing but NO-PROPOSAL-CHOSEN in clear, and no SA.", Run: unacceptableOffers},
	{IDs: ids("RFC2408-1.5.3-1", "RFC2408-5.11-2", "RFC2409-5-1"), Title: "A wrong HASH_I makes no SA.", Run: wrongHash},
	{IDs: ids("RFC2409-5-13", "RFC2408-4.2-7"), Title: "An answer that is not what the daemon offered makes no SA.", Run: answersNotOffered},
	{IDs: ids("RFC2408-1.5.3-1", "RFC2408-5.11-2", "RFC2408-5.14-3", "RFC2408-4.8-1"), Title: "A responder that proves itself wrongly is not believed, and told so under the keys.", Run: wrongHashOfResponder},
	{IDs: ids("RFC2409-5-10", "RFC2409-5-11", "RFC2408-4.2-2", "RFC2408-4.2-3", "RFC2408-3.4-1", "RFC2408-3.4-2", "RFC2408-3.5-1", "RFC2408-3.6-1", "RFC2408-3.6-2", "RFC2408-5.4-1", "RFC2408-5.5-1",
		"RFC2408-5.6-1", "RFC2409-A-1", "RFC2409-A-2", "RFC2409-A-3", "RFC2409-4-5", "RFC2409-4-7", "RFC2409-4-8", "RFC2409-5-6", "RFC2408-4.1-1", "RFC2408-1.4.2-1", "RFC2407-4.6.1-1"),
		Title: "The daemon's phase 1 offer is one proposal of numbered transforms, each with cipher, hash, method, group and lifetime.", Run: offer1},
	{IDs: ids("RFC2408-2.5.3-2", "RFC2408-4.3-1", "RFC2408-2.4-2", "RFC2408-5.13-1"), Title: "Cookies and nonces of the daemon are fresh in each SA, in both roles.", Run: freshCookies},
}

func nineMessages(t *T) {
	sa, _ := t.up1()
	sa.alive()
}

func nineMessagesOfDaemon(t *T) {
	sa, q := t.up1ByDaemon()
	if want := []peer.Payload{peer1.Subnet(DaemonTS).Payload(), peer1.Subnet(t.PeerTS).Payload()}; !slices.EqualFunc(q.ids, want, func(a, b peer.Payload) bool { return bytes.Equal(a.Body, b.Body) }) {
		t.Errorf("IDci and IDcr are %x", q.ids)
	}
	sa.alive()
}

func oneOfMany(t *T) {
	sa := t.newISAKMP(usual1)
	var list []peer1.Transform
	for n, group := range []uint16{1, 2, 5, 22, peer.X25519, 200} {
		tr := peer1.Suite{Group: group}.Transform(uint8(7 + 10*n))
		other := tr
		other.Number, other.Attributes = other.Number+1, slices.Clone(tr.Attributes)
		other.Attributes[0].Value = 5 // 3DES
		list = append(list, other, tr)
	}
	sa.ours.Number, sa.ours.Transforms = 9, list
	sa.meets() // accepted demands the rest
	sa.enters()
}

// long encodes a basic attribute as a variable one, in as few octets as it takes or more.
func long(a peer1.Attribute, octets int) peer1.Attribute {
	b := binary.BigEndian.AppendUint64(nil, a.Number())
	return peer1.Attribute{Class: a.Class, Data: b[8-octets:]}
}

func encodedOtherwise(t *T) {
	sa := t.newISAKMP(usual1)
	as := sa.ours.Transforms[0].Attributes
	as[len(as)-1] = long(as[len(as)-1], 3)
	as[0], as[4] = as[4], as[0]
	sa.meets()
	sa.enters()
	t.counts(1, 0)
}

func unacceptableOffers(t *T) {
	set := func(class uint16, value uint16) func(*peer1.Proposal) {
		return func(p *peer1.Proposal) {
			for i, a := range p.Transforms[0].Attributes {
				if a.Class == class {
					p.Transforms[0].Attributes[i] = peer1.Attribute{Class: class, Value: value}
					return
				}
			}
			p.Transforms[0].Attributes = append(p.Transforms[0].Attributes, peer1.Attribute{Class: class, Value: value})
		}
	}
	for _, change := range []func(*peer1.Proposal){
		set(peer1.Encryption, 1), set(peer1.Encryption, 9999), set(peer1.Hash, 1), set(peer1.AuthMethod, 3), set(peer1.AuthMethod, 64000), set(peer1.Group, 2),
		set(peer1.KeyLength, 100), set(peer1.GroupPrime, 23), set(99, 1), set(peer1.LifeDuration, 0), set(peer1.LifeType, 3),
		func(p *peer1.Proposal) { p.Protocol = peer1.ProtoESP; p.SPI = peer.SPI() },
		func(p *peer1.Proposal) { p.Transforms[0].ID = 77 },
		func(p *peer1.Proposal) { p.Transforms[0].Attributes = p.Transforms[0].Attributes[1:] },
		func(p *peer1.Proposal) { p.Transforms[0].Attributes = nil },
	} {
		sa := t.newISAKMP(usual1)
		change(&sa.ours)
		sa.declined(sa.bid(sa.propose()))
	}
	t.counts(0, 0)
}

// declined demands a message that refuses our offer in clear.
func (sa *ISAKMP) declined(m peer.Message) {
	n, ok := peer1.NotifyOf(m.Payloads, peer1.NoProposalChosen)
	if m.Exchange != peer1.Informational || len(m.Payloads) != 1 || !ok || n.Protocol != peer1.ProtoISAKMP {
		sa.t.Fatalf("want NO-PROPOSAL-CHOSEN alone: %s", peer1.Describe(m))
	}
}

func wrongHash(t *T) {
	for _, change := range []func([]byte) []byte{
		func(b []byte) []byte { b[31] ^= 1; return b },
		func(b []byte) []byte { return b[:31] },
		func([]byte) []byte { return nil },
		func(b []byte) []byte { return append(b, 0) },
	} {
		sa := t.met()
		ps := sa.identity()
		ps[1].Body = change(ps[1].Body)
		sa.push(sa.message(peer1.MainMode, 0, ps...))
		sa.turnedAway()
	}
	sa := t.met()
	sa.Initiator = false // the proof of the other side
	ps := sa.identity()
	sa.Initiator = true
	sa.push(sa.message(peer1.MainMode, 0, ps...))
	sa.turnedAway()
	t.counts(0, 0)
}

// turnedAway demands that the daemon ends phase 1: it says why under the keys, or nothing, and does not prove itself.
func (sa *ISAKMP) turnedAway() {
	d, ok := sa.t.receive(silence, sa.belongs)
	if !ok {
		return
	}
	m := sa.open(d)
	if m.Exchange != peer1.Informational {
		sa.t.Fatalf("the daemon goes on: %s", peer1.Describe(m))
	}
	for _, p := range sa.unhashed(m) {
		if n, err := peer1.ParseNotify(p.Body); p.Type != peer1.TypeNotify || err != nil || n.Kind >= peer1.Connected {
			sa.t.Fatalf("it is told %s", peer1.Describe(m))
		}
	}
}

func answersNotOffered(t *T) {
	for _, change := range []func(*peer1.Proposal){
		func(p *peer1.Proposal) { p.Transforms[0].Attributes[0].Value = 5 },
		func(p *peer1.Proposal) { p.Transforms[0].Attributes = p.Transforms[0].Attributes[:5] },
		func(p *peer1.Proposal) {
			p.Transforms[0].Attributes = append(p.Transforms[0].Attributes, peer1.Life(peer1.LifeType, peer1.LifeDuration, peer1.Kilobytes, 1000)...)
		},
		func(p *peer1.Proposal) {
			as := p.Transforms[0].Attributes
			as[len(as)-1] = peer1.Attribute{Class: peer1.LifeDuration, Value: 60}
		},
		func(p *peer1.Proposal) { p.Transforms = append(p.Transforms, p.Transforms[0]) },
		func(p *peer1.Proposal) { p.Protocol, p.SPI = peer1.ProtoESP, peer.SPI() },
	} {
		t.order(Up)
		sa, _ := t.called1()
		p := sa.choose()
		p.Transforms[0].Attributes = slices.Clone(p.Transforms[0].Attributes)
		change(&p)
		t.send(sa.way, sa.message(peer1.MainMode, 0, peer1.SAPayload(p), peer1.NATVendor()).Encode())
		if d, ok := t.receive(silence, sa.belongs); ok {
			m, err := peer1.Decode(d.Bytes)
			if t.must(err); m.Exchange != peer1.Informational {
				t.Fatalf("the daemon goes on with %+v: %s", p, peer1.Describe(m))
			}
		}
		t.order(Down)
		t.forget()
	}
	t.counts(0, 0)
}

func wrongHashOfResponder(t *T) {
	sa, _ := t.greeted1()
	ps := sa.identity()
	ps[1].Body[0] ^= 1
	sa.push(sa.message(peer1.MainMode, 0, ps...))
	sa.refused(peer1.AuthenticationFailed)
	t.counts(0, 0)
}

func offer1(t *T) {
	t.order(Up)
	_, m := t.called1()
	if m.Payloads[0].Type != peer1.TypeSA || len(peer1.All(m.Payloads, peer1.TypeSA)) != 1 || m.SPIr != 0 {
		t.Errorf("the first message is %s", peer1.Describe(m))
	}
	list, err := peer1.ParseSA(m.Body(peer1.TypeSA)) // it demands the lengths, and zero in what is reserved
	t.must(err)
	if len(list) != 1 || list[0].Number != 1 || list[0].Protocol != peer1.ProtoISAKMP {
		t.Fatalf("want one proposal: %+v", list)
	}
	for i, tr := range list[0].Transforms {
		if int(tr.Number) != i+1 || tr.ID != 1 {
			t.Errorf("transform %d has number %d and ID %d", i, tr.Number, tr.ID)
		}
		t.spelledOut(tr)
	}
}

// spelledOut demands that a transform of phase 1 has what RFC 2409 section 4 and appendix A want: each class once, the basic ones short.
func (t *T) spelledOut(tr peer1.Transform) {
	seen := map[uint16]int{}
	for _, a := range tr.Attributes {
		seen[a.Class]++
		if a.Data != nil && a.Class != peer1.LifeDuration {
			t.Errorf("transform %d: attribute %d is variable", tr.Number, a.Class)
		}
	}
	for _, class := range []uint16{peer1.Encryption, peer1.Hash, peer1.AuthMethod, peer1.Group, peer1.LifeType, peer1.LifeDuration} {
		if seen[class] != 1 {
			t.Errorf("transform %d has attribute %d %d times", tr.Number, class, seen[class])
		}
	}
	bits, there := tr.Value(peer1.KeyLength)
	if cipher, _ := tr.Value(peer1.Encryption); (cipher == 7) != there || there && bits != 128 && bits != 192 && bits != 256 {
		t.Errorf("transform %d: cipher %d with a key of %d bits (%v)", tr.Number, cipher, bits, there)
	}
	if seen[peer1.GroupType]+seen[peer1.GroupPrime] > 0 {
		t.Errorf("transform %d describes its group twice", tr.Number)
	}
}

func freshCookies(t *T) {
	cookies, nonces := map[uint64]bool{}, map[string]bool{}
	fresh := func(cookie uint64, nonce []byte) {
		if cookies[cookie] || nonces[string(nonce)] || cookie == 0 {
			t.Errorf("cookie %x or nonce %x comes again", cookie, nonce)
		}
		cookies[cookie], nonces[string(nonce)] = true, true
	}
	for range 3 {
		sa := t.main()
		fresh(sa.CookieR, sa.Nr)
		sa.tell(sa.goodbye())
		t.counts(0, 0)
		t.order(Up)
		called, _ := t.called1()
		m := called.answered(called.welcome())
		fresh(called.CookieI, m.Body(peer1.TypeNonce))
		t.order(Down)
		t.forget()
	}
}
