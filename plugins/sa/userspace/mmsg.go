package userspace

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of batches.
const (
	batchSize     = 128     // packets per read of the TUN device at most: 64 KiB of segments of 512 octets
	receiveBatch  = 64      // datagrams per system call, one packet each
	receiveGRO    = 16      // datagrams per system call when each may hold 64 KiB of packets
	datagramSize  = 1 << 16 // nothing that IP carries is larger
	controlSize   = 96      // address and interface, traffic class, segment size
	maxSegments   = 64      // of one UDP_SEGMENT send: the kernel's limit
	maxUDPPayload = 65535 - ipv4HeaderLen - udpHeaderLen
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32
}

// receiver receives datagrams in batches into memory of its own, without allocations.
type receiver struct {
	conn    syscall.RawConn
	msgs    []mmsghdr
	iovs    []unix.Iovec
	bufs    []byte
	control []byte
	names   []unix.RawSockaddrInet6 // large enough for both families
	call    func(fd uintptr) bool
	got     int
	errno   syscall.Errno
}

func newReceiver(conn syscall.RawConn, n int) *receiver {
	r := &receiver{conn: conn, msgs: make([]mmsghdr, n), iovs: make([]unix.Iovec, n),
		bufs: make([]byte, n*datagramSize), control: make([]byte, n*controlSize), names: make([]unix.RawSockaddrInet6, n)}
	for i := range r.msgs {
		r.iovs[i].Base = &r.bufs[i*datagramSize]
		r.iovs[i].SetLen(datagramSize)
		r.msgs[i].Iov = &r.iovs[i]
		r.msgs[i].SetIovlen(1)
		r.msgs[i].Name = (*byte)(unsafe.Pointer(&r.names[i]))
		r.msgs[i].Control = &r.control[i*controlSize]
	}
	r.call = r.recvmmsg // made once: a method value allocates
	return r
}

func (r *receiver) recvmmsg(fd uintptr) bool {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.msgs[0])), uintptr(len(r.msgs)), unix.MSG_DONTWAIT, 0, 0)
	r.got, r.errno = int(n), errno
	return errno != unix.EAGAIN
}

// receive waits for datagrams and returns how many came. The error is permanent when the socket is closed.
func (r *receiver) receive() (int, error) {
	for i := range r.msgs {
		r.msgs[i].SetControllen(controlSize)
		r.msgs[i].Namelen = unix.SizeofSockaddrInet6
	}
	if err := r.conn.Read(r.call); err != nil {
		return 0, err
	}
	if r.errno != 0 {
		return 0, r.errno
	}
	return r.got, nil
}

// datagram returns the i-th datagram with the size of its segments (its own when it is a single packet) and its traffic class.
func (r *receiver) datagram(i int) (b []byte, segment int, tos uint8) {
	m := &r.msgs[i]
	b = r.bufs[i*datagramSize:][:m.n]
	segment = len(b)
	rest := r.control[i*controlSize:][:m.Controllen]
	for len(rest) >= unix.SizeofCmsghdr {
		head, data, more, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		switch {
		case head.Level == unix.SOL_UDP && head.Type == unix.UDP_GRO && len(data) >= 2:
			if n := int(binary.NativeEndian.Uint16(data)); n > 0 {
				segment = n
			}
		case head.Level == unix.SOL_IP && head.Type == unix.IP_TOS && len(data) >= 1:
			tos = data[0]
		case head.Level == unix.SOL_IPV6 && head.Type == unix.IPV6_TCLASS && len(data) >= 4:
			tos = uint8(binary.NativeEndian.Uint32(data))
		}
		rest = more
	}
	return b, segment, tos
}

// sockaddr is a destination in the kernel's form.
type sockaddr struct {
	raw unix.RawSockaddrInet6 // large enough for both families
	len uint32
}

func newSockaddr(to netip.AddrPort) (s sockaddr) {
	port := (*[2]byte)(unsafe.Pointer(&s.raw.Port)) // the same place in both families
	binary.BigEndian.PutUint16(port[:], to.Port())
	if to.Addr().Is4() {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		v4.Family, v4.Addr, s.len = unix.AF_INET, to.Addr().As4(), unix.SizeofSockaddrInet4
		return s
	}
	s.raw.Family, s.raw.Addr, s.len = unix.AF_INET6, to.Addr().As16(), unix.SizeofSockaddrInet6
	return s
}

// appendSource appends control messages that set source address and traffic class of a datagram.
func appendSource(b []byte, from netip.Addr, tos uint8) []byte {
	if from.Is4() {
		b, data := appendControl(b, unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		source := from.As4()
		copy(data[4:], source[:]) // ipi_spec_dst, after the interface
		b, data = appendControl(b, unix.SOL_IP, unix.IP_TOS, 4)
		binary.NativeEndian.PutUint32(data, uint32(tos))
		return b
	}
	b, data := appendControl(b, unix.SOL_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	source := from.As16()
	copy(data, source[:])
	b, data = appendControl(b, unix.SOL_IPV6, unix.IPV6_TCLASS, 4)
	binary.NativeEndian.PutUint32(data, uint32(tos))
	return b
}

// appendSegment appends the control message that has the kernel cut a datagram into segments.
func appendSegment(b []byte, size int) []byte {
	b, data := appendControl(b, unix.SOL_UDP, unix.UDP_SEGMENT, 2)
	binary.NativeEndian.PutUint16(data, uint16(size))
	return b
}

// appendControl appends an empty control message within b's capacity, and returns its data.
func appendControl(b []byte, level, kind int32, n int) (all, data []byte) {
	at := len(b)
	b = b[:at+unix.CmsgSpace(n)]
	clear(b[at:])
	head := (*unix.Cmsghdr)(unsafe.Pointer(&b[at]))
	head.Level, head.Type = level, kind
	head.SetLen(unix.CmsgLen(n))
	return b, b[at+unix.CmsgLen(0):][:n]
}
