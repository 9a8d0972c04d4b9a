package transport

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	canShare  = true
	truncated = unix.MSG_TRUNC
	dontWait  = unix.MSG_DONTWAIT
)

// Socket options of linux/in.h and linux/in6.h that set an IPsec policy for one socket, and directions of linux/xfrm.h.
const (
	ipXfrmPolicy   = 17
	ipv6XfrmPolicy = 35
	policyIn       = 0
	policyOut      = 1
	policyAllow    = 0
)

func shareAddress(c syscall.RawConn) error {
	return control(c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
}

// split is the program of the group. The kernel runs it on the UDP payload and takes the result as the index of the
// socket, in the order of binding. A load past the end ends the program with 0, which is what a NAT keepalive needs.
var split = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, Jf: 0, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1}, // an SPI: ESP in UDP
	{Code: unix.BPF_RET | unix.BPF_K, K: 0}, // the non-ESP marker: IKE
}

// attachSplit attaches the program to conn's group.
func attachSplit(conn *net.UDPConn) error {
	program := unix.SockFprog{Len: uint16(len(split)), Filter: &split[0]}
	err := controlConn(conn, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &program)
	})
	if err != nil {
		return fmt.Errorf("transport: cannot separate ESP from IKE on %s (SO_ATTACH_REUSEPORT_CBPF, Linux 4.5): %w",
			conn.LocalAddr(), err)
	}
	return nil
}

// prepare sets what is good to have: buffers, no DF, bypass policies.
func prepare(conn *net.UDPConn, local netip.AddrPort, buffer int, warn func(error)) {
	check := func(what string, err error) {
		if err != nil {
			warn(fmt.Errorf("transport: %s on %s: %w", what, local, err))
		}
	}
	check("cannot set buffer sizes (sysctl net.core.rmem_max, wmem_max)", setBuffers(conn, buffer))
	check("cannot switch DF off", controlConn(conn, func(fd int) error { return clearDF(fd, local.Addr()) }))
	check("no IPsec bypass policy, IKE itself may be caught by IPsec policies (needs CAP_NET_ADMIN)",
		controlConn(conn, func(fd int) error { return bypass(fd, local.Addr()) }))
}

// setBuffers goes past the sysctl limits where we may.
func setBuffers(conn *net.UDPConn, size int) error {
	forced := controlConn(conn, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size); err != nil {
			return err
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, size)
	})
	if forced == nil {
		return nil
	}
	if err := conn.SetReadBuffer(size); err != nil {
		return err
	}
	return conn.SetWriteBuffer(size)
}

func clearDF(fd int, addr netip.Addr) error {
	if addr.Is4() {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT)
}

// bypass lets everything of this socket pass outside IPsec, in both directions.
func bypass(fd int, addr netip.Addr) error {
	level, option, family := unix.IPPROTO_IP, ipXfrmPolicy, unix.AF_INET
	if !addr.Is4() {
		level, option, family = unix.IPPROTO_IPV6, ipv6XfrmPolicy, unix.AF_INET6
	}
	for _, dir := range []uint8{policyIn, policyOut} {
		policy := nl.XfrmUserpolicyInfo{Dir: dir, Action: policyAllow}
		policy.Sel.Family = uint16(family)
		if err := unix.SetsockoptString(fd, level, option, string(policy.Serialize())); err != nil {
			return err
		}
	}
	return nil
}

func controlConn(conn *net.UDPConn, f func(fd int) error) error {
	c, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return control(c, f)
}

func control(c syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := c.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
