package ikev2

import (
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
)

// tellWeak tells when an SA that has come up stands on what is weak, once: not when it is replaced.
func (s *SA) tellWeak(scope string, of suite.Suite) {
	if list := policy.WeakIn(of); len(list) > 0 {
		s.emit(event.WeakAlgorithm{Scope: scope, What: list, Reason: policy.WeakReason(list)})
	}
}
