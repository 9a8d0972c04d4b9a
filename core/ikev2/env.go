package ikev2

import (
	"time"

	"github.com/parley-ike/parley/core/policy"
)

// Env is what all SAs of a daemon share. It is immutable.
type Env struct {
	Policy *policy.Snapshot
	Limits Limits
	// ExportKeys has every IKE SA give away its keys in the effect machine.Export.
	ExportKeys bool
}

// Limits bound how long an SA waits where no connection says so. A zero field takes its default.
type Limits struct {
	// RefusalGrace is how long IKE_SA_INIT goes on after an error notify, which anyone could have forged (RFC 7296
	// section 2.21.1). Default 5 s: the real answer, if there is one, comes within some round trips.
	RefusalGrace time.Duration
	// DeleteWait is how long the peer may take to confirm our deletion of an IKE SA. Default 10 s: enough for four
	// transmissions, and an operator does not wait longer for a dead peer.
	DeleteWait time.Duration
	// Linger is how long the last response is kept after an SA has ended, for a peer that missed it. Default 20 s:
	// four or five repetitions of a common peer.
	Linger time.Duration
	// RemovalWait is how long SA backends may take to remove the children of an ended SA, all attempts together.
	// Default 15 s; what they still hold then is found by reconciliation.
	RemovalWait time.Duration
	// HoldWait is how long the answerer of a child's rekeying waits for the Delete of the old child before it uses the new one
	// and deletes the old one itself. Default 60 s: the old one still works, and the initiator may have to ask again for the
	// answer.
	HoldWait time.Duration
	// Grace is how long a child is kept after it was replaced and deleted, for packets on their way. Default 5 s: far above
	// what a network delays packets.
	Grace time.Duration
	// BusyWait is how long a peer may go on answering TEMPORARY_FAILURE before it is held to have lost track of the SA, which
	// is deleted then. Default 4 minutes: RFC 7296 section 2.25 says "several".
	BusyWait time.Duration
}

// withDefaults returns l with every zero field filled in.
func (l Limits) withDefaults() Limits {
	fill := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	fill(&l.RefusalGrace, 5*time.Second)
	fill(&l.DeleteWait, 10*time.Second)
	fill(&l.Linger, 20*time.Second)
	fill(&l.RemovalWait, 15*time.Second)
	fill(&l.HoldWait, 60*time.Second)
	fill(&l.Grace, 5*time.Second)
	fill(&l.BusyWait, 4*time.Minute)
	return l
}

const (
	// maxInitRetries bounds how often a peer may make us repeat IKE_SA_INIT with a cookie or another group (RFC 7296
	// sections 2.6 and 2.6.1): two cookies and a group in the longest honest dialogue, and room for forged ones.
	maxInitRetries = 8
	// nonceLen is the size of our nonces: half the key of the largest PRF is 32 octets (RFC 7296 section 2.10).
	nonceLen = 32
	// maxMessageID is the last usable message ID (RFC 7296 section 2.2).
	maxMessageID = 1<<32 - 1
	// espSPISize is the size of a child's SPI in octets (RFC 4303 section 2.1).
	espSPISize = 4
	// maxNotices bounds the events that one message can cause.
	maxNotices = 8

	// The first pause before a request is made again that the peer put off with TEMPORARY_FAILURE, and the longest: its own
	// exchange, which was in the way, takes some round trips (RFC 7296 section 2.25).
	firstPause = 2 * time.Second
	maxPause   = 30 * time.Second

	// integrityPause is the least time between two events about messages that are not authentic, which cost an attacker
	// one packet each.
	integrityPause = time.Minute
)

// never is no instant at all.
var never time.Time

// UDP ports of IKE (RFC 7296 section 2.23).
const (
	portIKE = 500
	portNAT = 4500
)
