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
func (k *driver) template(c *sa.Child, dir uint8) []byte {
	to := *c
	to.Local, to.Remote = kernel.Outer(c)
	h := kernel.Outbound(&to)
	if dir != kernel.DirOut {
		h = kernel.Inbound(&to)
	}
	t := nl.XfrmUserTmpl{Saddr: address(h.Src), Family: family(h.Dst), Reqid: k.reqID(c), Mode: modeTunnel, Aalgos: ^uint32(0), Ealgos: ^uint32(0), Calgos: ^uint32(0)}
	if c.Mode == sa.Transport {
		t.Mode = modeTransport
	}
	t.XfrmId = nl.XfrmId{Daddr: address(h.Dst), Proto: unix.IPPROTO_ESP}
	if h.Out { // this very SA and no other of the reqid; inwards all of the reqid may come
		t.XfrmId.Spi = nl.Swap32(h.SPI)
	}
	return t.Serialize()
}

// PutPolicy implements kernel.Driver.
func (k *driver) PutPolicy(c *sa.Child, t kernel.Traffic, dir uint8) error {
	device := k.policyDevice(c, dir)
	err := k.putPolicy(policyAllow, t, dir, append(device, attribute{nl.XFRMA_TMPL, k.template(c, dir)})...)
	if err != nil && device != nil && !errors.Is(err, errAnothers) {
		return k.declines(c, err)
	}
	return err
}

// PutShunt implements kernel.Shunter.
func (k *driver) PutShunt(action sa.Action, t kernel.Traffic, dir uint8) error {
	if action == sa.Discard {
		return k.putPolicy(policyBlock, t, dir)
	}
	return k.putPolicy(policyAllow, t, dir)
}

// XFRM_POLICY_ALLOW, which without a template lets packets pass in clear, and XFRM_POLICY_BLOCK.
const policyAllow, policyBlock = 0, 1

// putPolicy makes a policy, or changes ours. Another's with the same selector is an error.
func (k *driver) putPolicy(action uint8, t kernel.Traffic, dir uint8, attrs ...attribute) error {
	m := nl.XfrmUserpolicyInfo{Sel: selector(t, dir), Priority: t.Priority(), Dir: dir, Action: action}
	m.Lft.SoftByteLimit, m.Lft.HardByteLimit = nl.XFRM_INF, nl.XFRM_INF
	m.Lft.SoftPacketLimit, m.Lft.HardPacketLimit = nl.XFRM_INF, nl.XFRM_INF
	attrs = append(attrs, attributes(t)...)
	err := k.request(nl.XFRM_MSG_NEWPOLICY, &m, attrs...)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	owner, err := k.getPolicy(t, dir)
	if err != nil {
		return err
	}
	if owner == another {
		return fmt.Errorf("a policy of another program for %v to %v is in the way; remove it (ip xfrm policy): %w", t.Local, t.Remote, errAnothers)
	}
	return k.request(nl.XFRM_MSG_UPDPOLICY, &m, attrs...)
}

var errAnothers = fmt.Errorf("it is not ours: %w", unix.EEXIST)

// holder says whose a policy is.
type holder uint8

const (
	nobody holder = iota // there is none
	own
	another
)

// getPolicy tells whose a policy is: ours has our reqid in its template, or has none and exactly the priority that ours would have.
func (k *driver) getPolicy(t kernel.Traffic, dir uint8) (holder, error) {
	msgs, err := k.policyRequest(nl.XFRM_MSG_GETPOLICY, t, dir)
	if errors.Is(err, unix.ENOENT) {
		return nobody, nil
	}
	if err != nil || len(msgs) == 0 || len(msgs[0]) < nl.SizeofXfrmUserpolicyInfo {
		return nobody, errors.Join(err)
	}
	info := nl.DeserializeXfrmUserpolicyInfo(msgs[0])
	attrs, err := nl.ParseRouteAttr(msgs[0][nl.SizeofXfrmUserpolicyInfo:])
	if err != nil {
		return nobody, err
	}
	reqid, bare := uint32(0), true
	for _, a := range attrs {
		if a.Attr.Type == nl.XFRMA_TMPL && len(a.Value) >= nl.SizeofXfrmUserTmpl {
			reqid, bare = nl.DeserializeXfrmUserTmpl(a.Value).Reqid, false
		}
	}
	if k.ours(reqid) || bare && info.Priority == t.Priority() {
		return own, nil
	}
	return another, nil
}

func (k *driver) policyRequest(kind int, t kernel.Traffic, dir uint8) ([][]byte, error) {
	req := nl.NewNetlinkRequest(kind, unix.NLM_F_ACK)
	req.Sockets = k.sockets
	req.AddData(&nl.XfrmUserpolicyId{Sel: selector(t, dir), Dir: dir})
	for _, a := range attributes(t) {
		req.AddData(nl.NewRtAttr(a.kind, a.data))
	}
	return req.Execute(unix.NETLINK_XFRM, 0)
}

// DropPolicy deletes a policy of ours.
func (k *driver) DropPolicy(t kernel.Traffic, dir uint8) error {
	owner, err := k.getPolicy(t, dir)
	if err != nil || owner != own {
		return err
	}
	if _, err = k.policyRequest(nl.XFRM_MSG_DELPOLICY, t, dir); errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
