package ikev1

import (
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// tellWeak tells once for each SA what it stands on: RFC 9395 made IKEv1 historic, and RFC 2409 section 5.4 lets everybody who sees
// aggressive mode with a pre-shared key guess the key offline.
func (s *SA) tellWeak() {
	weak := event.WeakAlgorithm{Scope: scopeIKE, What: []string{"IKEv1"}, Reason: "RFC 9395 retired it: use version = 2 when the peer can"}
	if s.mode == wire1.Aggressive && s.conn.Remote.Auth == authPSK {
		weak.What = append(weak.What, "aggressive mode with a pre-shared key")
		weak.Reason += ", or main mode: who saw these messages can guess the key"
	}
	if list := policy.WeakIn(s.suite); len(list) > 0 {
		weak.What = append(weak.What, list...)
		weak.Reason += "; " + policy.WeakReason(list)
	}
	s.emit(weak)
}

// tellWeakChild tells of a child that stands on what is weak, once: not when it is replaced.
func (s *SA) tellWeakChild(c *child) {
	if list := policy.WeakIn(c.suite); len(list) > 0 {
		s.emit(event.WeakAlgorithm{Scope: scopeChild, What: list, Reason: policy.WeakReason(list)})
	}
}
