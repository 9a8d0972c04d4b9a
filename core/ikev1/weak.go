package ikev1

import (
	"github.com/parley-ike/parley/bus/event"
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
	s.emit(weak)
}
