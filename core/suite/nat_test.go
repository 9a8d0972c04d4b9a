package suite

import (
	"crypto/sha1"
	"net/netip"
	"testing"
)

// RFC 7296 section 2.23: SHA-1 over SPIi | SPIr | IP address | port, all in network order (RFC7296-2.23-6).
func TestNATDetectionHashCoversSPIsAddressAndPort(t *testing.T) {
	t.Parallel()
	const spis = "\x01\x02\x03\x04\x05\x06\x07\x08\x11\x12\x13\x14\x15\x16\x17\x18"
	for addr, octets := range map[string]string{
		"192.0.2.1:500":          "\xc0\x00\x02\x01\x01\xf4",
		"[::ffff:192.0.2.1]:500": "\xc0\x00\x02\x01\x01\xf4",
		"[2001:db8::1]:4500":     "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x11\x94",
		"[fe80::1%eth0]:4500":    "\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x11\x94",
	} {
		got := NATDetectionHash(0x0102030405060708, 0x1112131415161718, netip.MustParseAddrPort(addr))
		if want := sha1.Sum([]byte(spis + octets)); got != want {
			t.Errorf("%s: got %x, want %x", addr, got, want)
		}
	}
}
