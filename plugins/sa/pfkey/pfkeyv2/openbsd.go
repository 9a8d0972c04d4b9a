package pfkeyv2

import (
	"fmt"
	"net/netip"
)

// Types of OpenBSD's flows, for packets that a policy is to protect.
const (
	flowDeny    = 5
	flowBypass  = 4
	flowRequire = 3
)

// flow writes a policy as OpenBSD's flow: the gateways as addresses, the selector as two addresses with masks, and what is to be
// done. A policy has one request, or none when it has an action of its own.
func (e *encoder) flow(m *Message) {
	if m.Src == nil || m.Dst == nil || len(m.Policy.Requests) > 1 || m.Policy.Dir == DirFwd {
		e.fail("a flow has a selector, one request at most, and the direction in or out: %w", ErrDialect)
		return
	}
	for _, r := range m.Policy.Requests {
		e.address(extSrc, hostAddress(r.Src))
		e.address(extDst, hostAddress(r.Dst))
	}
	kind := map[Action]uint8{Discard: flowDeny, None: flowBypass, IPsec: flowRequire}[m.Policy.Action]
	e.ext(extFlowType, func() { e.u8(kind, uint8(m.Policy.Dir), 0, 0) })
	for _, side := range []struct {
		flow, mask extension
		a          *Address
	}{{extSrcFlow, extSrcMask, m.Src}, {extDstFlow, extDstMask, m.Dst}} {
		e.address(side.flow, side.a)
		e.ext(side.mask, func() { e.u32(0); e.sockaddr(mask(side.a.Prefix), portMask(side.a.Port)) })
	}
	if m.Src.Proto != 0 && m.Src.Proto != AnyProto {
		e.ext(extProtocol, func() { e.u8(m.Src.Proto, 0, 0, 0) })
	}
}

func hostAddress(a netip.Addr) *Address {
	return &Address{Prefix: netip.PrefixFrom(a, a.BitLen())}
}

// mask is a prefix' length in the form of an address.
func mask(p netip.Prefix) netip.Addr {
	b := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// prefixLen is the reverse of mask; it fails for an address that is none.
func prefixLen(a netip.Addr) (int, error) {
	n := 0
	for _, b := range a.AsSlice() {
		for bit := byte(0x80); bit != 0 && b&bit != 0; bit >>= 1 {
			n++
		}
	}
	if mask(netip.PrefixFrom(a, n)) != a {
		return 0, fmt.Errorf("pfkeyv2: %v is no mask", a)
	}
	return n, nil
}

func portMask(port uint16) uint16 {
	if port == 0 {
		return 0
	}
	return 1<<16 - 1
}
