package ikev1

import (
	"time"

	"github.com/parley-ike/parley/core/policy"
)

// Env is what all SAs of a daemon share. It is immutable.
type Env struct {
	Policy *policy.Snapshot
	Limits Limits
	// ExportKeys has every ISAKMP SA give away its key in the effect machine.Export.
	ExportKeys bool
}

// Limits bound how long an SA waits where no connection says so. A zero field takes its default.
type Limits struct {
	// RefusalGrace is how long phase 1 goes on after a sign of failure that anyone could have forged: an error notify in clear, or
	// a message that the keys do not open. Default 5 s: the real answer, if there is one, comes within some round trips.
	RefusalGrace time.Duration
	// Linger is how long the last message of an exchange is kept for repetition, should the peer have missed it. Default 20 s:
	// some repetitions of the peer's.
	Linger time.Duration
	// RemovalWait is how long SA backends may take to remove the children of an ended SA, all attempts together.
	// Default 15 s; what they still hold then is found by reconciliation.
	RemovalWait time.Duration
	// Grace is how long a child is kept after another took its place, for packets on their way. Default 10 s: the peer may go on
	// to send by the old one until it has seen that the new one works.
	Grace time.Duration
}

// withDefaults returns l with every zero field filled in.
func (l Limits) withDefaults() Limits {
	fill := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	fill(&l.RefusalGrace, 5*time.Second)
	fill(&l.Linger, 20*time.Second)
	fill(&l.RemovalWait, 15*time.Second)
	fill(&l.Grace, 10*time.Second)
	return l
}

const (
	// nonceLen is the size of our nonces in octets; RFC 2409 section 5 permits 8 to 256.
	nonceLen = 32
	// espSPISize and cookiesSize are sizes of SPIs in octets: of ESP, and of an ISAKMP SA, both cookies.
	espSPISize, cookiesSize = 4, 16
	// maxNotices bounds the events that one message can cause.
	maxNotices = 8
	// maxEarly bounds how many messages of phase 2 wait for the end of phase 1, which a peer may overtake by the time that a plugin
	// takes.
	maxEarly = 4
	// maxQuick bounds the quick modes that a peer may have under way at once; each costs a call or two.
	maxQuick = 32
	// maxUsed bounds how many message IDs of the peer an ISAKMP SA remembers. An honest peer uses some in an hour; an SA that has
	// seen so many takes no more quick modes.
	maxUsed = 4096

	// integrityPause is the least time between two events about messages that are not authentic, which cost an attacker
	// one packet each.
	integrityPause = time.Minute
)

// never is no instant at all.
var never time.Time

// UDP ports of IKE (RFC 2408 section 2.5.1, RFC 3947 section 4).
const (
	portIKE = 500
	portNAT = 4500
)
