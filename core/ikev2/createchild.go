package ikev2

import (
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// answerCreateChild refuses children and rekeying, which are not supported yet: NO_ADDITIONAL_SAS tells the peer to delete
// the old SA and make a new one instead (RFC 7296 sections 1.3 and 4). While we are closing the SA the answer is
// TEMPORARY_FAILURE (section 2.25.2).
func (s *SA) answerCreateChild(packet) {
	if s.state == Deleting {
		s.respond(wire2.Notify{Kind: wire2.TemporaryFailure})
		return
	}
	s.respond(wire2.Notify{Kind: wire2.NoAdditionalSAs})
	s.childFailed("", failure{cause: event.CauseUnsupported, notify: wire2.NoAdditionalSAs, by: byUs,
		reason: "the peer asked for another child SA or a rekeying, which is not supported yet"})
}
