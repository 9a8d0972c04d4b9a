package ikev2

import (
	"encoding/binary"
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// createR is a CREATE_CHILD_SA exchange of the peer that makes a child, perhaps in place of another (RFC 7296 sections 1.3.1 and
// 1.3.3), while plugins are at work. Fields are set by replies; step says what is due.
type createR struct {
	s      *SA
	old    *child // to be replaced, nil for none
	then   func() // what waits for the end, nil for nothing
	packet packet
	reply  []wire2.Payload // CP(CFG_REPLY), nothing without a request (RFC7296-2.19-5)
	offer  offer
	agreed *agreement
	public []byte // ours, of the key exchange
	shared secret.Bytes
}

// answerCreateChild makes a child for the peer, or replaces one.
func (s *SA) answerCreateChild(p packet) {
	x := &createR{s: s, packet: p, offer: s.childOffer(p)}
	n, rekeys := wire2.GetNotify(p.Payloads, wire2.RekeySA)
	if rekeys {
		x.old = s.toRekey(n)
	}
	switch {
	case rekeys && !namesChild(n):
		s.refuse("a REKEY_SA notify has no SPI of a child SA", wire2.InvalidSyntax)
	case s.state != Established || s.rekeying != nil || s.servingIKE != nil:
		s.respond(wire2.Notify{Kind: wire2.TemporaryFailure}) // RFC 7296 section 2.25.2
	case rekeys && x.old == nil && s.create != nil:
		s.respond(wire2.Notify{Kind: wire2.TemporaryFailure}) // it may be the child of our own exchange, whose response is on its way
	case rekeys && x.old == nil:
		s.respond(wire2.Notify{Kind: wire2.ChildSANotFound, Protocol: n.Protocol, SPI: n.SPI}) // section 2.25
	case x.old != nil && s.endsOrReplaces(x.old):
		s.respond(wire2.Notify{Kind: wire2.TemporaryFailure}) // section 2.25.1
	case len(s.children) >= s.maxChildren(rekeys):
		x.refuse(failure{cause: event.CauseUnsupported, notify: wire2.NoAdditionalSAs, by: byUs,
			reason: fmt.Sprintf("the IKE SA has %s already, as many as max_children of connection %q permits", plural(len(s.children), "child SA"), s.conn.Name)})
	default:
		x.address()
	}
}

// namesChild reports whether a notify is about a child SA (RFC 7296 section 3.10).
func namesChild(n wire2.Notify) bool {
	return len(n.SPI) == espSPISize && (n.Protocol == wire2.ProtoESP || n.Protocol == wire2.ProtoAH)
}

// endsOrReplaces reports whether a child is being closed: by our Delete, or because one of the sides has replaced it already. An
// exchange of ours to replace it that the peer does not know of yet is given up, since the peer's will do.
func (s *SA) endsOrReplaces(c *child) bool {
	x := s.create
	switch {
	case c.deleting || c.heir != nil:
		return true
	case x == nil || x.old != c:
		return false
	case !x.sent:
		x.end()
	}
	return x.answered
}

// maxChildren bounds what a peer can make us install; each child may be there twice while it is replaced.
func (s *SA) maxChildren(rekeys bool) int {
	if rekeys {
		return 2 * s.conn.MaxChildren
	}
	return s.conn.MaxChildren
}

// choose settles what the child is to be, and asks for a better key exchange value if need be (RFC 7296 section 1.3).
func (x *createR) choose() {
	s := x.s
	children := s.conn.Children
	if x.old != nil {
		children = []*policy.Child{x.old.conf}
	}
	agreed := x.offer.pick(children)
	if agreed == nil {
		x.refuse(*s.unpicked(x.offer, children))
		return
	}
	if x.old != nil && !agreed.keeps(x.old) {
		x.refuse(failure{cause: event.CauseNoSelectors, notify: wire2.TSUnacceptable, by: byUs,
			reason: fmt.Sprintf("the peer's traffic selectors are narrower than child %q, which they are to replace", x.old.sa.Name)})
		return
	}
	x.agreed = agreed
	if wanted := agreed.choice.Suite.KE; wanted != 0 && uint16(wanted) != x.offer.method {
		s.emit(event.InvalidKE{Sent: suite.KEID(x.offer.method).String(), Wanted: wanted.String(), By: byUs})
		s.respond(wire2.Notify{Kind: wire2.InvalidKEPayload, Data: binary.BigEndian.AppendUint16(nil, uint16(wanted))})
		return
	}
	x.begin()
}

// begin gets an SPI and, if one was agreed on, does the key exchange.
func (x *createR) begin() {
	s := x.s
	s.serving = x
	s.reserve(x.agreed.conf.Backend, x.reserved)
	if method := x.agreed.choice.Suite.KE; method != 0 {
		ke, _ := wire2.Get[wire2.KE](x.packet.Payloads)
		ask(s, machine.KERespond{Method: ke.Method, Peer: ke.Data}, 0, x.exchanged)
	}
}

func (x *createR) reserved(spi uint32, err *machine.CallError) {
	if x.agreed.spi = spi; err != nil {
		x.refuse(noSPI(err))
		return
	}
	x.step()
}

func (x *createR) exchanged(r machine.KEResponded, err *machine.CallError) {
	if x.public, x.shared = r.Public, r.Secret; err != nil {
		f := keFailure(x.agreed.choice.Suite.KE, err)
		f.notify = wire2.NoProposalChosen // time does not mend it
		if err.Kind.Retryable() {
			f.notify = wire2.TemporaryFailure
		}
		x.refuse(f)
		return
	}
	x.step()
}

// step installs the child when all is there.
func (x *createR) step() {
	s, a := x.s, x.agreed
	switch {
	case s.serving != x: // it has ended
		x.drop()
		return
	case a.spi == 0 || a.choice.Suite.KE != 0 && x.public == nil:
		return
	case s.state != Established:
		x.refuse(failure{notify: wire2.TemporaryFailure})
		return
	}
	nonce, _ := wire2.Get[wire2.Nonce](x.packet.Payloads)
	a.ni, a.nr, a.shared = nonce.Data, s.nonce(), x.shared
	if x.old != nil {
		a.reqID = x.old.sa.ReqID
	}
	c, err := s.newChild(*a)
	if err != nil {
		x.refuse(*keysFailure(err))
		return
	}
	s.tellNarrowed(c, x.offer.local, x.offer.remote)
	if x.old != nil {
		s.hold(c)
	}
	s.install(c, func(err *machine.CallError) { x.installed(c, err) })
}

// installed answers: SA, Nr, [KEr], TSi, TSr.
func (x *createR) installed(c *child, err *machine.CallError) {
	s, a := x.s, x.agreed
	if f := s.childInstalled(c, err); f != nil {
		x.refuse(*f)
		return
	}
	s.serving = nil
	ours := []wire2.Payload{wire2.Nonce{Data: a.nr}}
	if a.choice.Suite.KE != 0 {
		ours = append(ours, wire2.KE{Method: uint16(a.choice.Suite.KE), Data: x.public})
	}
	s.respond(append(x.reply, a.answer(ours...)...)...) // CP before SA (RFC7296-2.19-2)
	switch {
	case s.state >= Closing: // the response could not be sent
	case x.old != nil:
		x.old.heir = &heir{c, lower(a.ni, a.nr)}
		x.old.endAt = c.useAt
		s.announceRekeyed(c, x.old, byPeer)
	default:
		s.announce(c)
	}
	x.end()
}

// end lets go on what has waited.
func (x *createR) end() {
	if x.then != nil {
		x.then()
	}
}

// refuse answers with an error notify and forgets the exchange. The IKE SA stays.
func (x *createR) refuse(f failure) {
	s := x.s
	if x.agreed != nil && s.serving != x { // it was refused before
		x.drop()
		return
	}
	s.serving = nil
	x.drop()
	s.respond(wire2.Notify{Kind: f.notify})
	if f.reason != "" {
		s.childFailed(x.childName(), f)
	}
	x.end()
}

// drop gives back what the exchange holds.
func (x *createR) drop() {
	x.shared.Wipe()
	if x.agreed != nil {
		x.s.calls.Free(x.agreed.spi)
	}
}

func (x *createR) childName() string {
	if x.agreed == nil {
		return ""
	}
	return x.agreed.conf.Name
}
