package userspace

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk/sa"
)

// is tells whether a datagram came from this address and port.
func (s *sockaddr) is(from *unix.RawSockaddrInet6) bool {
	if s.raw.Family != from.Family || s.raw.Port != from.Port {
		return false
	}
	if from.Family == unix.AF_INET { // the address follows the port
		a, b := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw)), (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return a.Addr == b.Addr
	}
	return bytes.Equal(s.raw.Addr[:], from.Addr[:])
}

func addrPort(from *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&from.Port))[:])
	if from.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(from)).Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(from.Addr), port)
}

// follow tells that the newest authentic packet of a child came from elsewhere (RFC 3948 section 3), once a second: the core
// decides whether the child moves.
func (c *child) follow(from *unix.RawSockaddrInet6, tell func(sa.Event) bool) {
	if !c.Encap || c.peer.is(from) {
		return
	}
	now, last := time.Now().Unix(), c.movedAt.Load()
	if now != last && c.movedAt.CompareAndSwap(last, now) {
		tell(sa.Moved{SPIIn: c.SPIIn, Remote: addrPort(from)})
	}
}
