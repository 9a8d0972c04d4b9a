package ikev2

import (
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// ownWindow holds our requests: some at the peer, the others behind them (RFC 7296 section 2.3). It is apart from
// peerWindow, so that our outstanding requests never keep us from serving the peer's.
type ownWindow struct {
	size  uint32         // how many requests the peer takes at a time, 0 for one
	next  uint64         // message ID of the next request
	out   []*outstanding // in the order of their message IDs
	at    *outstanding   // whose response is at work
	queue []request
}

// request is a protected request of ours. answered gets the response.
type request struct {
	exch     wire.ExchangeType
	payloads []wire2.Payload
	build    func() []wire2.Payload // makes them when the request is sent for the first time; nil: they are made
	answered func(packet)
	alone    bool // no other request is at the peer at the same time: what it asks ends or moves all else
}

// outstanding is a request that waits for its response.
type outstanding struct {
	request
	id        uint32
	datagrams [][]byte // sent again and again, bit for bit (RFC 7296 section 2.1), until smaller ones take their place
	sent      int      // how often
	tries     int      // how often in this size
	first     time.Time
	again     time.Time // when to repeat it
}

// due is when a request is to be repeated.
func (w *ownWindow) due() (at time.Time) {
	for _, o := range w.out {
		at = earliest(at, o.again)
	}
	return at
}

// idle reports whether no request is out or waiting.
func (w *ownWindow) idle() bool { return len(w.out) == 0 && len(w.queue) == 0 }

// close forgets all requests.
func (w *ownWindow) close() { w.out, w.queue, w.at = nil, nil, nil }

// find returns the outstanding request with a message ID, nil for none.
func (w *ownWindow) find(id uint32) *outstanding {
	i := slices.IndexFunc(w.out, func(o *outstanding) bool { return o.id == id })
	if i < 0 {
		return nil
	}
	return w.out[i]
}

// room reports whether r may go out now: request X, when all up to X-N are answered in a window of N (RFC 7296 section
// 2.3).
func (w *ownWindow) room(r request) bool {
	if len(w.out) == 0 {
		return true
	}
	return !r.alone && !w.out[0].alone && w.next < uint64(w.out[0].id)+uint64(max(w.size, 1))
}

// request sends a protected request as soon as the window has room.
func (s *SA) request(r request) {
	s.own.queue = append(s.own.queue, r)
	s.pump()
}

// pump sends requests while the window has room. The last message ID is kept for ending the SA, which must be closed
// before the IDs run out (RFC 7296 section 2.2).
func (s *SA) pump() {
	for len(s.own.queue) > 0 && !s.moving() && s.own.room(s.own.queue[0]) && s.own.next <= maxMessageID {
		if s.own.next == maxMessageID && s.state == Established {
			s.own.queue = nil
			s.deleteIKE(byError, "the message IDs are used up")
			return
		}
		r := s.own.queue[0]
		s.own.queue = s.own.queue[1:]
		if r.build != nil {
			r.payloads = r.build()
		}
		id := uint32(s.own.next)
		datagrams, err := s.seal(s.header(r.exch, id, 0), r.payloads, false)
		if err != nil {
			s.breakOff(failure{cause: event.CauseMalformed, by: byUs, reason: "a request could not be protected: " + err.Error()})
			return
		}
		s.transmit(r, id, datagrams...)
	}
}

// transmit sends a request for the first time.
func (s *SA) transmit(r request, id uint32, datagrams ...[]byte) {
	s.own.next = uint64(id) + 1
	s.own.out = append(s.own.out, &outstanding{request: r, id: id, datagrams: datagrams, sent: 1, tries: 1, first: s.now,
		again: s.now.Add(s.conn.Retransmit.After(0))})
	s.send(s.local, s.remote, datagrams...)
}

// retransmit repeats the outstanding requests that are due, or gives the peer up (RFC 7296 sections 2.1 and 2.4).
func (s *SA) retransmit() {
	for _, o := range slices.Clone(s.own.out) { // giving up empties the list
		if s.due(o.again) && slices.Contains(s.own.out, o) {
			s.repeatRequest(o)
		}
	}
}

func (s *SA) repeatRequest(o *outstanding) {
	if o.tries > s.conn.Retransmit.Tries && !s.waitsForMove(o) {
		s.giveUp(o)
		return
	}
	size := s.refragment(o)
	s.emit(event.Retransmitted{Exchange: wire2.ExchangeName(o.exch), MessageID: o.id, Attempt: o.sent, FragmentSize: size})
	o.again = s.now.Add(s.conn.Retransmit.After(o.tries))
	o.sent++
	o.tries++
	s.send(s.local, s.remote, o.datagrams...)
	if o == s.own.out[0] {
		s.tryOtherPath(o.sent)
	}
}

// repeatNow sends the outstanding requests again at once: the path is another one.
func (s *SA) repeatNow() {
	for _, o := range s.own.out {
		s.send(s.local, s.remote, o.datagrams...)
	}
}

// giveUp ends the SA, because the peer does not answer (RFC 7296 section 2.4).
func (s *SA) giveUp(o *outstanding) {
	waited := s.now.Sub(o.first).Round(time.Millisecond).String()
	s.emit(event.RetransmitTimedOut{Exchange: wire2.ExchangeName(o.exch), MessageID: o.id, Sent: o.sent, For: waited,
		Remote: s.remote, Heard: s.heard})
	switch {
	case s.state == Deleting || s.state == Rekeyed:
		s.farewell()
	case s.state == Established:
		s.emit(event.LivenessTimedOut{Sent: o.sent, For: waited})
		s.goodbyeFor(byLiveness, "the peer did not answer "+plural(o.sent, "packet")+" in "+waited)
		s.shutdown("the peer is dead", 0)
	case s.init != nil && s.init.refusal != nil:
		s.fail(*s.init.refusal)
	default:
		s.fail(failure{cause: event.CauseTimeout, by: byPeer, reason: s.silence(o, waited)})
	}
}

// answered takes the request whose response is at work off the window. pump then lets the next one go.
func (s *SA) answered() *outstanding {
	o := s.own.at
	s.own.out = slices.DeleteFunc(s.own.out, func(other *outstanding) bool { return other == o })
	s.own.at = nil
	return o
}
