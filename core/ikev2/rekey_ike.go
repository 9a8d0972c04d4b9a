package ikev2

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// This file is the exchange of ours that replaces the IKE SA (RFC 7296 sections 1.3.2 and 2.18); rekey_ike_responder.go is that
// of the peer, and successor.go what both lead to.

// rekeyI is our CREATE_CHILD_SA exchange that replaces the IKE SA. While it is at work we begin no other, and the peer may not
// make or replace children (section 2.25.2).
type rekeyI struct {
	task
	s        *SA
	spi      uint64 // ours, of the new SA
	offer    wire2.SA
	ni       []byte
	share    keyShare
	sent     bool // the peer has been asked
	answered bool // and has answered
	parted   bool // and deleted the old SA, before we had made the new one
}

// beginRekeyIKE makes an SPI and a public value.
func (s *SA) beginRekeyIKE(t task) {
	x := &rekeyI{task: t, s: s, spi: s.newSPI()}
	s.rekeying = x
	x.exchangeKeys(s.firstMethod(s.conn.IKE))
}

// newSPI draws the SPI of a new IKE SA, never zero (RFC 7296 section 3.1).
func (s *SA) newSPI() uint64 {
	return max(binary.BigEndian.Uint64(s.random(8)), 1)
}

func (x *rekeyI) exchangeKeys(method uint16) {
	x.share.initiate(x.s, method, func(err *machine.CallError) {
		if err != nil {
			x.later()
			return
		}
		x.step()
	})
}

// step sends the request, SA, Ni, KEi, when nothing else of ours is out: the window of the old SA must be empty when it is left.
func (x *rekeyI) step() {
	s := x.s
	if s.rekeying != x || x.sent || !x.share.ready() || !s.own.idle() || s.state != Established {
		return
	}
	x.sent, x.answered, x.ni = true, false, s.nonce()
	x.offer = wire2.SA{}
	for i, p := range s.conn.IKE {
		x.offer.Proposals = append(x.offer.Proposals, p.Wire(uint8(i+1), wire2.ProtoIKE, ikeSPI(x.spi)))
	}
	ps := append([]wire2.Payload{x.offer, wire2.Nonce{Data: x.ni}}, x.share.payloads()...)
	s.request(request{exch: wire2.CreateChildSA, payloads: ps, answered: x.response, alone: true})
}

func ikeSPI(spi uint64) []byte { return binary.BigEndian.AppendUint64(nil, spi) }

// response takes the response. While we are at work on the same request of the peer, it waits: only then can the nonces be
// compared.
func (x *rekeyI) response(p packet) {
	s := x.s
	x.answered = true
	if s.servingIKE != nil {
		s.servingIKE.then = func() { x.response(p) }
		return
	}
	_, made := wire2.Get[wire2.SA](p.Payloads)
	n, _ := firstError(p.Payloads)
	switch {
	case s.state != Established && s.state != Deleting:
		x.end()
	case made: // also when the SA is about to end: the peer has the new one
		x.accept(p)
	case s.rival != nil: // the peer has replaced the SA itself, and did not notice us (RFC 7296 section 2.8.2)
		s.yield()
	case s.state == Deleting:
		x.end()
	case n.Kind == wire2.TemporaryFailure:
		x.end()
		s.putOff(x.task)
	case n.Kind == wire2.InvalidKEPayload && x.repeatWithMethod(n.Data):
	default:
		if n.Kind == wire2.NoProposalChosen {
			offered := proposalStrings(s.conn.IKE)
			s.emit(event.ProposalMismatch{Scope: scopeIKE, By: byPeer, Offered: offered, Configured: offered})
		}
		x.later()
		s.insteadOf(n.Kind)
	}
	s.stopNow()
}

// insteadOf begins anew with a peer that does not rekey, if that is for us to do: the same children in an IKE SA that is made from
// the beginning (RFC 7296 sections 2.8 and 4).
func (s *SA) insteadOf(refusal wire2.NotifyType) {
	if refusal == wire2.NoAdditionalSAs && s.session.began {
		s.renew()
	}
}

// repeatWithMethod asks again with the method that the peer wants, if we offered it (RFC 7296 section 1.3).
func (x *rekeyI) repeatWithMethod(data []byte) bool {
	wanted, ok := x.share.wanted(x.s, data, x.s.conn.IKE)
	if !ok {
		return false
	}
	x.sent = false
	x.exchangeKeys(wanted)
	return true
}

// accept takes a response that makes an SA. One that makes no sense ends the old SA as well: the peer believes in the new one.
func (x *rekeyI) accept(p packet) {
	s := x.s
	answer, _ := wire2.Get[wire2.SA](p.Payloads)
	nonce, _ := wire2.Get[wire2.Nonce](p.Payloads)
	choice, err := policy.Accept(policy.ScopeIKE, x.offer, answer)
	switch {
	case err != nil:
		x.broken("the peer's answer to the rekeying of the IKE SA is not what we offered: " + err.Error())
		return
	case zeroSPI(choice.PeerSPI):
		x.broken("the peer's answer to the rekeying of the IKE SA has no SPI")
		return
	}
	x.share.finish(s, choice.Suite.KE, p, func(shared secret.Bytes, f *failure) {
		switch {
		case f != nil && x.redundant(nonce.Data): // the peer's own stays
			s.yield()
		case f != nil && x.parted: // nobody is left whom to tell
			x.end()
		case f != nil:
			x.broken(f.reason)
		default:
			x.finish(birth{initiator: true, own: x.spi, peer: binary.BigEndian.Uint64(choice.PeerSPI), suite: choice.Suite, ni: x.ni, nr: nonce.Data}, shared)
		}
		if x.parted {
			s.endedByPeer()
		}
	})
}

