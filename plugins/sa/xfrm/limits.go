package xfrm

import (
	"github.com/vishvananda/netlink/nl"

	"github.com/parley-ike/parley/sdk/sa"
)

// The kernel drops what would cycle a sequence number (RFC 4303 section 3.3.3) without a word, so a child without ESN gets limits in
// packets that lie before. The rest is for the jumps of its moves.
const (
	softNumber = 15 << 28
	hardNumber = 1<<32 - 1<<26
)

// limits are those of a child's SA in one direction.
func limits(c *sa.Child, out bool) (l nl.XfrmLifetimeCfg) {
	l.SoftByteLimit, l.HardByteLimit = orInfinite(c.Soft.Bytes), orInfinite(c.Hard.Bytes)
	l.SoftPacketLimit, l.HardPacketLimit = orInfinite(c.Soft.Packets), orInfinite(c.Hard.Packets)
	if out && !c.ESN {
		l.SoftPacketLimit, l.HardPacketLimit = min(l.SoftPacketLimit, softNumber), min(l.HardPacketLimit, hardNumber)
	}
	return l
}

func orInfinite(n uint64) uint64 {
	if n == 0 {
		return nl.XFRM_INF
	}
	return n
}

// cause names the limit that an SA has reached, "" for none.
func cause(c *sa.Child, v sa.Volume, m *nl.XfrmUsersaInfo) string {
	switch {
	case v.Bytes != 0 && m.Curlft.Bytes >= v.Bytes:
		return sa.Bytes
	case v.Packets != 0 && m.Curlft.Packets >= v.Packets:
		return sa.Packets
	case !c.ESN && m.Curlft.Packets >= softNumber:
		return sa.SequenceNumbers
	}
	return ""
}
