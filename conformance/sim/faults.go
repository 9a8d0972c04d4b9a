package sim

import (
	"math/rand/v2"
	"time"
)

// faults says what goes wrong in a world's storm. Probabilities are of each datagram or call.
type faults struct {
	loss, duplicate, corrupt float64
	latency, jitter          time.Duration
	nat                      bool
	rebind                   float64 // of each datagram that passes the NAT

	silent, late, failing float64 // of each plugin call
	crashes               int     // of the SA backend, at each node
	pauses                int     // of a whole node
	terminate             bool    // an operator changes his mind
	both                  bool    // both sides initiate
	wrongKey              bool
	wrongProposal         bool
	wrongSelectors        bool
	cookies               bool
	otherGroup            bool // the responder wants another key exchange method first
	rekeys                rekeys
	addresses             addresses
	starved               bool // IKEv1: east waits to be given an address of a family that there is none of
	messages              messages
	roaming               roaming
	troubles              troubles
	redirects             redirects
}

// draw makes up the faults of a world. A share of the worlds has none of a kind, so that every combination occurs.
func draw(r *rand.Rand) faults {
	maybe := func(p float64) bool { return r.Float64() < p }
	scale := func(p, most float64) float64 {
		if !maybe(p) {
			return 0
		}
		return r.Float64() * most
	}
	return faults{
		loss: scale(0.7, 0.5), duplicate: scale(0.4, 0.3), corrupt: scale(0.3, 0.1),
		latency: time.Duration(1+r.IntN(50)) * time.Millisecond, jitter: time.Duration(r.IntN(2000)) * time.Millisecond,
		nat: maybe(0.3), rebind: scale(0.2, 0.05),
		silent: scale(0.3, 0.1), late: scale(0.3, 0.2), failing: scale(0.3, 0.3),
		crashes: r.IntN(3), pauses: r.IntN(2), terminate: maybe(0.2), both: maybe(0.2),
		wrongKey: maybe(0.05), wrongProposal: maybe(0.05), wrongSelectors: maybe(0.05),
		cookies: maybe(0.2), otherGroup: maybe(0.2),
	}
}

// hopeless reports whether no tunnel can come up, whatever the network does.
func (f faults) hopeless() bool {
	return f.wrongKey || f.wrongProposal || f.starved || f.redirects.hopeless()
}

// harmless reports whether the first attempt must succeed: the network loses little, and nothing else goes wrong. Seven
// transmissions fit into the half-open time of a responder; that all of a request or its response are lost has a chance of
// 1 in 100 000 then. A gateway that demands a cookie of one repetition and answers another leaves the initiator not knowing which of
// the two it is to sign, and RFC 7296 section 2.6 knows no remedy; that happens where it sends peers elsewhere at once (seed 614636).
func (f faults) harmless() bool {
	return f.loss <= 0.1 && (f.loss == 0 || !f.messages.uncertain()) && f.corrupt == 0 && f.rebind == 0 && f.silent+f.late+f.failing == 0 &&
		f.crashes == 0 && f.pauses == 0 && !f.roaming.moving() && !f.troubles.harmful() && !f.redirects.ordered() &&
		!(f.cookies && f.redirects.at == 1) && !f.terminate && !f.hopeless()
}

// calm returns the same world without what passes.
func (f faults) calm() faults {
	f.loss, f.duplicate, f.corrupt, f.rebind, f.jitter = 0, 0, 0, 0, 0
	f.silent, f.late, f.failing = 0, 0, 0
	return f
}
