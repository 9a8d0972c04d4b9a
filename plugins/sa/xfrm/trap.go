package xfrm

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// sizeofUserAcquire is struct xfrm_user_acquire up to the policy, which begins at offset policyInAcquire.
const (
	sizeofUserAcquire = 280
	sourceInAcquire   = 24 + 16 // the packet's selector
	policyInAcquire   = sourceInAcquire + nl.SizeofXfrmSelector
)

// trapSet are all traps of an owner.
type trapSet struct {
	Owner string    `json:"owner"`
	Traps []sa.Trap `json:"traps"`
}

// trap is a trap in the kernel: policies without SAs. Where a child has the same policies they lead to the child.
type trap struct{ sa.Trap }

// child is what a trap's policies are made from.
func (t *trap) child() *sa.Child {
	return &sa.Child{Conn: t.Conn, Name: t.Name, ReqID: t.ReqID, Mode: t.Mode, Local: t.Local, Remote: t.Remote, LocalTS: t.LocalTS, RemoteTS: t.RemoteTS}
}

// outer gives an address that is not known the form "any" of the family that is.
func outer(c *sa.Child) (local, remote netip.Addr) {
	local, remote = c.Local, c.Remote
	known := local
	switch {
	case remote.IsValid():
		known = remote
	case !local.IsValid():
		known = c.RemoteTS[0].Start
	}
	any := netip.IPv4Unspecified()
	if known.Is6() {
		any = netip.IPv6Unspecified()
	}
	if !local.IsValid() {
		local = any
	}
	if !remote.IsValid() {
		remote = any
	}
	return local, remote
}

// SetTraps implements sa.Trapper.
func (p *Plugin) SetTraps(ctx context.Context, owner string, traps []sa.Trap) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := ctx.Err()
	if err == nil {
		err = p.setTraps(trapSet{owner, traps})
	}
	if err != nil {
		return fmt.Errorf("sa/xfrm: setting %d traps: %w", len(traps), err)
	}
	return nil
}

func (p *Plugin) setTraps(set trapSet) error {
	if err := p.ready(); err != nil {
		return err
	}
	for _, t := range set.Traps {
		if err := checkTrap(t); err != nil {
			return fmt.Errorf("child %s of %s: %w", t.Name, t.Conn, err)
		}
	}
	before := p.journal.trapped(set.Owner)
	if err := p.journal.setTraps(set); err != nil {
		return err
	}
	return p.lead(append(before, p.journal.trapped(set.Owner)...), dirOut, dirFwd, dirIn)
}

func checkTrap(t sa.Trap) error {
	c := (&trap{Trap: t}).child()
	if len(c.LocalTS) == 0 || len(c.RemoteTS) == 0 {
		return fmt.Errorf("a trap without traffic selectors: %w", sdk.ErrInvalid)
	}
	if _, err := policies(c); err != nil {
		return err
	}
	if local, remote := outer(c); local.BitLen() != remote.BitLen() {
		return fmt.Errorf("outer addresses %v and %v are not two of one family: %w", local, remote, sdk.ErrInvalid)
	}
	return nil
}

// acquired handles struct xfrm_user_acquire: a packet met a policy that has no SA. The kernel then waits for one and tells nothing
// more of this policy for net.core.xfrm_acq_expires seconds, 30 by default.
func (p *Plugin) acquired(b []byte) {
	if len(b) < sizeofUserAcquire {
		return
	}
	sel := nl.DeserializeXfrmSelector(b[policyInAcquire:])
	t := p.journal.traps[trafficOf(sel)]
	if t == nil {
		return
	}
	packet := nl.DeserializeXfrmSelector(b[sourceInAcquire:])
	p.tell(sa.Acquired{Conn: t.Conn, Name: t.Name, Protocol: packet.Proto,
		Source:      netip.AddrPortFrom(addressOf(packet.Saddr, packet.Family), nl.Swap16(packet.Sport)),
		Destination: netip.AddrPortFrom(addressOf(packet.Daddr, packet.Family), nl.Swap16(packet.Dport))})
}

// trafficOf is the reverse of traffic.selector for outbound policies.
func trafficOf(s *nl.XfrmSelector) traffic {
	return traffic{local: netip.PrefixFrom(addressOf(s.Saddr, s.Family), int(s.PrefixlenS)), remote: netip.PrefixFrom(addressOf(s.Daddr, s.Family), int(s.PrefixlenD)),
		proto: s.Proto, localPort: nl.Swap16(s.Sport), remotePort: nl.Swap16(s.Dport)}
}
