package xfrm

import (
	"github.com/vishvananda/netlink/nl"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

// limits are those of a child's SA in one direction.
func limits(c *sa.Child, out bool) (l nl.XfrmLifetimeCfg) {
	l.SoftByteLimit, l.HardByteLimit = orInfinite(c.Soft.Bytes), orInfinite(c.Hard.Bytes)
	l.SoftPacketLimit, l.HardPacketLimit = orInfinite(c.Soft.Packets), orInfinite(c.Hard.Packets)
	if out && !c.ESN {
		l.SoftPacketLimit, l.HardPacketLimit = min(l.SoftPacketLimit, kernel.SoftNumber), min(l.HardPacketLimit, kernel.HardNumber)
	}
	return l
}

func orInfinite(n uint64) uint64 {
	if n == 0 {
		return nl.XFRM_INF
	}
	return n
}
