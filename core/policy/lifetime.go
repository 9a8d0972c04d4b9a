package policy

import "time"

// Lifetime says how long an SA may live (RFC 7296 section 2.8). Before that it is replaced; what cannot be replaced ends. The two
// sides agree on nothing: each keeps its own.
type Lifetime struct {
	Time    time.Duration // 0: for ever
	Margin  time.Duration // how long before its end an SA is replaced; 0: a tenth of Time
	Jitter  time.Duration // over which chance spreads that, so that the two sides rarely begin at once; 0: a tenth of Time
	Bytes   uint64        // of a child in one direction; 0: no limit
	Packets uint64        // likewise
}

// Defaults of lifetimes: what most implementations have.
const (
	DefaultIKELifetime   = 4 * time.Hour
	DefaultChildLifetime = time.Hour
	// lifetimeShare is the part of a lifetime that margin and jitter have by default: minutes of the usual lifetimes, far more than
	// an exchange takes even with all its repetitions.
	lifetimeShare = 10
)

// Soft returns when an SA is to be replaced, for a random number of 64 bits; 0: never.
func (l Lifetime) Soft(random uint64) time.Duration {
	if l.Time == 0 {
		return 0
	}
	margin, jitter := l.Margin, l.Jitter
	setDefault(&margin, l.Time/lifetimeShare)
	setDefault(&jitter, l.Time/lifetimeShare)
	return max(l.Time-margin-time.Duration(random%uint64(max(jitter, 1))), 1)
}

// SoftVolume returns the same for a limit of bytes or packets, of which margin and jitter are a tenth each. What crosses while the SA is
// replaced must be less than that tenth, because packets beyond the limit are dropped (RFC 4301 section 4.4.2.1).
func SoftVolume(limit, random uint64) uint64 {
	share := limit / lifetimeShare
	if share == 0 {
		return limit
	}
	return limit - share - random%share
}
