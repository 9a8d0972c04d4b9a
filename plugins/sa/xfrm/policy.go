package xfrm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// Directions of a policy, in the kernel's order.
const (
	dirIn, dirOut, dirFwd = 0, 1, 2
)

// Policies.
const (
	maxPolicies  = 256    // per direction and child; more means selectors that are no subnets
	basePriority = 100000 // lower numbers win; others' defaults are far above
)

// traffic is the selector of one policy, as seen from us.
type traffic struct {
	local, remote         netip.Prefix
	proto                 uint8
	localPort, remotePort uint16 // 0: all
}

// policies translates a child's traffic selectors into those of policies.
func policies(c *sa.Child) ([]traffic, error) {
	var out []traffic
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
					out = append(out, traffic{lx, rx, max(l.Protocol, r.Protocol), lp, rp})
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

// priority puts narrow policies before wide ones.
func (t traffic) priority() uint32 {
	p := uint32(basePriority) + uint32(256-t.local.Bits()-t.remote.Bits())*4
	if t.proto == 0 {
		p += 2
	}
	if t.localPort == 0 && t.remotePort == 0 {
		p++
	}
	return p
}

func (t traffic) selector(dir uint8) nl.XfrmSelector {
	src, dst, sport, dport := t.local, t.remote, t.localPort, t.remotePort
	if dir != dirOut {
		src, dst, sport, dport = dst, src, dport, sport
	}
	s := nl.XfrmSelector{Family: family(src.Addr()), Saddr: address(src.Addr()), Daddr: address(dst.Addr()),
		PrefixlenS: uint8(src.Bits()), PrefixlenD: uint8(dst.Bits()), Proto: t.proto, Sport: nl.Swap16(sport), Dport: nl.Swap16(dport)}
	if sport != 0 {
		s.SportMask = 1<<16 - 1
	}
	if dport != 0 {
		s.DportMask = 1<<16 - 1
	}
	return s
}

// template says which SA a policy's packets need.
func template(c *sa.Child, dir uint8) []byte {
	to := *c
	to.Local, to.Remote = outer(c)
	h := outbound(&to)
	if dir != dirOut {
		h = inbound(&to)
	}
	t := nl.XfrmUserTmpl{Saddr: address(h.src), Family: family(h.dst), Reqid: reqID(c), Mode: modeTunnel, Aalgos: ^uint32(0), Ealgos: ^uint32(0), Calgos: ^uint32(0)}
	if c.Mode == sa.Transport {
		t.Mode = modeTransport
	}
	t.XfrmId = nl.XfrmId{Daddr: address(h.dst), Proto: unix.IPPROTO_ESP}
	if h.out { // this very SA and no other of the reqid; inwards all of the reqid may come
		t.XfrmId.Spi = nl.Swap32(h.spi)
	}
	return t.Serialize()
}

// putPolicy makes a policy point to a child. Another's policy with the same selector is an error.
func (k *kernel) putPolicy(c *sa.Child, t traffic, dir uint8) error {
	m := nl.XfrmUserpolicyInfo{Sel: t.selector(dir), Priority: t.priority(), Dir: dir}
	m.Lft.SoftByteLimit, m.Lft.HardByteLimit = nl.XFRM_INF, nl.XFRM_INF
	m.Lft.SoftPacketLimit, m.Lft.HardPacketLimit = nl.XFRM_INF, nl.XFRM_INF
	tmpl := attribute{nl.XFRMA_TMPL, template(c, dir)}
	err := k.request(nl.XFRM_MSG_NEWPOLICY, &m, tmpl)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	reqid, _, err := k.getPolicy(t, dir)
	if err != nil {
		return err
	}
	if !ours(reqid) {
		return fmt.Errorf("a policy of another program for %v to %v is in the way; remove it (ip xfrm policy): %w", t.local, t.remote, unix.EEXIST)
	}
	return k.request(nl.XFRM_MSG_UPDPOLICY, &m, tmpl)
}

// getPolicy returns the reqid of a policy's first template, 0 when it has none; false when there is no policy.
func (k *kernel) getPolicy(t traffic, dir uint8) (reqid uint32, ok bool, err error) {
	req := nl.NewNetlinkRequest(nl.XFRM_MSG_GETPOLICY, unix.NLM_F_ACK)
	req.Sockets = k.sockets
	req.AddData(&nl.XfrmUserpolicyId{Sel: t.selector(dir), Dir: dir})
	msgs, err := req.Execute(unix.NETLINK_XFRM, 0)
	if errors.Is(err, unix.ENOENT) {
		return 0, false, nil
	}
	if err != nil || len(msgs) == 0 || len(msgs[0]) < nl.SizeofXfrmUserpolicyInfo {
		return 0, false, errors.Join(err)
	}
	attrs, err := nl.ParseRouteAttr(msgs[0][nl.SizeofXfrmUserpolicyInfo:])
	if err != nil {
		return 0, false, err
	}
	for _, a := range attrs {
		if a.Attr.Type == nl.XFRMA_TMPL && len(a.Value) >= nl.SizeofXfrmUserTmpl {
			return nl.DeserializeXfrmUserTmpl(a.Value).Reqid, true, nil
		}
	}
	return 0, true, nil
}

// dropPolicy deletes a policy of ours.
func (k *kernel) dropPolicy(t traffic, dir uint8) error {
	reqid, ok, err := k.getPolicy(t, dir)
	if err != nil || !ok || !ours(reqid) {
		return err
	}
	req := nl.NewNetlinkRequest(nl.XFRM_MSG_DELPOLICY, unix.NLM_F_ACK)
	req.Sockets = k.sockets
	req.AddData(&nl.XfrmUserpolicyId{Sel: t.selector(dir), Dir: dir})
	if _, err = req.Execute(unix.NETLINK_XFRM, 0); errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
