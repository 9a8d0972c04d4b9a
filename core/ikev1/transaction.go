package ikev1

import (
	"slices"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is the transaction exchange (draft-dukes-ike-mode-cfg-02 section 3.1.1), which carries XAUTH and mode configuration:
//
//	HDR*, HASH, ATTR  -->
//	                  <--  HDR*, HASH, ATTR
//
// Either side may begin one, whoever began phase 1: with a REQUEST, which a REPLY answers, or with a SET, which an ACK answers.

// maxAsked bounds the transactions of the peer's that are kept, those included that are over and may be repeated. A login with some
// attempts and the configuration after it take about ten.
const maxAsked = 16

// question is a transaction of ours that waits for its answer.
type question struct {
	answer wire1.ConfigKind
	then   func([]wire1.Attribute) // it came
	silent func(failure)           // it did not, and will not
}

// transact begins a transaction, a REQUEST or a SET, and goes on with then when it is answered, or with silent when the peer does not
// answer. id names what several transactions have in common (draft-dukes-ike-mode-cfg-02 section 2); transactionID makes one.
func (s *SA) transact(kind wire1.ConfigKind, id uint16, attrs []wire1.Attribute, then func([]wire1.Attribute), silent func(failure)) {
	msg := s.newMessageID()
	x := &exchange{kind: wire1.Transaction, id: msg, iv: s.exchangeIV(msg)}
	x.asks = &question{answer: answerTo(kind), then: then, silent: silent}
	s.phase2 = append(s.phase2, x)
	s.sendConfig(x, wire1.Config{Kind: kind, Identifier: id, Attributes: attrs}, true)
}

// transactionID returns a random identifier.
func (s *SA) transactionID() uint16 { return uint16(s.rand.Uint64()) }

// answerTo returns the kind that answers another, 0 when nothing does.
func answerTo(kind wire1.ConfigKind) wire1.ConfigKind {
	switch kind {
	case wire1.ConfigRequest:
		return wire1.ConfigReply
	case wire1.ConfigSet:
		return wire1.ConfigAck
	}
	return 0
}

// sendConfig sends one message of a transaction.
func (s *SA) sendConfig(x *exchange, c wire1.Config, awaits bool) {
	s.transmit(x, s.seal(x, s.hashed(x.id, []wire1.Payload{c})), awaits)
}

// receiveTransaction takes a message of a transaction.
func (s *SA) receiveTransaction(h wire.Header, d machine.Datagram) {
	x := s.find(wire1.Transaction, h.MessageID)
	if x == nil {
		s.receiveQuestion(h, d)
		return
	}
	if s.repeated(x, d) || x.asks == nil {
		return
	}
	p, ok := s.openPhase2(x, h, d)
	if !ok {
		return
	}
	ask := x.asks
	c, ok := configOf(p)
	if !ok || c.Kind != ask.answer {
		return
	}
	s.fresh(p)
	x.take(p)
	s.over(x)
	ask.then(c.Attributes)
}

// asked is a transaction of the peer's that waits for our answer.
type asked struct {
	*exchange
	wire1.Config
	s *SA
}

// receiveQuestion takes the first message of a transaction of the peer's, whose message ID must be new. What is neither a REQUEST nor a
// SET is silently discarded (draft-dukes-ike-mode-cfg-02 section 3.3).
func (s *SA) receiveQuestion(h wire.Header, d machine.Datagram) {
	if _, used := slices.BinarySearch(s.used, h.MessageID); used || s.answering() >= maxAsked || len(s.used) >= maxUsed {
		return
	}
	x := &exchange{kind: wire1.Transaction, id: h.MessageID, iv: s.exchangeIV(h.MessageID)}
	p, ok := s.openPhase2(x, h, d)
	if !ok {
		return
	}
	c, ok := configOf(p)
	if !ok || answerTo(c.Kind) == 0 || s.state == Authenticating && !slices.ContainsFunc(c.Attributes, isXAuth) {
		return // before it is known who the user is nothing else comes (draft-beaulieu-ike-xauth-02 section 6): it is repeated
	}
	s.use(h.MessageID)
	x.busy, x.asking = true, true
	s.phase2 = append(s.phase2, x)
	s.fresh(p)
	x.take(p)
	s.serve(&asked{exchange: x, Config: c, s: s})
}

// serve hands a transaction of the peer's to whom it is for. Each is answered in the end, be it with nothing (draft-dukes-ike-mode-cfg-02
// section 2).
func (s *SA) serve(a *asked) {
	switch {
	case slices.ContainsFunc(a.Attributes, isXAuth):
		s.askedXAuth(a)
	default:
		s.askedConfig(a)
	}
}

// isXAuth reports whether an attribute is one of extended authentication (draft-beaulieu-ike-xauth-02 section 7.2).
func isXAuth(a wire1.Attribute) bool { return wire1.XAuthType <= a.Type && a.Type <= wire1.XAuthAnswer }

// reply answers a REQUEST by a REPLY and a SET by an ACK, under the identifier of the question.
func (a *asked) reply(attrs []wire1.Attribute) {
	s := a.s
	if s.state >= Closing || s.find(wire1.Transaction, a.id) != a.exchange {
		return
	}
	s.sendConfig(a.exchange, wire1.Config{Kind: answerTo(a.Kind), Identifier: a.Identifier, Attributes: attrs}, false)
	s.over(a.exchange)
}

// answering counts the peer's transactions that are kept.
func (s *SA) answering() (n int) {
	for _, x := range s.phase2 {
		if x.asking {
			n++
		}
	}
	return n
}

// configOf returns the Attributes payload of a message, of which there is one (draft-dukes-ike-mode-cfg-02 section 3.1.1).
func configOf(p packet) (wire1.Config, bool) {
	const need, may = pHash | pConfig, pNotify | pAnywhere
	have, ok := payloadsOf(p.Payloads, wire1.MaxNonce)
	c, _ := wire1.Get[wire1.Config](p.Payloads)
	return c, ok && have&need == need && have&^(need|may) == 0
}
