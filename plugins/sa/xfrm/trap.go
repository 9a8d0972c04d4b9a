package xfrm

import (
	"net/netip"

	"github.com/vishvananda/netlink/nl"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
)

// sizeofUserAcquire is struct xfrm_user_acquire up to the policy, which begins at offset policyInAcquire.
const (
	sizeofUserAcquire = 280
	sourceInAcquire   = 24 + 16 // the packet's selector
	policyInAcquire   = sourceInAcquire + nl.SizeofXfrmSelector
)

// acquired handles struct xfrm_user_acquire: a packet met a policy that has no SA. The kernel then waits for one and tells nothing
// more of this policy for net.core.xfrm_acq_expires seconds, 30 by default.
func (p *Plugin) acquired(b []byte) {
	if len(b) < sizeofUserAcquire {
		return
	}
	sel := nl.DeserializeXfrmSelector(b[policyInAcquire:])
	packet := nl.DeserializeXfrmSelector(b[sourceInAcquire:])
	p.Acquired(named(trafficOf(sel), b[sizeofUserAcquire:]), packet.Proto,
		netip.AddrPortFrom(addressOf(packet.Saddr, packet.Family), nl.Swap16(packet.Sport)),
		netip.AddrPortFrom(addressOf(packet.Daddr, packet.Family), nl.Swap16(packet.Dport)))
}

// trafficOf is the reverse of selector for outbound policies.
func trafficOf(s *nl.XfrmSelector) kernel.Traffic {
	return kernel.Traffic{Local: netip.PrefixFrom(addressOf(s.Saddr, s.Family), int(s.PrefixlenS)), Remote: netip.PrefixFrom(addressOf(s.Daddr, s.Family), int(s.PrefixlenD)),
		Proto: s.Proto, LocalPort: nl.Swap16(s.Sport), RemotePort: nl.Swap16(s.Dport)}
}
