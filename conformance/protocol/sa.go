package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// SA is one IKE SA of a case.
type SA struct {
	*peer.SA
	t    *T
	half *peer.Exchange // ours of the key exchange
	way  path
	id   Identity // who we say we are
	in   []byte   // the SPI that we chose for the child
	out  []byte   // the daemon's
	sent map[uint32][]byte
}

// usual is the suite of cases that do not care.
var usual = peer.Suite{Method: peer.X25519}

// newSA makes our half of an SA that we begin.
func (t *T) newSA(s peer.Suite) *SA {
	return &SA{SA: &peer.SA{Suite: s, Initiator: true, SPIi: peer.SPI64(), Ni: peer.Random(32)}, t: t, half: peer.NewExchange(s.Method),
		way: t.path(peer.PortIKE), id: t.PeerID, in: peer.SPI(), sent: map[uint32][]byte{}}
}

// hello is our IKE_SA_INIT request: SA, KE, Ni, and both NAT detection notifies, which tell the truth.
func (sa *SA) hello() peer.Message {
	return peer.Message{SPIi: sa.SPIi, Exchange: peer.IKESAInit, Flags: peer.FlagInitiator, Payloads: append([]peer.Payload{
		peer.SAPayload(sa.Suite.Proposal(1)),
		peer.KEPayload(sa.half.Method, sa.half.Public),
		peer.NoncePayload(sa.Ni),
	}, sa.natd(0)...)}
}

// natd is NAT detection as the addresses are.
func (sa *SA) natd(spir uint64) []peer.Payload {
	return []peer.Payload{
		peer.NotifyPayload(peer.NATDetectionSource, peer.NATHash(sa.SPIi, spir, sa.way.from.Addr())...),
		peer.NotifyPayload(peer.NATDetectionDestination, peer.NATHash(sa.SPIi, spir, sa.way.to)...),
	}
}

// greet sends an IKE_SA_INIT request and returns the answer. A daemon that has much to do may ask for a cookie at any time: it
// gets it.
func (sa *SA) greet(m peer.Message) peer.Message {
	answer := sa.greetOnce(m)
	if n, asked := answer.Notify(peer.Cookie); asked {
		answer = sa.greetOnce(withCookie(m, n.Data))
	}
	return answer
}

// greetOnce sends an IKE_SA_INIT request and returns the answer, whatever it is.
func (sa *SA) greetOnce(m peer.Message) peer.Message {
	sa.Init1 = m.Encode()
	sa.t.send(sa.way, sa.Init1)
	d, answer := sa.t.clear(sa.SPIi)
	sa.Init2 = d.Bytes
	sa.responds(d, answer, m)
	return answer
}

// responds demands that a message is the response to a request as far as the header tells, and took the way back.
func (sa *SA) responds(d peer.Datagram, answer, to peer.Message) {
	if answer.Flags != peer.FlagResponse|^to.Flags&peer.FlagInitiator || answer.Exchange != to.Exchange || answer.ID != to.ID {
		sa.t.Errorf("%v is no response to %v", answer, to)
	}
	if d.Local != sa.way.from.Addr() || d.Remote != sa.way.to {
		sa.t.Errorf("the response came from %v to %v, the request went from %v to %v", d.Remote, d.Local, sa.way.from.Addr(), sa.way.to)
	}
}

// agree takes an IKE_SA_INIT response that makes the SA: one proposal, one transform of each type, KE and nonce.
func (sa *SA) agree(m peer.Message) {
	t := sa.t
	t.kinds(m, peer.TypeSA, peer.TypeKE, peer.TypeNonce)
	if errs := m.Errors(); len(errs) > 0 {
		t.Fatalf("refused with %v", errs)
	}
	chosen, err := peer.ParseSA(m.Body(peer.TypeSA))
	t.must(err)
	if len(chosen) != 1 || len(chosen[0].SPI) != 0 || chosen[0].Protocol != peer.ProtoIKE {
		t.Fatalf("the answer has the proposals %+v", chosen)
	}
	secret, err := sa.half.Agree(m.Body(peer.TypeKE))
	t.must(err)
	sa.SPIr, sa.Nr = m.SPIr, m.Body(peer.TypeNonce)
	if sa.SPIr == 0 {
		t.Fatalf("the responder's SPI is zero")
	}
	sa.Own = 1
	sa.Agreed(secret)
}

