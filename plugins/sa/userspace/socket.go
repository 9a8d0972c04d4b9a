package userspace

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketBuffer is asked for in each direction, octets: 20 ms of a 1.6 Gb/s stream.
const socketBuffer = 4 << 20

// socket carries ESP packets of one address family: raw, or in UDP from the daemon's port. Any goroutine may receive; sending
// belongs to the outbound goroutine.
type socket struct {
	file     *os.File
	conn     syscall.RawConn
	raw, six bool
	local    netip.AddrPort // of UDP; the address may be unspecified
	gso, gro bool
	df       int8 // as the socket has it now; -1 unknown

	msgs    [batchSize]mmsghdr
	iovs    [batchSize]unix.Iovec
	first   [batchSize + 1]int // index of a message's first packet
	control [batchSize][controlSize]byte
	call    func(fd uintptr) bool
	done, n int // messages sent, messages to send
	errno   syscall.Errno
}

// openRaw opens the raw socket for protocol 50 of a family.
func openRaw(six bool) (*socket, error) {
	family := unix.AF_INET
	if six {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protoESP)
	if err != nil {
		return nil, fmt.Errorf("raw socket for ESP (protocol 50, family %d): %w; CAP_NET_RAW is needed", family, err)
	}
	return newSocket(fd, "esp", true, six)
}

// adoptUDP takes a UDP socket of the daemon over; the file stays the caller's.
func adoptUDP(f *os.File) (*socket, error) {
	var fd, family int
	var name unix.Sockaddr
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var inner error
	err = conn.Control(func(old uintptr) { // not Fd, which may make the daemon's socket blocking
		if family, inner = unix.GetsockoptInt(int(old), unix.SOL_SOCKET, unix.SO_DOMAIN); inner != nil {
			return
		}
		if name, inner = unix.Getsockname(int(old)); inner != nil {
			return
		}
		fd, inner = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3)
	})
	if err = errors.Join(err, inner); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	s, err := newSocket(fd, "esp-in-udp", false, family == unix.AF_INET6)
	if err != nil {
		return nil, err
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		s.local = netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
	case *unix.SockaddrInet6:
		s.local = netip.AddrPortFrom(netip.AddrFrom16(name.Addr), uint16(name.Port))
	default:
		s.close()
		return nil, errors.New("not a UDP socket of IPv4 or IPv6")
	}
	return s, nil
}

func newSocket(fd int, name string, raw, six bool) (*socket, error) {
	s := &socket{file: os.NewFile(uintptr(fd), name), raw: raw, six: six, df: -1}
	conn, err := s.file.SyscallConn()
	if err != nil {
		s.close()
		return nil, err
	}
	s.conn = conn
	s.options(fd)
	for i := range s.msgs {
		s.msgs[i].Control = &s.control[i][0]
	}
	s.call = s.sendmmsg
	return s, nil
}

// options are all wishes: what a kernel refuses only costs speed or ECN.
func (s *socket) options(fd int) {
	for _, o := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF, unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, socketBuffer)
	}
	if s.six {
		_ = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVTCLASS, 1)
	} else {
		_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVTOS, 1)
	}
	if s.raw {
		return
	}
	s.gro = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	_, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	s.gso = err == nil
}

func (s *socket) close() { _ = s.file.Close() }

func (s *socket) receiver() *receiver {
	if s.gro {
		return newReceiver(s.conn, receiveGRO)
	}
	return newReceiver(s.conn, receiveBatch)
}

// setDF sets the DF bit of what follows: copied from the inner header (RFC 4301 section 8.1). Off, the kernel fragments what is
// too big for the path.
func (s *socket) setDF(df bool) {
	want, v4, v6 := int8(0), unix.IP_PMTUDISC_DONT, unix.IPV6_PMTUDISC_WANT
	if df {
		want, v4, v6 = 1, unix.IP_PMTUDISC_DO, unix.IPV6_PMTUDISC_DO
	}
	if s.df == want {
		return
	}
	_ = s.conn.Control(func(fd uintptr) {
		if s.six {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, v6)
		} else {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_MTU_DISCOVER, v4)
		}
	})
	s.df = want
}

// send sends packets, at most batchSize, to one place with one traffic class, and returns how many failed and the
// last error. When the socket can, runs of packets of one size go as one datagram that the kernel cuts up.
func (s *socket) send(packets [][]byte, to *sockaddr, from netip.Addr, tos uint8, df bool) (failed int, err error) {
	s.setDF(df)
	s.n = s.prepare(packets, to, from, tos)
	for s.done = 0; s.done < s.n; {
		if err := s.conn.Write(s.call); err != nil {
			return failed + len(packets) - s.first[s.done], err
		}
		if s.errno == 0 {
			continue
		}
		run := packets[s.first[s.done]:s.first[s.done+1]]
		if len(run) > 1 && s.cannotSegment() {
			n, e := s.sendRest(packets[s.first[s.done]:], to, from, tos, df)
			return failed + n, errors.Join(err, e)
		}
		failed, err = failed+len(run), s.errno
		s.done++
	}
	return failed, err
}

// cannotSegment: EIO tells of a device without checksum offload, the others of a segment larger than the path's MTU.
func (s *socket) cannotSegment() bool {
	if s.errno == unix.EIO {
		s.gso = false
		return true
	}
	return s.errno == unix.EMSGSIZE || s.errno == unix.EINVAL
}

// sendRest sends what remains one by one.
func (s *socket) sendRest(packets [][]byte, to *sockaddr, from netip.Addr, tos uint8, df bool) (int, error) {
	gso := s.gso
	s.gso = false
	defer func() { s.gso = gso }()
	return s.send(packets, to, from, tos, df)
}

// prepare lays packets out as messages and returns their number.
func (s *socket) prepare(packets [][]byte, to *sockaddr, from netip.Addr, tos uint8) int {
	m := 0
	for at := 0; at < len(packets); m++ {
		run := 1
		if s.gso {
			run = segments(packets[at:])
		}
		for i, p := range packets[at : at+run] {
			s.iovs[at+i].Base = &p[0]
			s.iovs[at+i].SetLen(len(p))
		}
		control := appendSource(s.control[m][:0], from, tos)
		if run > 1 {
			control = appendSegment(control, len(packets[at]))
		}
		msg := &s.msgs[m]
		msg.Name, msg.Namelen = (*byte)(unsafe.Pointer(&to.raw)), to.len
		msg.Iov = &s.iovs[at]
		msg.SetIovlen(run)
		msg.SetControllen(len(control))
		s.first[m] = at
		at += run
	}
	s.first[m] = len(packets)
	return m
}

// segments counts how many packets can go as one datagram: all of one size, but for a last one that may be shorter.
func segments(packets [][]byte) int {
	size := len(packets[0])
	total := 0
	for i, p := range packets[:min(len(packets), maxSegments)] {
		if total += len(p); len(p) > size || total > maxUDPPayload {
			return i
		}
		if len(p) < size {
			return i + 1
		}
	}
	return min(len(packets), maxSegments)
}

func (s *socket) sendmmsg(fd uintptr) bool {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.msgs[s.done])), uintptr(s.n-s.done), unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN {
		return false
	}
	s.errno = errno
	if errno == 0 {
		s.done += int(n)
	}
	return true
}
