package ikev1

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// exchange is what all exchanges have in common: the chain of their IVs, and the repetition of messages. IKEv1 has no requests and
// responses, so whoever waits for the next message repeats its last one, and a message that was taken before is answered by the
// same octets as then (RFC 2408 section 5.1).
type exchange struct {
	kind   wire.ExchangeType
	id     uint32 // message ID, 0 in phase 1
	iv     suite.IV
	taken  bool
	seen   [sha256.Size]byte // of the last message that was taken
	busy   bool              // a plugin is at work on it
	last   []byte            // what we sent last
	answer []byte            // the same when it was sent since the last message was taken; else nil
	again  time.Time         // when to repeat that; zero: only when the peer repeats its own
	tries  int
	first  time.Time
	until  time.Time // it is over, and kept for repetition until then; zero: it is not over
	quick  *quick    // nil in other exchanges
	asks   *question // of a transaction exchange of ours that waits for its answer, else nil
	asking bool      // a transaction exchange of the peer's
}

// wipe overwrites what is secret in an exchange.
func (x *exchange) wipe() {
	if x.quick != nil {
		x.quick.wipe()
	}
}

// take notes that a message is authentic, or looks like it, and is worked on: the running IV moves on only now (RFC 2409 section
// 10), and what we were repeating has been answered.
func (x *exchange) take(p packet) {
	x.taken, x.seen, x.answer, x.iv, x.again = true, sha256.Sum256(p.Bytes), nil, p.iv, never
}

// over keeps an exchange for repetition of its last message only.
func (s *SA) over(x *exchange) {
	x.wipe()
	x.quick, x.asks, x.busy, x.again, x.until = nil, nil, false, never, s.now.Add(s.limits.Linger)
}

// transmit sends the next message of an exchange. When the peer has to answer, it is repeated until then.
func (s *SA) transmit(x *exchange, b []byte, awaits bool) {
	x.last, x.answer, x.tries, x.first, x.again, x.busy = b, b, 1, s.now, never, false
	if awaits {
		x.again = s.now.Add(s.conn.Retransmit.After(0))
	}
	s.send(s.local, s.remote, b)
}

// repeated answers a message that was taken before with the octets that answered it then, to where it came from (RFC3947-3-2), and
// reports whether it was one. What failed has no answer, and what a plugin works on has
// none yet. Who began an exchange and repeats its message by
// itself does not, and nothing answers the last message: else two sides could repeat themselves for ever.
func (s *SA) repeated(x *exchange, d machine.Datagram) bool {
	if !x.taken || x.seen != sha256.Sum256(d.Bytes) {
		return false
	}
	if x.answer != nil && (x.again.IsZero() || x.quick != nil && (!x.quick.initiator || x.quick.connected != nil)) {
		s.send(d.Local, d.Remote, x.answer)
	}
	return true
}

// closeBy ends an exchange with a message of the peer's, which nothing answers.
func (x *exchange) closeBy() { x.answer = nil }

// exchanges lists all that may have something to repeat.
func (s *SA) exchanges() []*exchange {
	list := slices.Clone(s.phase2)
	if s.phase1 != nil {
		list = append([]*exchange{&s.phase1.exchange}, list...)
	}
	return list
}

// exchangesDue is when an exchange is to be repeated or forgotten.
func (s *SA) exchangesDue() (at time.Time) {
	for _, x := range s.exchanges() {
		at = earliest(at, earliest(x.again, x.until))
	}
	return at
}

// repeatAll repeats the messages that are due, or gives the peer up.
func (s *SA) repeatAll() {
	for _, x := range s.exchanges() { // giving up changes the list
		switch {
		case s.due(x.until):
			s.forget(x)
		case !s.due(x.again) || s.state >= Closing:
		case x.quick != nil && x.quick.connected != nil: // has waited long enough for CONNECTED
			x.quick.goOn()
		default:
			s.repeat(x)
		}
	}
}

func (s *SA) forget(x *exchange) {
	if s.phase1 != nil && x == &s.phase1.exchange {
		s.phase1 = nil
		return
	}
	s.phase2 = slices.DeleteFunc(s.phase2, func(other *exchange) bool { return other == x })
}

// repeat sends the last message of an exchange again (RFC2408-5.1-3, RFC2408-5.1-4).
func (s *SA) repeat(x *exchange) {
	if x.tries > s.conn.Retransmit.Tries {
		s.giveUp(x)
		return
	}
	s.emit(event.Retransmitted{Exchange: wire1.ExchangeName(x.kind), MessageID: x.id, Attempt: x.tries})
	x.again = s.now.Add(s.conn.Retransmit.After(x.tries))
	x.tries++
	s.send(s.local, s.remote, x.last)
}

// giveUp ends what the peer does not answer: phase 1 with the SA, a quick mode with its child, a transaction as its user says. That the
// peer is dead only dead peer detection says.
func (s *SA) giveUp(x *exchange) {
	waited := s.now.Sub(x.first).Round(time.Millisecond).String()
	s.emit(event.RetransmitTimedOut{Exchange: wire1.ExchangeName(x.kind), MessageID: x.id, Sent: x.tries, For: waited,
		Remote: s.remote, Heard: s.heard})
	switch {
	case x.quick != nil:
		x.quick.fail(failure{cause: event.CauseTimeout, by: byPeer, reason: s.silence(x, waited)})
	case x.asks != nil:
		ask := x.asks
		s.over(x)
		ask.silent(failure{cause: event.CauseTimeout, by: byPeer, reason: s.silence(x, waited)})
	case s.phase1.suspicion != nil:
		s.fail(*s.phase1.suspicion)
	default:
		s.fail(failure{cause: event.CauseTimeout, by: byPeer, reason: s.silence(x, waited)})
	}
}

// find returns the exchange of phase 2 with a message ID, nil for none.
func (s *SA) find(kind wire.ExchangeType, id uint32) *exchange {
	i := slices.IndexFunc(s.phase2, func(x *exchange) bool { return x.id == id && x.kind == kind })
	if i < 0 {
		return nil
	}
	return s.phase2[i]
}

// newMessageID returns one that is random and was never used on this SA (RFC2409-5.7-1).
func (s *SA) newMessageID() uint32 {
	for {
		id := uint32(s.rand.Uint64())
		if _, used := slices.BinarySearch(s.used, id); id != 0 && !used {
			s.use(id)
			return id
		}
	}
}

// use notes that a message ID was used.
func (s *SA) use(id uint32) {
	if i, there := slices.BinarySearch(s.used, id); !there && len(s.used) < maxUsed {
		s.used = slices.Insert(s.used, i, id)
	}
}