// begin does IKE_SA_INIT as the initiator.
func (t *T) begin() *SA {
	sa := t.newSA(usual)
	sa.agree(sa.greet(sa.hello()))
	return sa
}

// proofs are IDi, IDr and AUTH of an IKE_AUTH request, with a true AUTH.
func (sa *SA) proofs() []peer.Payload {
	return []peer.Payload{
		{Type: peer.TypeIDi, Body: sa.id.Body()},
		{Type: peer.TypeIDr, Body: FQDN(DaemonID).Body()},
		peer.AuthPayload(2, sa.Proof(true, sa.t.Key, sa.id.Body())),
	}
}

// child is SA, TSi and TSr of a first child that we ask for.
func (sa *SA) child() []peer.Payload {
	return []peer.Payload{
		peer.SAPayload(peer.ESPProposal(1, sa.in, 0)),
		peer.TSPayload(peer.TypeTSi, peer.Net(sa.t.PeerTS)),
		peer.TSPayload(peer.TypeTSr, peer.Net(DaemonTS)),
	}
}

// claim is our whole IKE_AUTH request.
func (sa *SA) claim() peer.Message {
	return sa.Request(peer.IKEAuth, append(sa.proofs(), sa.child()...)...)
}

// admitted takes an IKE_AUTH response in which the daemon proves itself and makes the child.
func (sa *SA) admitted(m peer.Message) {
	sa.proven(m)
	sa.t.kinds(m, peer.TypeIDr, peer.TypeAuth, peer.TypeSA, peer.TypeTSi, peer.TypeTSr)
	sa.takeChild(m)
}

// takeChild remembers the daemon's SPI of a child.
func (sa *SA) takeChild(m peer.Message) {
	if errs := m.Errors(); len(errs) > 0 {
		sa.t.Fatalf("the child was refused with %v", errs)
	}
	chosen, err := peer.ParseSA(m.Body(peer.TypeSA))
	sa.t.must(err)
	if len(chosen) != 1 || len(chosen[0].SPI) != 4 || chosen[0].Protocol != peer.ProtoESP {
		sa.t.Fatalf("the answer has the proposals %+v", chosen)
	}
	sa.out = chosen[0].SPI
}

// proven demands that the daemon's identity and AUTH in a message are right.
func (sa *SA) proven(m peer.Message) {
	kind := uint8(peer.TypeIDr)
	if !sa.Initiator {
		kind = peer.TypeIDi
	}
	id, auth := m.Body(kind), m.Body(peer.TypeAuth)
	if !bytes.Equal(id, FQDN(DaemonID).Body()) {
		sa.t.Fatalf("the daemon calls itself %q: %v", id, m)
	}
	if want := append([]byte{2, 0, 0, 0}, sa.Proof(!sa.Initiator, sa.t.Key, id)...); !bytes.Equal(auth, want) {
		sa.t.Fatalf("AUTH is %x, want %x", auth, want)
	}
}

// up makes an IKE SA with a child as the initiator.
func (t *T) up() *SA {
	sa := t.begin()
	sa.admitted(sa.ask(sa.claim()))
	return sa
}

// seal protects a message; equal calls give different octets.
func (sa *SA) seal(m peer.Message) []byte { return sa.Seal(m, peer.Oddities{}) }

// push sends a message protected.
func (sa *SA) push(m peer.Message) {
	sa.t.note(">>", m)
	b := sa.seal(m)
	if !m.Response() {
		sa.sent[m.ID] = b
	}
	sa.t.send(sa.way, b)
}

// ask sends a request and returns the response.
func (sa *SA) ask(m peer.Message) peer.Message {
	sa.push(m)
	return sa.response(m)
}

// again repeats a request, octet for octet.
func (sa *SA) again(m peer.Message) { sa.t.send(sa.way, sa.sent[m.ID]) }

// inform asks with an INFORMATIONAL request.
func (sa *SA) inform(ps ...peer.Payload) peer.Message {
	return sa.ask(sa.Request(peer.Informational, ps...))
}

// response waits for the response to a request of ours.
func (sa *SA) response(to peer.Message) peer.Message {
	d, m := sa.wait(func(m peer.Message) bool { return m.Response() && m.ID == to.ID })
	sa.responds(d, m, to)
	return m
}

