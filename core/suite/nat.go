package suite

import (
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
)

// NATDetectionHash returns the data of a NAT_DETECTION_*_IP notify: SHA-1 over both SPIs as they stand in the header, the
// address (4 or 16 octets) and the port (RFC 7296 section 2.23). An IPv4 address mapped into IPv6 counts as IPv4, as it
// is on the wire; a zone does not count.
func NATDetectionHash(spii, spir uint64, addr netip.AddrPort) [20]byte {
	b := make([]byte, 0, 8+8+16+2)
	b = binary.BigEndian.AppendUint64(b, spii)
	b = binary.BigEndian.AppendUint64(b, spir)
	b = append(b, addr.Addr().Unmap().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, addr.Port())
	return sha1.Sum(b)
}
