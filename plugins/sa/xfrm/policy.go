package xfrm

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/sdk/sa"
)

func selector(t kernel.Traffic, dir uint8) nl.XfrmSelector {
	src, dst, sport, dport := t.Local, t.Remote, t.LocalPort, t.RemotePort
	if dir != kernel.DirOut {
		src, dst, sport, dport = dst, src, dport, sport
	}
	s := nl.XfrmSelector{Family: family(src.Addr()), Saddr: address(src.Addr()), Daddr: address(dst.Addr()),
		PrefixlenS: uint8(src.Bits()), PrefixlenD: uint8(dst.Bits()), Proto: t.Proto, Sport: nl.Swap16(sport), Dport: nl.Swap16(dport)}
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
	to.Local, to.Remote = kernel.Outer(c)
	h := kernel.Outbound(&to)
	if dir != kernel.DirOut {
		h = kernel.Inbound(&to)
	}
	t := nl.XfrmUserTmpl{Saddr: address(h.Src), Family: family(h.Dst), Reqid: reqID(c), Mode: modeTunnel, Aalgos: ^uint32(0), Ealgos: ^uint32(0), Calgos: ^uint32(0)}
	if c.Mode == sa.Transport {
		t.Mode = modeTransport
	}
	t.XfrmId = nl.XfrmId{Daddr: address(h.Dst), Proto: unix.IPPROTO_ESP}
	if h.Out { // this very SA and no other of the reqid; inwards all of the reqid may come
		t.XfrmId.Spi = nl.Swap32(h.SPI)
	}
	return t.Serialize()
}

// PutPolicy makes a policy point to a child. Another's policy with the same selector is an error.
func (k *driver) PutPolicy(c *sa.Child, t kernel.Traffic, dir uint8) error {
	m := nl.XfrmUserpolicyInfo{Sel: selector(t, dir), Priority: t.Priority(), Dir: dir}
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
		return fmt.Errorf("a policy of another program for %v to %v is in the way; remove it (ip xfrm policy): %w", t.Local, t.Remote, unix.EEXIST)
	}
	return k.request(nl.XFRM_MSG_UPDPOLICY, &m, tmpl)
}

// getPolicy returns the reqid of a policy's first template, 0 when it has none; false when there is no policy.
func (k *driver) getPolicy(t kernel.Traffic, dir uint8) (reqid uint32, ok bool, err error) {
	req := nl.NewNetlinkRequest(nl.XFRM_MSG_GETPOLICY, unix.NLM_F_ACK)
	req.Sockets = k.sockets
	req.AddData(&nl.XfrmUserpolicyId{Sel: selector(t, dir), Dir: dir})
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

// DropPolicy deletes a policy of ours.
func (k *driver) DropPolicy(t kernel.Traffic, dir uint8) error {
	reqid, ok, err := k.getPolicy(t, dir)
	if err != nil || !ok || !ours(reqid) {
		return err
	}
	req := nl.NewNetlinkRequest(nl.XFRM_MSG_DELPOLICY, unix.NLM_F_ACK)
	req.Sockets = k.sockets
	req.AddData(&nl.XfrmUserpolicyId{Sel: selector(t, dir), Dir: dir})
	if _, err = req.Execute(unix.NETLINK_XFRM, 0); errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