// request waits for the next request of the daemon, which is of an exchange.
func (sa *SA) request(exchange uint8) peer.Message {
	d, m := sa.wait(func(m peer.Message) bool { return !m.Response() && m.ID == sa.Theirs })
	if m.Exchange != exchange {
		sa.t.Fatalf("a request of exchange %d, want %d: %v", m.Exchange, exchange, m)
	}
	for p, port := range sa.t.ports {
		if p == d.Local {
			sa.way = path{port, d.Remote} // we answer where it came from
		}
	}
	sa.Theirs++
	return m
}

// answer answers a request of the daemon.
func (sa *SA) answer(to peer.Message, ps ...peer.Payload) { sa.push(sa.Reply(to, ps...)) }

// ours reports whether a datagram is of this SA.
func (sa *SA) ours(d peer.Datagram) bool {
	m, err := peer.Header(d.Bytes)
	return !d.ESP && err == nil && m.SPIi == sa.SPIi && m.SPIr == sa.SPIr
}

// wait waits for a protected message whose header a filter wants, in one piece or in fragments.
func (sa *SA) wait(want func(peer.Message) bool) (peer.Datagram, peer.Message) {
	var parts []peer.Sealed
	for {
		d, ok := sa.t.receive(patience, func(d peer.Datagram) bool {
			h, err := peer.Header(d.Bytes)
			return err == nil && sa.ours(d) && want(h)
		})
		if !ok {
			sa.t.Fatalf("what must come did not within %v; fragments: %d", patience, len(parts))
		}
		m, sealed := sa.open(d)
		if sealed.Fragment != 0 {
			if parts = append(parts, sealed); len(parts) < sealed.Total {
				continue
			}
			var err error
			m, err = peer.Reassemble(m, parts)
			sa.t.must(err)
		}
		sa.t.note("<<", m)
		sa.t.form(m)
		return d, m
	}
}

// open opens a protected message and judges its outside: flags, one Encrypted payload at the end, padding.
func (sa *SA) open(d peer.Datagram) (peer.Message, peer.Sealed) {
	m, sealed, err := sa.Open(d.Bytes)
	if errors.Is(err, peer.ErrChecksum) {
		sa.t.Fatalf("a message does not open with our keys: %v", m)
	}
	sa.t.must(err)
	if fromInitiator := m.Flags&peer.FlagInitiator != 0; fromInitiator == sa.Initiator {
		sa.t.Errorf("the initiator flag is wrong: %v", m)
	}
	if sealed.Flags != 0 {
		sa.t.Errorf("the Encrypted payload has the flags %#02x", sealed.Flags)
	}
	return m, sealed
}

// alive demands that the daemon answers an empty request, and that nothing else has come before.
func (sa *SA) alive() {
	m := sa.Request(peer.Informational)
	sa.push(m)
	d, ok := sa.t.receive(patience, anyDatagram)
	if !ok {
		sa.t.Fatalf("the SA is dead: no answer within %v", patience)
	}
	if h, err := peer.Header(d.Bytes); err != nil || !sa.ours(d) || !h.Response() || h.ID != m.ID {
		sa.t.Fatalf("an answer where none is due: %v", h)
	}
	answer, _ := sa.open(d)
	sa.responds(d, answer, m)
	if len(answer.Payloads) != 0 {
		sa.t.Errorf("the answer to an empty request is %v", answer)
	}
}

// ignores demands that the daemon ignores octets: neither an answer nor a change, the SA goes on.
func (sa *SA) ignores(b []byte) {
	sa.t.send(sa.way, b)
	sa.alive()
}

// gone demands that the daemon no longer serves the SA.
func (sa *SA) gone() {
	sa.push(sa.Request(peer.Informational))
	d, ok := sa.t.receive(silence, func(d peer.Datagram) bool { return sa.ours(d) && !slices.Equal(d.Bytes, nil) })
	if !ok {
		return
	}
	if m, err := peer.Decode(d.Bytes); err != nil || !slices.Equal(m.Errors(), []uint16{peer.InvalidIKESPI}) {
		sa.t.Fatalf("the SA still lives: %v", m)
	}
}

