package engine

import "sync/atomic"

// Counters count since the start; the last group are gauges. All fields may be read at any time.
type Counters struct {
	DatagramsIn, DatagramsOut atomic.Uint64
	Steps                     atomic.Uint64
	Calls, Replies            atomic.Uint64
	CookiesSent               atomic.Uint64
	CookiesVerified           atomic.Uint64

	DroppedMalformed  atomic.Uint64 // broken header, broken first message
	DroppedVersion    atomic.Uint64 // IKEv1 while it is off, or a version above 2
	DroppedUnknownSPI atomic.Uint64
	DroppedRefused    atomic.Uint64 // first messages above a limit
	DroppedStopping   atomic.Uint64 // first messages while the engine stops
	DroppedFull       atomic.Uint64 // the inbox was full
	DroppedReplies    atomic.Uint64 // replies to SAs that have ended

	SAs, HalfOpen, Established atomic.Int64

	spawned, adopted atomic.Uint64 // SAs that grew out of others, as they leave one shard and arrive at another
}
