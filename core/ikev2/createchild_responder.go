package ikev2

import (
	"encoding/binary"
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// createR is a CREATE_CHILD_SA exchange of the peer that makes a child (RFC 7296 section 1.3.1) while plugins are at work.
// Fields are set by replies; step says what is due.
type createR struct {
	s      *SA
	packet packet
	offer  offer
	agreed *agreement
	public []byte // ours, of the key exchange
	shared secret.Bytes
}

// answerCreateChild makes a child for the peer.
func (s *SA) answerCreateChild(p packet) {
	x := &createR{s: s, packet: p, offer: s.childOffer(p)}
	_, rekeys := wire2.GetNotify(p.Payloads, wire2.RekeySA)
	switch {
	case s.state != Established:
		s.respond(wire2.Notify{Kind: wire2.TemporaryFailure}) // RFC 7296 section 2.25.2
	case len(s.children) >= s.conn.MaxChildren || rekeys:
		x.refuse(failure{cause: event.CauseUnsupported, notify: wire2.NoAdditionalSAs, by: byUs,
			reason: fmt.Sprintf("the IKE SA has %s already, as many as max_children of connection %q permits", plural(len(s.children), "child SA"), s.conn.Name)})
	default:
		x.choose()
	}
}

// choose settles what the child is to be, and asks for a better key exchange value if need be (RFC 7296 section 1.3).
func (x *createR) choose() {
	s := x.s
	x.agreed = x.offer.pick(s.conn.Children)
	if x.agreed == nil {
		x.refuse(*s.unpicked(x.offer, s.conn.Children))
		return
	}
	if wanted := x.agreed.choice.Suite.KE; wanted != 0 && uint16(wanted) != x.offer.method {
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
	c, err := s.newChild(*a)
	if err != nil {
		x.refuse(*keysFailure(err))
		return
	}
	s.tellNarrowed(c, x.offer.local, x.offer.remote)
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
	s.respond(a.answer(ours...)...)
	if s.state < Closing { // else the response could not be sent
		s.announce(c)
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
}

// drop gives back what the exchange holds.
func (x *createR) drop() {
	x.shared.Wipe()
	if x.agreed != nil {
		x.s.free(x.agreed.spi)
	}
}

func (x *createR) childName() string {
	if x.agreed == nil {
		return ""
	}
	return x.agreed.conf.Name
}

// answerRekeyIKE refuses to rekey the IKE SA.
func (s *SA) answerRekeyIKE(packet) {
	if s.state != Established {
		s.respond(wire2.Notify{Kind: wire2.TemporaryFailure})
		return
	}
	s.respond(wire2.Notify{Kind: wire2.NoAdditionalSAs})
}
