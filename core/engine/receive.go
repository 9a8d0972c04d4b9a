package engine

import (
	"fmt"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
)

const (
	majorVersion = 2
	ikeSAInit    = wire.ExchangeType(34) // RFC 7296 section 3.1
)

// Receive takes a datagram: to its SA by our SPI, or through the gate when it is a peer's first. Whatever fits nowhere is
// counted and dropped.
func (s *Shard) Receive(now time.Time, d machine.Datagram) {
	s.c.Counters.DatagramsIn.Add(1)
	h, ok := s.sane(now, d)
	if !ok {
		return
	}
	if isFirst(h) {
		s.first(now, h, d)
		return
	}
	e := s.find(h)
	if e == nil {
		s.unknownSPI(now, h, d)
		return
	}
	s.step(now, e, d)
}

// find returns the SA of a message, nil when there is none.
func (s *Shard) find(h wire.Header) *sa {
	if h.Major == majorVersion1 {
		return s.find1(h)
	}
	if e := s.sas[machine.Owner(localSPI(h))]; e != nil && e.major == majorVersion {
		return e
	}
	return nil
}

// unknownSPI drops a message for an SA that we do not have, perhaps because we started anew. RFC 7296 section 1.5 lets us
// say so to the sender of a request; it cannot believe us, but may look whether we live. In IKEv1 nobody answers (RFC 2408 section 5.2 permits
// it): what is in clear is believed by nobody.
func (s *Shard) unknownSPI(now time.Time, h wire.Header, d machine.Datagram) {
	s.c.Counters.DroppedUnknownSPI.Add(1)
	s.c.Gate.note(now, noteMalformed, d.Remote.Addr(), "no IKE SA has this SPI")
	if h.Major == majorVersion && h.Flags&wire.FlagResponse == 0 && s.c.Gate.maySendError(now, d.Remote.Addr()) {
		s.answer(d, s.c.Protocol.InvalidSPI(d.Bytes))
	}
}

// sane checks what the header must say of every message.
func (s *Shard) sane(now time.Time, d machine.Datagram) (wire.Header, bool) {
	h, err := wire.ParseHeader(d.Bytes)
	switch {
	case err != nil:
		s.malformed(now, d, err.Error())
	case h.Major > majorVersion:
		s.higherVersion(now, h, d)
	case h.Major < majorVersion && !s.speaks1(h):
		s.c.Counters.DroppedVersion.Add(1)
		s.c.Gate.note(now, noteMalformed, d.Remote.Addr(), unspoken(h.Major))
	case int64(h.Length) != int64(len(d.Bytes)):
		s.malformed(now, d, "the length in the header is not that of the datagram")
	case h.InitiatorSPI == 0:
		s.malformed(now, d, "the initiator's SPI is zero") // RFC 7296 section 3.1
	default:
		return h, true
	}
	return h, false
}

func (s *Shard) malformed(now time.Time, d machine.Datagram, reason string) {
	s.c.Counters.DroppedMalformed.Add(1)
	s.c.Gate.note(now, noteMalformed, d.Remote.Addr(), reason)
}

// higherVersion drops a message of a higher major version, and tells the sender of a request which one we speak (RFC 7296
// section 2.5).
func (s *Shard) higherVersion(now time.Time, h wire.Header, d machine.Datagram) {
	s.c.Counters.DroppedVersion.Add(1)
	s.c.Gate.note(now, noteMalformed, d.Remote.Addr(), unspoken(h.Major))
	if h.Flags&wire.FlagResponse == 0 && s.c.Gate.maySendError(now, d.Remote.Addr()) {
		s.answer(d, s.c.Protocol.InvalidMajorVersion(d.Bytes))
	}
}

// speaks1 reports whether IKEv1 is on, or was when the SA of the message was made.
func (s *Shard) speaks1(h wire.Header) bool {
	return h.Major == majorVersion1 && (s.c.IKEv1 != nil || !isFirst(h) && s.find1(h) != nil)
}

