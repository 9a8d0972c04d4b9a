//go:build !linux

package transport

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

const (
	canShare  = false // no program can choose the socket of a group
	truncated = 0
	dontWait  = 0 // a write waits for room
)

func shareAddress(syscall.RawConn) error { return errors.ErrUnsupported }

func attachSplit(*net.UDPConn) error { return errors.ErrUnsupported }

func prepare(conn *net.UDPConn, _ netip.AddrPort, buffer int, warn func(error)) {
	if err := errors.Join(conn.SetReadBuffer(buffer), conn.SetWriteBuffer(buffer)); err != nil {
		warn(err)
	}
}
