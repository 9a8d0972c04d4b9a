package ikev1

import (
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/sdk/secret"
)

// quick is a quick mode, which makes a child (RFC 2409 section 5.5):
//
//	HDR*, HASH(1), SA, Ni [, KE] [, IDci, IDcr]  -->
//	                                             <--  HDR*, HASH(2), SA, Nr [, KE] [, IDci, IDcr]
//	HDR*, HASH(3)                                -->
type quick struct {
	*exchange
	s             *SA
	initiator     bool
	conf          *policy.Child
	old           *child // that it was begun to replace
	local, remote policy.Selector
	ids           []wire1.Payload // IDci and IDcr, none for the two hosts themselves
	natOA         []wire1.Payload
	offer         wire1.SA // initiator's
	terms         policy.Terms
	group         suite.KEID
	ni, nr        []byte
	private       secret.Bytes
	public, peer  []byte
	shared        secret.Bytes
	spi           uint32 // ours, inbound
	child         *child // installed, or about to be
	commit        bool   // the peer has set the commit bit
	connected     func() // what to do when the peer says CONNECTED; nil: nobody waits for it
}

// wipe overwrites what keys could be computed from.
func (q *quick) wipe() {
	q.private.Wipe()
	q.shared.Wipe()
}

// quickRow admits a message of quick mode, as rows of phase 1 do.
type quickRow struct {
	need, may payloads
	do        func(*quick, packet)
}

// Payloads of quick mode. The third message has nothing but its hash, which is checked apart.
var (
	quickOffer  = quickRow{need: pHash | pSA | pNonce, may: pKE | pID | pNATOA | pNotify, do: (*quick).answerOffer}
	quickAnswer = quickRow{need: pHash | pSA | pNonce, may: pKE | pID | pNATOA | pNotify, do: (*quick).answered}
	quickProof  = quickRow{need: pHash, may: pNotify, do: (*quick).proved}
)

// receiveQuick takes a message of quick mode.
func (s *SA) receiveQuick(h wire.Header, d machine.Datagram) {
	x := s.find(wire1.QuickMode, h.MessageID)
	if x == nil {
		s.receiveOffer(h, d)
		return
	}
	if s.repeated(x, d) || x.busy || x.quick == nil || x.quick.connected != nil {
		return
	}
	q := x.quick
	row := &quickProof
	if q.initiator {
		row = &quickAnswer
	}
	p, err := s.open(x, h, d)
	if err == nil {
		err = q.check(p)
	}
	if err != nil {
		s.countForgery(d)
		return
	}
	s.fresh(p)
	x.take(p)
	q.serve(row, p)
}

// check checks HASH(2) or HASH(3) of the peer.
func (q *quick) check(p packet) error {
	return checkHash(p, func(rest []byte) []byte {
		if q.initiator {
			return q.s.keys.Hash2(q.id, q.ni, rest)
		}
		return q.lastHash()
	})
}

// lastHash is HASH(3).
func (q *quick) lastHash() []byte { return q.s.keys.Hash3(q.id, q.ni, q.nr) }

// receiveOffer takes the first message of a quick mode of the peer. Its message ID must be new: nothing else in it is (RFC 2409
// section 5.5), so that it could be an old one.
func (s *SA) receiveOffer(h wire.Header, d machine.Datagram) {
	if _, used := slices.BinarySearch(s.used, h.MessageID); used || s.state >= Closing || s.serving() >= maxQuick || len(s.used) >= maxUsed {
		return
	}
	x := &exchange{kind: wire1.QuickMode, id: h.MessageID, iv: s.exchangeIV(h.MessageID)}
	p, ok := s.openPhase2(x, h, d)
	if !ok {
		return
	}
	s.use(h.MessageID)
	x.quick = &quick{exchange: x, s: s}
	s.phase2 = append(s.phase2, x)
	s.fresh(p)
	x.take(p)
	x.quick.serve(&quickOffer, p)
}

// serving counts the peer's quick modes that are under way.
func (s *SA) serving() (n int) {
	for _, x := range s.phase2 {
		if x.quick != nil && !x.quick.initiator {
			n++
		}
	}
	return n
}

