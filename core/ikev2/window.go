package ikev2

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// peerWindow holds the peer's requests and our responses to them (RFC 7296 sections 2.1 to 2.3). Only an authentic request
// enters it. Requests are worked on one after the other, in the order in which they came: what a later one asks can never
// overtake an earlier one that waits for a plugin, and there is one request at work for respond to answer.
type peerWindow struct {
	size    uint32    // how many requests we take at a time, 0 for one
	next    uint64    // the lowest message ID that is not answered
	seen    []*served // requests that are at work, wait for it, or have an answer to be repeated
	waiting []*served // in the order in which they came
	work    *served   // nil: none
}

// served is a request of the peer.
type served struct {
	id        uint32
	exch      wire.ExchangeType
	hash      [sha256.Size]byte // of the request, or of its first fragment
	fragments int               // in which it came; 0: whole
	packet    packet            // until it is answered
	bad       *wire2.Error      // why it is malformed; nil: it is not
	answer    [][]byte          // the datagrams of our response, nil before
}

// width is the number of requests that may be outstanding.
func (w *peerWindow) width() uint64 { return uint64(max(w.size, 1)) }

// find returns the request with a message ID, nil when it is not remembered.
func (w *peerWindow) find(id uint32) *served {
	i := slices.IndexFunc(w.seen, func(x *served) bool { return x.id == id })
	if i < 0 {
		return nil
	}
	return w.seen[i]
}

// admits reports whether a request with this message ID is new and in the window (RFC 7296 section 2.3). There is none
// behind the last ID (section 2.2).
func (w *peerWindow) admits(id uint32) bool {
	return uint64(id) >= w.next && uint64(id) < w.next+w.width() && w.find(id) == nil
}

// take lets a request into the window. The peer has the response to the request that lies the window's width behind, or
// it could not have sent this one: that response is forgotten (RFC 7296 section 2.1).
func (w *peerWindow) take(p packet, bad *wire2.Error) {
	id := p.Header.MessageID
	w.seen = slices.DeleteFunc(w.seen, func(x *served) bool { return x.answer != nil && uint64(x.id)+w.width() <= uint64(id) })
	x := &served{id: id, exch: p.Header.Exchange, hash: sha256.Sum256(p.Bytes), fragments: p.fragments, packet: p, bad: bad}
	w.seen = append(w.seen, x)
	w.waiting = append(w.waiting, x)
}

// begin returns the request to work on next, nil when there is none or another is at work.
func (w *peerWindow) begin() *served {
	if w.work != nil || len(w.waiting) == 0 {
		return nil
	}
	w.work, w.waiting = w.waiting[0], w.waiting[1:]
	return w.work
}

// release forgets all requests that are not answered, as if they had not come.
func (w *peerWindow) release() {
	w.seen = slices.DeleteFunc(w.seen, func(x *served) bool { return x.answer == nil })
	w.waiting, w.work = nil, nil
}

// store keeps the response to the request at work.
func (w *peerWindow) store(datagrams [][]byte) {
	w.work.answer, w.work.packet, w.work = datagrams, packet{}, nil
	for x := w.find(uint32(w.next)); x != nil && x.answer != nil; x = w.find(uint32(w.next)) {
		w.next++
		if w.next > maxMessageID {
			return
		}
	}
}

// spent reports whether the peer has no message ID left (RFC 7296 section 2.2).
func (w *peerWindow) spent() bool { return w.next > maxMessageID }

// repeat answers a request that was answered before, with the same octets, and reports whether it was one (RFC 7296
// section 2.1). That it is the same shows its hash: SPIs and message ID could be those of another message. A peer that has
// changed the size of its fragments sends other octets; then a fragment with the number 1 is a repetition, and our
// response follows to that size (RFC 7383 sections 2.5.1 and 2.6.1).
func (s *SA) repeat(h wire.Header, d machine.Datagram) bool {
	x := s.peer.find(h.MessageID)
	if x == nil || x.answer == nil {
		return false
	}
	if sha256.Sum256(d.Bytes) != x.hash {
		f, ok := s.openFirst(h, d)
		if !ok {
			return true
		}
		if f.Total > 1 {
			s.shrink(datagramSize(d))
			x.answer = s.fitted(x.answer, s.fragments.size)
		}
	}
	s.send(d.Local, d.Remote, x.answer...)
	return true
}

// respond answers the request at work, to where it came from (RFC 7296 section 2.11), and in the form in which it came
// (RFC 7383 section 2.4).
func (s *SA) respond(ps ...wire2.Payload) {
	x := s.peer.work
	datagrams, err := s.seal(s.header(x.exch, x.id, wire.FlagResponse), ps, x.fragments > 0)
	if err != nil {
		s.peer.release()
		s.breakOff(failure{cause: event.CauseMalformed, by: byUs, reason: "a response could not be protected: " + err.Error()})
		return
	}
	s.answer(datagrams...)
}

// answer sends and keeps the response to the request at work.
func (s *SA) answer(datagrams ...[]byte) {
	local, remote := s.peer.work.from()
	s.peer.store(datagrams)
	s.send(local, remote, datagrams...)
	if s.peer.spent() && s.state == Established {
		s.deleteIKE(byError, "the peer's message IDs are used up")
	}
}

// from returns where a request came to, and from.
func (x *served) from() (local, remote netip.AddrPort) { return x.packet.Local, x.packet.Remote }

// serveNext works on the requests in the window, until one has to wait for a plugin.
func (s *SA) serveNext() {
	for s.serves() {
		x := s.peer.begin()
		if x == nil {
			return
		}
		s.serve(x.packet, x.bad)
	}
}

// windowNotify announces how many requests we take at a time, unless it is one (RFC 7296 section 2.3).
func (s *SA) windowNotify() []wire2.Payload {
	if s.conn.Window <= 1 {
		return nil
	}
	return []wire2.Payload{wire2.Notify{Kind: wire2.SetWindowSize, Data: binary.BigEndian.AppendUint32(nil, uint32(s.conn.Window))}}
}

// openWindow takes as many requests as were announced. Until the initial exchanges are complete it is one (RFC 7296 section
// 2.3).
func (s *SA) openWindow() { s.peer.size = uint32(s.conn.Window) }

// announceWindow opens the window of an SA that began without IKE_AUTH, where it is one until it is announced (RFC 7296 section
// 2.3).
func (s *SA) announceWindow() {
	if ps := s.windowNotify(); ps != nil {
		s.openWindow()
		s.request(request{exch: wire2.Informational, payloads: ps})
	}
}

// learnWindow notes how many requests the peer takes at a time. A window is never made smaller (RFC 7296 section 2.3); a larger
// one than we have a use for counts as that.
func (s *SA) learnWindow(p packet) {
	n, ok := wire2.GetNotify(p.Payloads, wire2.SetWindowSize)
	if !ok || len(n.Data) != 4 {
		return
	}
	s.own.size = max(s.own.size, min(binary.BigEndian.Uint32(n.Data), policy.MaxWindow))
}
