package userspace

import "encoding/binary"

// Quotes in ICMP errors, in octets.
const (
	quoteIPv4 = ipv4HeaderLen + 40 + 8               // header with options and 8 octets (RFC 792)
	quoteIPv6 = ipv6MinMTU - ipv6HeaderLen - icmpLen // as much as fits (RFC 4443 section 3.2)
	icmpLen   = 8
)

// tooBig writes into buf the ICMP error that tells the sender of packet the largest size that fits (RFC 1191 section 4, RFC 4443
// section 3.2), and returns it; nil for packets that must not cause an error. The TUN device has no address of its own, so the
// error bears the packet's destination, which lies within the tunnel's selectors.
func tooBig(buf, packet []byte, f *flow, mtu int) []byte {
	if isICMPError(f) || f.src.IsMulticast() || f.dst.IsMulticast() || f.src.IsUnspecified() {
		return nil
	}
	if f.src.Is4() {
		return tooBig4(buf, packet, f, mtu)
	}
	return tooBig6(buf, packet, f, mtu)
}

// isICMPError: no error answers an error (RFC 1122 section 3.2.2, RFC 4443 section 2.4).
func isICMPError(f *flow) bool {
	kind := uint8(f.srcPort >> 8)
	switch f.proto {
	case protoICMP:
		return !f.ports || kind != 8 && kind != 0 && kind != 13 && kind != 14
	case protoICMPv6:
		return !f.ports || kind < 128
	}
	return false
}

func tooBig4(buf, packet []byte, f *flow, mtu int) []byte {
	quote := packet[:min(len(packet), quoteIPv4)]
	b := buf[:ipv4HeaderLen+icmpLen+len(quote)]
	clear(b[:ipv4HeaderLen+icmpLen])
	b[0], b[8], b[9] = 0x45, 64, protoICMP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	src, dst := f.dst.As4(), f.src.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	binary.BigEndian.PutUint16(b[10:], checksum(b[:ipv4HeaderLen], 0))
	icmp := b[ipv4HeaderLen:]
	icmp[0], icmp[1] = 3, 4 // fragmentation needed and DF set
	binary.BigEndian.PutUint16(icmp[6:], uint16(mtu))
	copy(icmp[icmpLen:], quote)
	binary.BigEndian.PutUint16(icmp[2:], checksum(icmp, 0))
	return b
}

func tooBig6(buf, packet []byte, f *flow, mtu int) []byte {
	quote := packet[:min(len(packet), quoteIPv6)]
	b := buf[:ipv6HeaderLen+icmpLen+len(quote)]
	clear(b[:ipv6HeaderLen+icmpLen])
	b[0], b[6], b[7] = 0x60, protoICMPv6, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-ipv6HeaderLen))
	src, dst := f.dst.As16(), f.src.As16()
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
	icmp := b[ipv6HeaderLen:]
	icmp[0] = 2 // packet too big
	binary.BigEndian.PutUint32(icmp[4:], uint32(mtu))
	copy(icmp[icmpLen:], quote)
	pseudo := uint32(len(icmp)) + protoICMPv6 // RFC 8200 section 8.1
	pseudo += uint32(^checksum(b[8:40], 0))
	binary.BigEndian.PutUint16(icmp[2:], checksum(icmp, pseudo))
	return b
}
