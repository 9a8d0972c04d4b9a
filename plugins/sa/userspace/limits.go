package userspace

import (
	"math"
	"sync/atomic"

	"github.com/parley-ike/parley/sdk/sa"
)

// softNumber is the outbound sequence number at which a child without ESN asks for its successor: a sixteenth is left, minutes of
// the fastest path there is (RFC 4303 section 3.3.3: the counter must never cycle).
const softNumber = 15 << 28

// What was told of a child's limits.
const (
	toldNothing uint32 = iota
	toldSoft
	toldHard
)

// limits are how much a child may carry in each direction. They never change; updates of a child share what was told.
type limits struct {
	soft, hard sa.Volume // no limit is the largest number
	number     uint64    // outbound sequence number from which on there is something to tell
	told       *atomic.Uint32
}

func newLimits(c *sa.Child) limits {
	l := limits{soft: unlimited(c.Soft), hard: unlimited(c.Hard), number: softNumber, told: &atomic.Uint32{}}
	if c.ESN {
		l.number = math.MaxUint64
	}
	return l
}

func unlimited(v sa.Volume) sa.Volume {
	if v.Bytes == 0 {
		v.Bytes = math.MaxUint64
	}
	if v.Packets == 0 {
		v.Packets = math.MaxUint64
	}
	return v
}

// reached names the limit that was, "" for none.
func reached(v sa.Volume, bytes, packets uint64) string {
	switch {
	case bytes >= v.Bytes:
		return sa.Bytes
	case packets >= v.Packets:
		return sa.Packets
	}
	return ""
}

// spend counts a packet of n octets; false when the child has carried as much as it may.
func (c *child) spend(bytes, packets *atomic.Uint64, n int, tell func(sa.Event) bool) bool {
	if why := reached(c.limits.hard, bytes.Load(), packets.Load()); why != "" {
		c.expire(toldHard, why, tell)
		return false
	}
	b, p := bytes.Add(uint64(n)), packets.Add(1)
	if why := reached(c.limits.soft, b, p); why != "" {
		c.expire(toldSoft, why, tell)
	}
	return true
}

// number counts one outbound sequence number; false when there is none left.
func (c *child) number(tell func(sa.Event) bool) (uint64, bool) {
	n, ok := c.next()
	switch {
	case n < c.limits.number:
	case ok:
		c.expire(toldSoft, sa.SequenceNumbers, tell)
	default:
		c.expire(toldHard, sa.SequenceNumbers, tell)
	}
	return n, ok
}

// expire tells of a limit once. What finds no room is told with the next packet.
func (c *child) expire(level uint32, why string, tell func(sa.Event) bool) {
	before := c.limits.told.Load()
	if before >= level || !c.limits.told.CompareAndSwap(before, level) {
		return
	}
	if !tell(sa.Expired{SPIIn: c.SPIIn, Hard: level == toldHard, Cause: why}) {
		c.limits.told.Store(before)
	}
}
