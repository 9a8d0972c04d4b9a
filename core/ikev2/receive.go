package ikev2

import (
	"errors"
	"fmt"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// forgeries counts messages that were not authentic.
type forgeries struct {
	count uint64 // since the last event
	told  time.Time
}

// receive takes a datagram. Whatever is not ours, not due or not authentic ends here without a trace but a counter.
func (s *SA) receive(d machine.Datagram) {
	h, err := wire.ParseHeader(d.Bytes)
	switch {
	case err != nil || !s.concerns(h):
	case h.Flags&wire.FlagResponse != 0:
		s.receiveResponse(h, d)
	default:
		s.receiveRequest(h, d)
	}
	if s.state == Idle && !s.initiator { // not a request that could begin an SA: nothing will follow
		s.shutdown("the first packet was no IKE_SA_INIT request", 0)
	}
}

// concerns reports whether a header is one that our peer would send on this SA (RFC 7296 sections 2.6 and 3.1). The minor
// version, the version flag and reserved flags do not matter.
func (s *SA) concerns(h wire.Header) bool {
	fromInitiator := h.Flags&wire.FlagInitiator != 0
	first := h.Exchange == wire2.IKESAInit
	switch {
	case h.Major != 2 || fromInitiator == s.initiator || h.InitiatorSPI == 0:
		return false
	case s.state == Idle:
		return !s.initiator && first && h.ResponderSPI == 0
	case h.InitiatorSPI != s.spii:
		return false
	case first && s.rekeyed: // born otherwise
		return false
	case first && s.initiator: // a response before we know the responder's SPI
		return s.spir == 0
	case first: // never a request that is due, which would be opened in clear: at most the first one once more
		return h.ResponderSPI == 0 && h.MessageID == 0
	}
	return h.ResponderSPI == s.spir
}

// receiveRequest takes a request: one that is repeated gets the stored octets, one that is new and in the window is opened and
// waits for its turn, anything else is dropped (RFC 7296 sections 2.1 to 2.3).
func (s *SA) receiveRequest(h wire.Header, d machine.Datagram) {
	if s.repeat(h, d) || !s.peer.admits(h.MessageID) || !s.serves() {
		return
	}
	p, err := s.open(h, d)
	var bad *wire2.Error
	if err != nil && !errors.As(err, &bad) {
		return
	}
	if s.state == Idle {
		s.spii = h.InitiatorSPI
	}
	if p.fragments > 1 { // RFC 7383 section 2.5.1
		s.shrink(p.size)
	}
	s.peer.take(p, bad)
	s.fresh(p)
	s.serveNext()
}

// serves reports whether requests are answered in this state. Before an initiator has authenticated its peer and set up
// its child, the peer's requests must wait: it repeats them.
func (s *SA) serves() bool {
	return !s.initiator && s.state < Closing || s.state >= Established && s.state <= Deleting
}

// serve hands a request in the window to its row, or refuses it before any handler runs.
func (s *SA) serve(p packet, bad *wire2.Error) {
	if s.waits(p, bad) {
		return
	}
	if bad != nil {
		s.refuse(bad.Error(), wire2.InvalidSyntax)
		return
	}
	if t, yes := critical(p.Payloads); yes {
		s.refuseCritical(t)
		return
	}
	row := requests.match(s.state, p.Message)
	if row == nil {
		s.refuse(fmt.Sprintf("a request of %s lacks payloads, has too many, or comes out of turn", wire2.ExchangeName(p.Header.Exchange)), wire2.InvalidSyntax)
		return
	}
	row.do(s, p)
}

// refuse rejects a malformed request. Protected, it gets INVALID_SYNTAX, which is fatal for both sides (RFC 7296 section
// 2.21.3); unprotected it gets nothing (section 3.10.1).
func (s *SA) refuse(reason string, kind wire2.NotifyType) {
	f := failure{cause: event.CauseMalformed, notify: kind, by: byUs, reason: "the peer sent what RFC 7296 does not allow: " + reason}
	if s.state == Idle {
		f.notify = 0
		s.fail(f)
		return
	}
	s.respond(wire2.Notify{Kind: kind})
	s.breakOff(f)
}

// refuseCritical rejects a request with an unknown critical payload (RFC 7296 section 2.5). In the exchanges that make
// the SA this ends it, too (section 2.21.2); an established SA goes on.
func (s *SA) refuseCritical(t wire.PayloadType) {
	s.emit(event.UnsupportedCritical{Payload: uint8(t)})
	n := wire2.Notify{Kind: wire2.UnsupportedCriticalPayload, Data: []byte{byte(t)}}
	f := failure{cause: event.CauseUnsupported, notify: n.Kind, by: byUs,
		reason: fmt.Sprintf("the peer insists on payload type %d, which we do not know", t)}
	switch {
	case s.state == Idle:
		s.rejectInit(n)
		s.fail(f)
	case s.state < Installing:
		s.respond(n)
		s.failAndLinger(f)
	default:
		s.respond(n)
	}
}

// receiveResponse takes the response to an outstanding request of ours. A malformed response is never answered (RFC 7296 section
// 2.21); one that is authentic means that the SA is of no use any more.
func (s *SA) receiveResponse(h wire.Header, d machine.Datagram) {
	o := s.own.find(h.MessageID)
	if o == nil || h.Exchange != o.exch {
		return
	}
	s.own.at = o
	p, err := s.open(h, d)
	var bad *wire2.Error
	if err != nil && (!errors.As(err, &bad) || h.Exchange == wire2.IKESAInit) {
		return
	}
	s.fresh(p)
	row := responses.match(s.state, p.Message)
	t, unknown := critical(p.Payloads)
	switch {
	case bad == nil && !unknown && row != nil:
		row.do(s, p)
	case h.Exchange == wire2.IKESAInit: // anyone could have sent it
	case unknown:
		s.rejectResponse(wire2.Notify{Kind: wire2.UnsupportedCriticalPayload, Data: []byte{byte(t)}}, event.CauseUnsupported,
			fmt.Sprintf("the peer's response insists on payload type %d, which we do not know", t))
	default:
		s.rejectResponse(wire2.Notify{Kind: wire2.InvalidSyntax}, event.CauseMalformed, malformedReason(bad))
	}
}

func malformedReason(bad *wire2.Error) string {
	if bad != nil {
		return "the peer's response is malformed: " + bad.Error()
	}
	return "the peer's response lacks payloads or has some that do not belong there"
}

// open returns a message and what it says. IKE_SA_INIT is in clear, all else protected (RFC 7296 sections 1.2 and 1.4). An
// error of type *wire2.Error says that the message is malformed, any other that it is not authentic, or not yet complete.
func (s *SA) open(h wire.Header, d machine.Datagram) (packet, error) {
	p := packet{Datagram: d}
	var err error
	switch {
	case h.Exchange == wire2.IKESAInit:
		p.Message, err = wire2.Parse(d.Bytes)
	case s.in == nil:
		err = errNoKeys
	case isFragment(h, d.Bytes):
		p, err = s.reassemble(h, d)
	default:
		p.Message, err = s.openWhole(h, d)
	}
	p.Header = h
	return p, err
}

// openWhole opens a protected message that is not fragmented. Fragments of it that came before are of no use then.
func (s *SA) openWhole(h wire.Header, d machine.Datagram) (wire2.Message, error) {
	m, err := s.in.Open(d.Bytes)
	var bad *wire2.Error
	if err != nil && !errors.As(err, &bad) {
		s.countForgery(d)
		return m, err
	}
	s.forgetAssembly(h)
	return m, err
}

var errNoKeys = errors.New("ikev2: no keys yet")

// countForgery tells of messages that are not authentic, now and then.
func (s *SA) countForgery(d machine.Datagram) {
	s.forged.count++
	if !s.forged.told.IsZero() && s.now.Sub(s.forged.told) < integrityPause {
		return
	}
	s.emit(event.IntegrityFailed{Remote: d.Remote, Count: s.forged.count})
	s.forged = forgeries{told: s.now}
}

// fresh notes a new message from the peer; one with a checksum shows that the peer lives (RFC 7296 section 2.4).
func (s *SA) fresh(p packet) {
	s.heard = true
	if p.Header.Exchange != wire2.IKESAInit {
		s.lastHeard = s.now
		s.follow(p.Datagram)
	}
}