func unspoken(major uint8) string {
	if major == majorVersion1 {
		return "IKEv1 is off: no connection has version = 1"
	}
	return fmt.Sprintf("major version %d is not spoken here", major)
}

// isFirst tells a message that asks for a new SA: an IKE_SA_INIT request of an initiator that knows no SPI of ours, or what
// comes to that in IKEv1.
func isFirst(h wire.Header) bool {
	if h.Major == majorVersion1 {
		return isFirst1(h)
	}
	return h.Exchange == ikeSAInit && h.ResponderSPI == 0 && h.MessageID == 0 &&
		h.Flags&(wire.FlagInitiator|wire.FlagResponse) == wire.FlagInitiator
}

// localSPI returns the SPI that we chose: whoever sends with the Initiator flag chose the first one (RFC 7296 section
// 2.6).
func localSPI(h wire.Header) uint64 {
	if h.Flags&wire.FlagInitiator != 0 {
		return h.ResponderSPI
	}
	return h.InitiatorSPI
}

// first takes an IKE_SA_INIT request: a repetition to the SA that it made, a new one through the gate.
func (s *Shard) first(now time.Time, h wire.Header, d machine.Datagram) {
	if h.Major == majorVersion1 {
		s.first1(now, h, d)
		return
	}
	key := initKeyOf(d)
	if e := s.inits[key]; e != nil {
		s.step(now, e, d)
		return
	}
	if s.closed {
		s.c.Counters.DroppedStopping.Add(1)
		return
	}
	f, err := s.c.Protocol.Inspect(d.Bytes)
	if err != nil {
		s.malformed(now, d, err.Error())
		return
	}
	// RFC 7296 section 2.6: a cookie that is not ours is ignored, as if there were none.
	keys := s.c.Gate.keys(now)
	verified := f.Cookie != nil && (s.c.Protocol.VerifyCookie(keys[0], f, d.Remote) || s.c.Protocol.VerifyCookie(keys[1], f, d.Remote))
	switch v, reason := s.c.Gate.judge(now, d.Remote.Addr(), verified); v {
	case admit:
		s.admit(now, majorVersion, s.c.Protocol, key, d)
	case demand:
		s.demand(keys[0], f, d)
	case refuse:
		s.refuse(now, d, reason)
	}
	if verified {
		s.c.Counters.CookiesVerified.Add(1)
	}
}

// admit makes the responder's SA.
func (s *Shard) admit(now time.Time, major uint8, v Version, key initKey, d machine.Datagram) {
	b, err := s.birth(d.Local, d.Remote)
	if err != nil {
		s.giveBack(major, d.Remote.Addr())
		return
	}
	e := s.add(&sa{owner: machine.Owner(b.SPI), major: major, machine: v.NewResponder(b), init: key, from: d.Remote.Addr(),
		track: s.record(v, b, "", now)})
	s.inits[key] = e
	s.c.Counters.HalfOpen.Add(1)
	s.step(now, e, d)
}

// demand answers with a cookie and keeps nothing (RFC 7296 section 2.6). However many there are to one source, they cost it
// no more than what claims to come from it.
func (s *Shard) demand(key CookieKey, f First, d machine.Datagram) {
	s.c.Counters.CookiesSent.Add(1)
	s.answer(d, s.c.Protocol.CookieReply(key, f, d.Remote))
}

func (s *Shard) refuse(now time.Time, d machine.Datagram, reason string) {
	s.c.Counters.DroppedRefused.Add(1)
	s.c.Gate.note(now, noteRefused, d.Remote.Addr(), reason)
}

// answer sends a stateless reply to where d came from.
func (s *Shard) answer(d machine.Datagram, b []byte) {
	if b != nil {
		s.c.Counters.DatagramsOut.Add(1)
		s.c.Sender.Send(d.Local, d.Remote, b)
	}
}
