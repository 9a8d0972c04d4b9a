package ikev1

import (
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is what a responder says of an SA beside its proposal (RFC 2407 section 4.6.3): a lifetime that is shorter than what was
// offered, and that it does not look for replayed packets. Both stand under the protection of the ISAKMP SA.

// notices returns the notifies that go with the answer to a quick mode, about the SA by which we receive.
func (q *quick) notices() (ps []wire1.Payload) {
	about := func(kind wire1.NotifyType, data []byte) {
		ps = append(ps, wire1.Notify{DOI: wire1.DOIIPsec, Protocol: wire1.ProtoESP, SPI: spiBytes(q.spi), Kind: kind, Data: data})
	}
	if data := policy.ResponderLifetime(wire1.ProtoESP, q.terms, q.conf.Lifetime); data != nil {
		about(wire1.ResponderLifetime, data)
	}
	if q.conf.ReplayWindow == 0 {
		about(wire1.ReplayStatus, []byte{0, 0, 0, 0}) // section 4.6.3.2: disabled
	}
	return ps
}

// tellLifetime tells the initiator of phase 1 when our ISAKMP SA ends before it thinks so. In main mode it might go with the last message;
// in aggressive mode that is not ours.
func (x *phase1) tellLifetime() {
	s := x.s
	if data := policy.ResponderLifetime(wire1.ProtoISAKMP, x.terms, s.conn.Lifetime); data != nil && !s.initiator {
		n := s.notify(wire1.ResponderLifetime)
		n.Data = data
		s.inform(n)
	}
}