// called waits for an IKE_SA_INIT request of the daemon and returns our half of the SA with it.
func (t *T) called() (*SA, peer.Message) {
	d, ok := t.receive(patience, func(d peer.Datagram) bool {
		m, err := peer.Header(d.Bytes)
		return err == nil && m.Exchange == peer.IKESAInit && !m.Response()
	})
	if !ok {
		t.Fatalf("the daemon does not call within %v", patience)
	}
	m := t.decode(d)
	sa := &SA{SA: &peer.SA{Suite: usual, SPIi: m.SPIi, SPIr: peer.SPI64(), Ni: m.Body(peer.TypeNonce), Nr: peer.Random(32), Theirs: 1, Init1: d.Bytes},
		t: t, way: path{t.ports[d.Local], d.Remote}, id: t.PeerID, in: peer.SPI(), sent: map[uint32][]byte{}}
	if ke := m.Body(peer.TypeKE); len(ke) > 4 {
		sa.Suite.Method = binary.BigEndian.Uint16(ke)
	}
	return sa, m
}

// welcome is our IKE_SA_INIT response to a request that offers our usual suite.
func (sa *SA) welcome(to peer.Message) peer.Message {
	offer, err := peer.ParseSA(to.Body(peer.TypeSA))
	sa.t.must(err)
	want := sa.Suite.Proposal(0)
	i := slices.IndexFunc(offer, func(p peer.Proposal) bool {
		return !slices.ContainsFunc(want.Transforms, func(tr peer.Transform) bool { return !p.Has(tr) })
	})
	if i < 0 {
		sa.t.Fatalf("the daemon does not offer %+v: %+v", want.Transforms, offer)
	}
	sa.half = peer.NewExchange(sa.Suite.Method)
	return peer.Message{SPIi: sa.SPIi, SPIr: sa.SPIr, Exchange: peer.IKESAInit, Flags: peer.FlagResponse, Payloads: append([]peer.Payload{
		peer.SAPayload(sa.Suite.Proposal(offer[i].Number)),
		peer.KEPayload(sa.half.Method, sa.half.Public),
		peer.NoncePayload(sa.Nr),
	}, sa.natd(sa.SPIr)...)}
}

// accept sends an IKE_SA_INIT response and derives the keys.
func (sa *SA) accept(to, response peer.Message) {
	sa.Init2 = response.Encode()
	secret, err := sa.half.Agree(to.Body(peer.TypeKE))
	sa.t.must(err)
	sa.Agreed(secret)
	sa.t.send(sa.way, sa.Init2)
}

// greeted orders the daemon to call and does IKE_SA_INIT as the responder; it returns the daemon's IKE_AUTH request.
func (t *T) greeted() (*SA, peer.Message) {
	t.order(Up)
	sa, m := t.called()
	sa.accept(m, sa.welcome(m))
	auth := sa.request(peer.IKEAuth)
	sa.proven(auth)
	return sa, auth
}

// grant is our IKE_AUTH response that proves us.
func (sa *SA) grant() []peer.Payload {
	return []peer.Payload{
		{Type: peer.TypeIDr, Body: sa.id.Body()},
		peer.AuthPayload(2, sa.Proof(false, sa.t.Key, sa.id.Body())),
	}
}

// grantChild is our answer to the daemon's offer of a child: the first proposal, cut down to what we have, and all of its
// selectors.
func (sa *SA) grantChild(auth peer.Message) []peer.Payload {
	offer, err := peer.ParseSA(auth.Body(peer.TypeSA))
	sa.t.must(err)
	for _, p := range offer {
		want := peer.ESPProposal(p.Number, sa.in, 0)
		if slices.ContainsFunc(want.Transforms, func(tr peer.Transform) bool { return !p.Has(tr) }) {
			continue
		}
		sa.out = p.SPI
		return []peer.Payload{peer.SAPayload(want), {Type: peer.TypeTSi, Body: auth.Body(peer.TypeTSi)}, {Type: peer.TypeTSr, Body: auth.Body(peer.TypeTSr)}}
	}
	sa.t.Fatalf("the daemon does not offer what we have for the child: %+v", offer)
	return nil
}

// upByDaemon makes an IKE SA with a child as the responder.
func (t *T) upByDaemon() *SA {
	sa, auth := t.greeted()
	sa.answer(auth, append(sa.grant(), sa.grantChild(auth)...)...)
	t.counts(1, 1)
	return sa
}

// from is a way to the daemon from another port of ours.
func (t *T) from(port uint16, to uint16) path {
	a := netip.AddrPortFrom(t.Peer, port)
	if t.ports[a] == nil {
		t.listen(a)
	}
	return path{t.ports[a], netip.AddrPortFrom(t.far, to)}
}

// String names the SA in faults.
func (sa *SA) String() string { return fmt.Sprintf("IKE SA %016x/%016x", sa.SPIi, sa.SPIr) }
