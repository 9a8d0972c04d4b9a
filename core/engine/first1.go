package engine

import (
	"net/netip"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
)

const (
	majorVersion1 = 1
	// Exchange types of RFC 2408 section 3.1 that make an ISAKMP SA.
	identityProtection = wire.ExchangeType(2) // main mode of RFC 2409 section 5
	aggressive         = wire.ExchangeType(4)
	flagEncryption     = wire.Flags(1) // RFC 2408 section 3.1
)

// Protocol1 is IKEv1 under one configuration.
//
// A message of IKEv1 does not say which of its two cookies is ours. So an SA lives in the shard of its initiator's cookie, whoever
// that is, and machines of it may not Spawn.
type Protocol1 interface {
	Version
	// Inspect reads a first message without keeping anything. An error says that the message is malformed.
	Inspect(packet []byte) error
	// Expects reports whether a connection may have its peer at that address.
	Expects(local, remote netip.Addr) bool
}

// isFirst1 tells a message that asks for a new ISAKMP SA (RFC 2408 section 3.1): no cookie of ours, message ID 0, in clear.
func isFirst1(h wire.Header) bool {
	return h.ResponderSPI == 0 && h.MessageID == 0 && h.Flags&flagEncryption == 0 &&
		(h.Exchange == identityProtection || h.Exchange == aggressive)
}

// find1 returns the ISAKMP SA that has one of the cookies of a message, nil when there is none.
func (s *Shard) find1(h wire.Header) *sa {
	for _, cookie := range []uint64{h.ResponderSPI, h.InitiatorSPI} {
		if e := s.sas[machine.Owner(cookie)]; e != nil && e.major == majorVersion1 {
			return e
		}
	}
	return nil
}

// first1 takes a first message of IKEv1: a repetition to the SA that it made, a new one through the gate. Who is not expected at an
// address costs no more than reading a header.
func (s *Shard) first1(now time.Time, h wire.Header, d machine.Datagram) {
	key := initKeyOf(d)
	if e := s.inits[key]; e != nil {
		s.step(now, e, d)
		return
	}
	if s.closed {
		s.c.Counters.DroppedStopping.Add(1)
		return
	}
	if !s.c.IKEv1.Expects(d.Local.Addr(), d.Remote.Addr()) {
		s.refuse(now, d, "no connection with version = 1 has its peer here")
		return
	}
	if err := s.c.IKEv1.Inspect(d.Bytes); err != nil {
		s.malformed(now, d, err.Error())
		return
	}
	if v, reason := s.c.Gate.judge1(now, d.Remote.Addr(), h.Exchange == aggressive); v != admit {
		s.refuse(now, d, reason)
		return
	}
	s.admit(now, majorVersion1, s.c.IKEv1, key, d)
}
