package kernel

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// Directions of a policy, in the kernel's order.
const (
	DirIn, DirOut, DirFwd = 0, 1, 2
)

// Limits of policies.
const (
	maxPolicies  = 256    // per direction and child; more means selectors that are no subnets
	basePriority = 100000 // lower numbers win; others' defaults are far above
)

// Traffic names one policy, as seen from us: its selector, and what else tells it from others with the same one.
type Traffic struct {
	Local, Remote         netip.Prefix
	Proto                 uint8
	LocalPort, RemotePort uint16 // 0: all
	Mark, Mask, IfID      uint32 // of sa.Handling
}

// Policies translates a child's traffic selectors into those of policies.
func Policies(c *sa.Child) ([]Traffic, error) {
	var out []Traffic
	for i := range c.LocalTS {
		for j := range c.RemoteTS {
			l, r := &c.LocalTS[i], &c.RemoteTS[j]
			if l.Start.BitLen() != r.Start.BitLen() || l.Protocol != r.Protocol && l.Protocol != 0 && r.Protocol != 0 {
				continue
			}
			lp, err := port(l)
			if err != nil {
				return nil, err
			}
			rp, err := port(r)
			if err != nil {
				return nil, err
			}
			locals, remotes := l.Prefixes(), r.Prefixes()
			if n := len(out) + len(locals)*len(remotes); n > maxPolicies { // before they are made: a range has up to 254 prefixes
				return nil, impossible(n)
			}
			for _, lx := range locals {
				for _, rx := range remotes {
					out = append(out, Traffic{lx, rx, max(l.Protocol, r.Protocol), lp, rp, c.Handling.Mark, c.Handling.MarkMask, c.Handling.IfID})
				}
			}
		}
	}
	if len(out) == 0 {
		return nil, impossible(0)
	}
	return out, nil
}

func impossible(n int) error {
	return fmt.Errorf("traffic selectors that make %d policies or more, 1 to %d can be used: %w", n, maxPolicies, sdk.ErrUnsupported)
}

// port returns a selector's one port, or 0 for all.
func port(s *sa.Selector) (uint16, error) {
	if !s.Start.IsValid() || s.Start.BitLen() != s.End.BitLen() || s.End.Less(s.Start) {
		return 0, fmt.Errorf("traffic selector from %v to %v is no range: %w", s.Start, s.End, sdk.ErrInvalid)
	}
	switch {
	case s.StartPort == 0 && s.EndPort == 65535:
		return 0, nil
	case s.StartPort == s.EndPort && s.StartPort != 0 && slices.Contains([]uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_SCTP}, s.Protocol):
		return s.StartPort, nil
	}
	return 0, fmt.Errorf("ports %d to %d of protocol %d in one policy; one port or all: %w", s.StartPort, s.EndPort, s.Protocol, sdk.ErrUnsupported)
}

// Priority puts narrow policies before wide ones.
func (t Traffic) Priority() uint32 {
	p := uint32(basePriority) + uint32(256-t.Local.Bits()-t.Remote.Bits())*4
	if t.Proto == 0 {
		p += 2
	}
	if t.LocalPort == 0 && t.RemotePort == 0 {
		p++
	}
	return p
}
