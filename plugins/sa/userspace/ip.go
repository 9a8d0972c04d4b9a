package userspace

import (
	"encoding/binary"
	"net/netip"
)

// Protocol numbers (IANA).
const (
	protoICMP     = 1
	protoIPv4     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoESP      = 50
	protoICMPv6   = 58
	protoNone     = 59 // a dummy packet inside ESP (RFC 4303 section 2.6)
	protoDstOpts  = 60
	protoHopByHop = 0
	protoMobility = 135
)

// Sizes in octets.
const (
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
	udpHeaderLen  = 8
	maxExtensions = 8 // IPv6 extension headers before the walk gives up: no sane packet has more
	ipv6MinMTU    = 1280
)

// flow is what selectors look at.
type flow struct {
	src, dst         netip.Addr
	proto            uint8
	srcPort, dstPort uint16
	ports            bool // false: the packet does not show them, as fragments do not
	df               bool // must not be fragmented; always so for IPv6
	tos              uint8
}

// parseInner reads the headers of an inner packet; n is its own length, without TFC padding behind it. Everything is checked
// against the octets at hand.
func parseInner(b []byte) (f flow, n int, ok bool) {
	if len(b) < ipv4HeaderLen {
		return f, 0, false
	}
	if b[0]>>4 == 4 {
		return parseIPv4(b)
	}
	if b[0]>>4 == 6 && len(b) >= ipv6HeaderLen {
		return parseIPv6(b)
	}
	return f, 0, false
}

func parseIPv4(b []byte) (f flow, n int, ok bool) {
	header, n := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4HeaderLen || n < header || n > len(b) {
		return f, 0, false
	}
	f = flow{src: netip.AddrFrom4([4]byte(b[12:16])), dst: netip.AddrFrom4([4]byte(b[16:20])), proto: b[9], tos: b[1]}
	fragment := binary.BigEndian.Uint16(b[6:])
	f.df = fragment&0x4000 != 0
	if fragment&0x1fff == 0 {
		f.readPorts(b[header:n])
	}
	return f, n, true
}

func parseIPv6(b []byte) (f flow, n int, ok bool) {
	n = ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	if n > len(b) {
		return f, 0, false
	}
	f = flow{src: netip.AddrFrom16([16]byte(b[8:24])), dst: netip.AddrFrom16([16]byte(b[24:40])), proto: b[6], df: true}
	f.tos = uint8(binary.BigEndian.Uint16(b) >> 4)
	return f, n, f.skipExtensions(b[ipv6HeaderLen:n])
}

// skipExtensions walks to the upper-layer header (RFC 8200 section 4).
func (f *flow) skipExtensions(b []byte) bool {
	for range maxExtensions {
		length := 0
		switch f.proto {
		case protoHopByHop, protoRouting, protoDstOpts:
			if len(b) < 8 {
				return false
			}
			length = (int(b[1]) + 1) * 8
		case protoFragment:
			if len(b) < 8 {
				return false
			}
			length = 8
			if binary.BigEndian.Uint16(b[2:])&0xfff8 != 0 {
				f.proto = b[0] // a later fragment: what follows is no header
				return true
			}
		default:
			f.readPorts(b)
			return true
		}
		if length > len(b) {
			return false
		}
		f.proto, b = b[0], b[length:]
	}
	return false
}

// readPorts reads ports; for ICMP and Mobility Header the type and code stand for both (RFC 7296 section 3.13.1).
func (f *flow) readPorts(b []byte) {
	switch f.proto {
	case protoICMP, protoICMPv6:
		if len(b) >= 2 {
			f.srcPort = binary.BigEndian.Uint16(b)
			f.dstPort, f.ports = f.srcPort, true
		}
	case protoMobility:
		if len(b) >= 3 {
			f.srcPort = uint16(b[2]) << 8
			f.dstPort, f.ports = f.srcPort, true
		}
	case protoTCP, protoUDP, 132, 136: // SCTP and UDP-Lite have their ports in the same place
		if len(b) >= 4 {
			f.srcPort, f.dstPort, f.ports = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), true
		}
	}
}

// ECN codepoints (RFC 3168 section 5).
const (
	ecnMask   = 3
	ecnNotECT = 0
	ecnECT1   = 1
	ecnECT0   = 2
	ecnCE     = 3
)

// decapsulateECN combines the ECN fields of both headers into the inner packet as RFC 6040 section 4.2 (figure 4) says; false
// when the packet must be dropped, congestion having been marked on a packet that cannot say so.
func decapsulateECN(inner []byte, outer uint8) bool {
	tos := innerTOS(inner)
	in, out := tos&ecnMask, outer&ecnMask
	switch {
	case out == ecnCE && in == ecnNotECT:
		return false
	case out == ecnCE && in != ecnCE:
		setInnerTOS(inner, tos|ecnCE)
	case out == ecnECT1 && in == ecnECT0:
		setInnerTOS(inner, tos&^ecnMask|ecnECT1)
	}
	return true
}

func innerTOS(b []byte) uint8 {
	if b[0]>>4 == 4 {
		return b[1]
	}
	return uint8(binary.BigEndian.Uint16(b) >> 4)
}

func setInnerTOS(b []byte, tos uint8) {
	if b[0]>>4 == 6 {
		b[0], b[1] = b[0]&0xf0|tos>>4, b[1]&0x0f|tos<<4
		return
	}
	old := binary.BigEndian.Uint16(b)
	b[1] = tos
	sum := binary.BigEndian.Uint16(b[10:])
	binary.BigEndian.PutUint16(b[10:], updateChecksum(sum, old, binary.BigEndian.Uint16(b)))
}

// updateChecksum adjusts an internet checksum for one changed word (RFC 1624 section 3, equation 3).
func updateChecksum(sum, old, fresh uint16) uint16 {
	return fold(uint32(^sum) + uint32(^old) + uint32(fresh))
}

// checksum computes the internet checksum (RFC 1071) over b, started with the sum of a pseudo header.
func checksum(b []byte, start uint32) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		start += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		start += uint32(b[0]) << 8
	}
	return fold(start)
}

// fold returns the complement of a sum of 16-bit words.
func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
