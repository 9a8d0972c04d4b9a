package wire1

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/core/wire"
)

// IDType is the kind of an identity (RFC 2407 section 4.6.2.1).
type IDType uint8

// Identity types (RFC 2407 section 4.6.2.1).
const (
	IDIPv4Addr   IDType = 1
	IDFQDN       IDType = 2
	IDUserFQDN   IDType = 3
	IDIPv4Subnet IDType = 4
	IDIPv6Addr   IDType = 5
	IDIPv6Subnet IDType = 6
	IDIPv4Range  IDType = 7
	IDIPv6Range  IDType = 8
	IDDERASN1DN  IDType = 9
	IDDERASN1GN  IDType = 10
	IDKeyID      IDType = 11
)

// Type returns TypeID.
func (ID) Type() wire.PayloadType { return TypeID }

func parseID(r *wire.Reader) ID {
	// Identification Type (1), Protocol ID (1), Port (2), Identification Data: RFC 2407 section 4.6.2.
	return ID{IDType: IDType(r.U8()), Protocol: r.U8(), Port: r.U16(), Data: r.Rest()}
}

// ParseID decodes the body of an ID payload that was encrypted by itself (RFC 2409 sections 5.2 and 5.3). It fails with a
// *wire.SyntaxError when that is shorter than 4 octets. body is not kept.
func ParseID(body []byte) (ID, error) {
	r := wire.NewReader(bytes.Clone(body), 0)
	id := parseID(&r)
	return id, r.Finish()
}

func (id ID) append(b []byte) []byte {
	b = append(b, byte(id.IDType), id.Protocol)
	b = binary.BigEndian.AppendUint16(b, id.Port)
	return append(b, id.Data...)
}

// RangeID returns the identity of phase 2 for the addresses from first to last, of one family, in the form that most
// peers understand: an address or a subnet where the range is one, and a range otherwise (RFC 2407 section 4.6.2.1).
func RangeID(protocol uint8, port uint16, first, last netip.Addr) ID {
	id := ID{Protocol: protocol, Port: port, Data: slices.Concat(first.AsSlice(), last.AsSlice())}
	mask, subnet := subnetMask(first.AsSlice(), last.AsSlice())
	switch {
	case first == last:
		id.IDType, id.Data = IDIPv4Addr, first.AsSlice()
	case subnet:
		id.IDType, id.Data = IDIPv4Subnet, slices.Concat(first.AsSlice(), mask)
	default:
		id.IDType = IDIPv4Range
	}
	if first.Is6() {
		id.IDType = ipv6Type[id.IDType]
	}
	return id
}

var ipv6Type = map[IDType]IDType{IDIPv4Addr: IDIPv6Addr, IDIPv4Subnet: IDIPv6Subnet, IDIPv4Range: IDIPv6Range}

// Range returns the addresses that an identity of phase 2 stands for, first and last included; false for other types, for
// data of another length, for a range that ends before it starts and for a netmask with holes.
func (id ID) Range() (first, last netip.Addr, ok bool) {
	n := len(id.Data) / 2
	switch id.IDType {
	case IDIPv4Addr, IDIPv6Addr:
		first, ok = netip.AddrFromSlice(id.Data)
		last = first
	case IDIPv4Range, IDIPv6Range:
		first, _ = netip.AddrFromSlice(id.Data[:n])
		last, ok = netip.AddrFromSlice(id.Data[n:])
	case IDIPv4Subnet, IDIPv6Subnet:
		first, last, ok = subnetRange(id.Data[:n], id.Data[n:])
	}
	ok = ok && first.Is6() == id.IDType.isIPv6() && first.BitLen() == last.BitLen() && !last.Less(first)
	return first, last, ok
}

func (t IDType) isIPv6() bool { return t == IDIPv6Addr || t == IDIPv6Subnet || t == IDIPv6Range }

// subnetRange returns the first and last address of a subnet whose mask has no holes.
func subnetRange(addr, mask []byte) (first, last netip.Addr, ok bool) {
	if len(addr) != len(mask) || !isMask(mask) {
		return first, last, false
	}
	low, high := slices.Clone(addr), slices.Clone(addr)
	for i, m := range mask {
		low[i] &= m
		high[i] |= ^m
	}
	first, _ = netip.AddrFromSlice(low)
	last, ok = netip.AddrFromSlice(high)
	return first, last, ok
}

// isMask reports whether ones are followed by zeros only.
func isMask(mask []byte) bool {
	ended := false
	for _, m := range mask {
		if ended && m != 0 || m<<bits.LeadingZeros8(^m) != 0 {
			return false
		}
		ended = ended || m != 0xff
	}
	return true
}

// subnetMask returns the mask of the subnet from first to last, and whether they are the ends of one.
func subnetMask(first, last []byte) ([]byte, bool) {
	mask := make([]byte, len(first))
	for i := range mask {
		mask[i] = ^(first[i] ^ last[i])
		if first[i]&^mask[i] != 0 || last[i]|mask[i] != 0xff {
			return nil, false
		}
	}
	return mask, isMask(mask)
}
