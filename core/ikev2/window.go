package ikev2

import (
	"crypto/sha256"
	"net/netip"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// peerWindow holds the peer's requests: the one at work, and the last response for repetition (RFC 7296 sections 2.1 and
// 2.3). Only an authentic request enters it.
type peerWindow struct {
	next   uint32 // message ID of the next new request
	busy   bool   // that request is at work
	spent  bool   // there is no next message ID (RFC 7296 section 2.2)
	exch   wire.ExchangeType
	work   [sha256.Size]byte // hash of the request at work
	last   [sha256.Size]byte // hash of the request before
	answer []byte            // the response to it, nil before the first
	local  netip.AddrPort    // where the request at work came to
	remote netip.AddrPort    // and from
}

// repeats reports whether d is the last answered request once more, by hash: the SPIs and the message ID could be those
// of another message (RFC 7296 section 2.1).
func (w *peerWindow) repeats(h wire.Header, d machine.Datagram) bool {
	return w.answer != nil && h.MessageID+1 == w.next && sha256.Sum256(d.Bytes) == w.last
}

// hold lets a request into the window.
func (w *peerWindow) hold(p packet) {
	w.busy, w.exch, w.work = true, p.Header.Exchange, sha256.Sum256(p.Bytes)
	w.local, w.remote = p.Local, p.Remote
}

// release forgets the request at work, as if it had not come.
func (w *peerWindow) release() { w.busy = false }

// store keeps the response to the request at work, in place of the one before.
func (w *peerWindow) store(b []byte) {
	w.busy, w.last, w.answer = false, w.work, b
	w.spent = w.next == maxMessageID
	w.next++
}

// respond answers the request at work, to where it came from (RFC 7296 section 2.11).
func (s *SA) respond(ps ...wire2.Payload) {
	b, err := s.seal(s.header(s.peer.exch, s.peer.next, wire.FlagResponse), ps)
	if err != nil {
		s.peer.release()
		s.breakOff(failure{cause: event.CauseMalformed, by: byUs, reason: "a response could not be protected: " + err.Error()})
		return
	}
	s.answer(b)
}

func (s *SA) answer(b []byte) {
	s.peer.store(b)
	s.send(s.peer.local, s.peer.remote, b)
	if s.peer.spent && s.state == Established {
		s.deleteIKE(byError, "the peer's message IDs are used up")
	}
}