// serve hands a message to its handler if it has the payloads for it (RFC2409-5.5-2: HASH, SA, then the rest).
func (q *quick) serve(row *quickRow, p packet) {
	have, ok := payloadsOf(p.Payloads, wire1.MaxNonce)
	first := len(p.Payloads) > 1 && p.Payloads[1].Type() == wire1.TypeSA || row == &quickProof
	if !ok || !first || have&row.need != row.need || have&^(row.need|row.may|pAnywhere) != 0 {
		q.refuse(failure{cause: event.CauseMalformed, notify: wire1.PayloadMalformed, by: byUs,
			reason: "the peer's message of quick mode lacks payloads, or has some that do not belong there"})
		return
	}
	q.noteCommit(p)
	row.do(q, p)
}

// name is that of the child, "" while it is not known.
func (q *quick) name() string {
	if q.conf == nil {
		return ""
	}
	return q.conf.Name
}

// refuse ends a quick mode and tells the peer why (RFC2409-5.5-5).
func (q *quick) refuse(f failure) {
	if f.notify != 0 {
		n := q.s.notify(f.notify)
		n.Protocol = wire1.ProtoESP
		q.s.inform(n)
	}
	q.fail(f)
}

// fail ends a quick mode that made no child. A child that was to be replaced is tried again.
func (q *quick) fail(f failure) {
	s := q.s
	old, conf, local, remote := q.old, q.conf, q.local, q.remote
	if q.child != nil {
		s.remove(q.child)
	} else if q.spi != 0 {
		s.calls.Free(q.spi)
	}
	s.childFailed(q.name(), f)
	s.over(q.exchange)
	if old != nil && old.usable() {
		after := s.now.Add(s.jittered(replacePause))
		s.todo = append(s.todo, task{conf: conf, local: local, remote: remote, old: old, after: after})
	}
}

// failQuick ends all quick modes when the SA ends.
func (s *SA) failQuick(reason string) {
	for _, x := range slices.Clone(s.phase2) {
		if q := x.quick; q != nil && q.initiator {
			s.childFailed(q.name(), failure{cause: event.CauseOperator, by: byUs, reason: "its ISAKMP SA ended: " + reason})
		}
	}
}

// mode is the IPsec mode that was agreed.
func (q *quick) mode() machine.Mode {
	if q.terms.Transport() {
		return machine.Transport
	}
	return machine.Tunnel
}

// life is the lifetime of the child: the shorter of ours and what was agreed (RFC 2407 section 4.5.4).
func (q *quick) life() policy.Lifetime { return q.terms.Bound(q.conf.Lifetime) }

// send sends the first or second message under its hash, which the peer has to answer.
func (q *quick) send(ps []wire1.Payload) {
	s := q.s
	rest := wire1.AppendPayloads(nil, ps)
	hash := s.keys.Hash1(q.id, rest)
	if !q.initiator {
		hash = s.keys.Hash2(q.id, q.ni, rest)
	}
	s.transmit(q.exchange, s.seal(q.exchange, append([]wire1.Payload{wire1.Hash{Data: hash}}, ps...)), true)
}

// takeKE notes the peer's key exchange value, which has to be there exactly when a group was agreed on (RFC2409-5.5-3).
func (q *quick) takeKE(p packet) *failure {
	ke, there := wire1.Get[wire1.KE](p.Payloads)
	q.group = q.terms.Suite.KE
	if there != (q.group != suite.KENone) {
		return &failure{cause: event.CauseMalformed, notify: wire1.InvalidKeyInformation, by: byUs,
			reason: "the peer's message has a key exchange value without a group, or a group without a value"}
	}
	q.peer = ke.Data
	return nil
}

// finishing installs the child when its keys can be derived.
func (q *quick) finishing(held bool, then func(*machine.CallError)) {
	c, err := q.newChild(held)
	if err != nil {
		q.refuse(failure{cause: event.CauseUnsupported, notify: wire1.NoProposalChosen, by: byUs, reason: "the keys of the child could not be derived: " + err.Error()})
		return
	}
	q.child = c
	q.s.install(c, then)
}

// due times of repetitions and waits lie in the exchange; while plugins work for a quick mode their own budget ends it.
func (q *quick) working() { q.busy, q.again = true, never }
