package ikev2

import (
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// ownWindow holds our requests: one at the peer, the others behind it (RFC 7296 section 2.3). It is apart from
// peerWindow, so that our outstanding request never keeps us from serving the peer's.
type ownWindow struct {
	next  uint32 // message ID of the next request
	out   *outstanding
	queue []request
}

// request is a protected request of ours. answered gets the response.
type request struct {
	exch     wire.ExchangeType
	payloads []wire2.Payload
	build    func() []wire2.Payload // makes them when the request is sent for the first time; nil: they are made
	answered func(packet)
}

// outstanding is the request that waits for its response.
type outstanding struct {
	request
	id    uint32
	bytes []byte // sent again and again, bit for bit (RFC 7296 section 2.1)
	sent  int    // how often
	first time.Time
	again time.Time // when to repeat it
}

func (w *ownWindow) due() time.Time {
	if w.out == nil {
		return time.Time{}
	}
	return w.out.again
}

// idle reports whether no request is out or waiting.
func (w *ownWindow) idle() bool { return w.out == nil && len(w.queue) == 0 }

// close forgets all requests.
func (w *ownWindow) close() { w.out, w.queue = nil, nil }

// request sends a protected request as soon as the window is free.
func (s *SA) request(r request) {
	s.own.queue = append(s.own.queue, r)
	s.pump()
}

// pump sends the next request if the window is free. The last message ID is kept for ending the SA, which must be closed
// before the IDs run out (RFC 7296 section 2.2).
func (s *SA) pump() {
	if s.own.out != nil || len(s.own.queue) == 0 {
		return
	}
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
	b, err := s.seal(s.header(r.exch, s.own.next, 0), r.payloads)
	if err != nil {
		s.breakOff(failure{cause: event.CauseMalformed, by: byUs, reason: "a request could not be protected: " + err.Error()})
		return
	}
	s.transmit(r, b)
}

// transmit sends a request for the first time. The message ID goes up when it is answered.
func (s *SA) transmit(r request, b []byte) {
	s.own.out = &outstanding{request: r, id: s.own.next, bytes: b, sent: 1, first: s.now,
		again: s.now.Add(s.conn.Retransmit.After(0))}
	s.send(s.local, s.remote, b)
}

// retransmit repeats the outstanding request, or gives the peer up (RFC 7296 sections 2.1 and 2.4).
func (s *SA) retransmit() {
	o := s.own.out
	if o == nil || !s.due(o.again) {
		return
	}
	if o.sent > s.conn.Retransmit.Tries && !s.waitsForMove(o) {
		s.giveUp(o)
		return
	}
	o.again = s.now.Add(s.conn.Retransmit.After(o.sent))
	s.emit(event.Retransmitted{Exchange: wire2.ExchangeName(o.exch), MessageID: o.id, Attempt: o.sent})
	o.sent++
	s.send(s.local, s.remote, o.bytes)
	s.tryOtherPath(o.sent)
}

// repeatNow sends the outstanding request again at once: the path is another one.
func (s *SA) repeatNow() {
	if o := s.own.out; o != nil {
		s.send(s.local, s.remote, o.bytes)
	}
}

// giveUp ends the SA, because the peer does not answer (RFC 7296 section 2.4).
func (s *SA) giveUp(o *outstanding) {
	waited := s.now.Sub(o.first).Round(time.Millisecond).String()
	s.emit(event.RetransmitTimedOut{Exchange: wire2.ExchangeName(o.exch), MessageID: o.id, Sent: o.sent, For: waited,
		Remote: s.remote, Heard: s.heard})
	switch {
	case s.state == Deleting:
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

// answered takes a response off the window and lets the next request go.
func (s *SA) answered() *outstanding {
	o := s.own.out
	s.own.out = nil
	s.own.next++
	return o
}