// part notes that the peer has deleted the old SA after it answered us, and reports whether our exchange goes on nevertheless: it
// has made an SA, which takes the place of the old one, or is redundant and for us to delete (RFC 7296 section 2.8.2).
func (x *rekeyI) part() bool {
	x.parted = x.sent && x.answered
	return x.parted
}

// leave ends the old SA, which the peer may have done already.
func (x *rekeyI) leave() {
	if x.parted {
		x.s.awaitDelete(replacedReason)
		return
	}
	x.s.leave()
}

// zeroSPI reports whether an SPI cannot be that of an IKE SA (RFC 7296 sections 3.1 and 3.3.1).
func zeroSPI(spi []byte) bool { return len(spi) != 8 || binary.BigEndian.Uint64(spi) == 0 }

// finish makes the new SA and, when the peer has made one as well, compares the nonces: the SA with the lowest of the four is
// redundant and deleted by whoever began its exchange; the other one inherits the children (RFC 7296 section 2.8.2).
func (x *rekeyI) finish(b birth, shared secret.Bytes) {
	s := x.s
	n, err := s.successor(b, shared)
	if err != nil {
		x.broken("the keys of the new IKE SA could not be derived: " + err.Error())
		return
	}
	x.end()
	switch {
	case s.rival == nil:
		s.handOver(n, byUs)
		x.leave()
	case x.redundant(b.nr):
		s.emit(event.IKERekeyCollision{Kept: s.rival.uid, By: byPeer})
		s.spare(n)
		s.decide(*s.bequest(byPeer))
		s.awaitDelete(replacedReason)
	default:
		s.emit(event.IKERekeyCollision{Kept: n.uid, By: byUs})
		s.decide(origin{task: awaitEnd, prev: s.uid})
		s.handOver(n, byUs)
		x.leave()
	}
}

// moving reports whether another SA is about to take the place of this one: a plugin is at work on that, of which the peer has
// been told, or waits for. No request of ours begins on the old SA then; what it asks is the new one's affair (RFC 7296 section
// 2.25.2).
func (s *SA) moving() bool {
	return s.servingIKE != nil || s.rekeying != nil && s.rekeying.sent && s.rekeying.answered
}

// redundant reports whether the peer has made an SA as well, and ours has the lowest of the four nonces (RFC 7296 section 2.8.2).
func (x *rekeyI) redundant(nr []byte) bool {
	return x.s.rival != nil && bytes.Compare(lower(x.ni, nr), x.s.rival.low) < 0
}

// later ends the exchange, and tries again after a while.
func (x *rekeyI) later() {
	if x.s.rekeying == x {
		x.end()
		x.s.again(&x.s.life)
	}
}

// broken ends the SA with its children: the peer may have moved these to a new SA that we do not have.
func (x *rekeyI) broken(reason string) {
	x.end()
	x.s.deleteIKE(byError, reason)
}

func (x *rekeyI) end() {
	x.share.wipe()
	if x.s.rekeying == x {
		x.s.rekeying = nil
	}
}

// mayRekeyIKE reports whether we have nothing else at work, so that the IKE SA can be replaced.
func (s *SA) mayRekeyIKE() bool { return s.own.idle() && !s.hasOpenWork() }

// hasOpenWork reports whether children are being made, replaced or closed (RFC 7296 section 2.25.1).
func (s *SA) hasOpenWork() bool {
	return s.create != nil || s.serving != nil || s.calls.Reserved() > 0 || slices.ContainsFunc(s.children, func(c *child) bool {
		return c.deleting && !c.removing && c.leaveAt.IsZero()
	})
}

// rekeyIKE has the IKE SA replaced, unless that is on its way.
func (s *SA) rekeyIKE() {
	if s.rekeying == nil && !slices.ContainsFunc(s.todo, task.isIKE) {
		s.todo = append(s.todo, task{})
	}
}

// waitsToStop reports whether an operator's wish to end the SA waits for the end of our exchange: only then is it known which SA
// has the children.
func (s *SA) waitsToStop(reason string) bool {
	if s.rekeying == nil || !s.rekeying.sent {
		return false
	}
	s.stopping, s.deadline = reason, s.now.Add(s.limits.DeleteWait)
	return true
}

// stopNow ends the SA for an operator who waited, unless a new one has taken that over.
func (s *SA) stopNow() {
	if s.stopping != "" && s.state == Established && s.rekeying == nil {
		s.deadline = time.Time{}
		s.deleteIKE(byOperator, s.stopping)
	}
}

// wanted returns the method that a peer asks for in INVALID_KE_PAYLOAD, if we offer it and have not tried it.
func (k *keyShare) wanted(s *SA, data []byte, offered []policy.Proposal) (uint16, bool) {
	if len(data) != 2 {
		return 0, false
	}
	method := binary.BigEndian.Uint16(data)
	s.emit(event.InvalidKE{Sent: suite.KEID(k.method).String(), Wanted: suite.KEID(method).String(), By: byPeer})
	return method, method != 0 && !slices.Contains(k.tried, method) && offersMethod(offered, method)
}

// rekey is the command to replace children or the IKE SA.
func (s *SA) rekey(in machine.Rekey) {
	switch {
	case s.state != Established:
	case in.Child != "":
		s.rekeyChildren(in.Child)
	default:
		s.rekeyIKE()
	}
}
