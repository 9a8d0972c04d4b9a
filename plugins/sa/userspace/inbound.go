package userspace

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/userspace/esp"
)

// plainSize is the room for one opened packet: as the device's segmentation offload appends packets of one flow to the first one, each
// has room for 64 KiB. Memory that is never touched costs nothing.
const plainSize = offset + datagramSize

// inboundLoop takes ESP packets from one socket, opens them and writes the inner packets to the device. It is one goroutine.
type inboundLoop struct {
	pl     *plane
	socket *socket
	rx     *receiver
	plain  [][]byte
	out    [][]byte // opened, waiting to be written as one
	run    func()
}

func newInboundLoop(pl *plane, s *socket) *inboundLoop {
	l := &inboundLoop{pl: pl, socket: s, out: make([][]byte, 0, batchSize)}
	l.run = l.loop
	return l
}

func (l *inboundLoop) loop() {
	l.rx = l.socket.receiver()
	memory := make([]byte, batchSize*plainSize)
	for i := range batchSize {
		l.plain = append(l.plain, memory[i*plainSize:(i+1)*plainSize:(i+1)*plainSize])
	}
	for {
		n, err := l.rx.receive()
		var errno syscall.Errno
		if err != nil && !errors.As(err, &errno) || errno == unix.EBADF {
			return // closed
		}
		for i := range n { // other errors are about single packets, such as an ICMP error that came back
			b, segment, tos := l.rx.datagram(i)
			l.datagram(b, segment, tos, &l.rx.names[i])
		}
		l.flush()
	}
}

// datagram cuts what one receive gave into ESP packets.
func (l *inboundLoop) datagram(b []byte, segment int, tos uint8, from *unix.RawSockaddrInet6) {
	if l.socket.raw && !l.socket.six { // a raw IPv4 socket gives the IP header too
		if len(b) < ipv4HeaderLen || int(b[0]&15)*4 > len(b) {
			l.pl.p.stats.Malformed.Add(1)
			return
		}
		tos = b[1]
		b = b[int(b[0]&15)*4:]
		segment = len(b)
	}
	for len(b) > 0 {
		packet := b[:min(segment, len(b))]
		b = b[len(packet):]
		l.packet(packet, tos, from)
	}
}

// packet passes one ESP packet to the device if it may pass. The order of the checks is RFC 4303 section 3.4.
func (l *inboundLoop) packet(packet []byte, tos uint8, from *unix.RawSockaddrInet6) {
	stats := &l.pl.p.stats
	if !l.socket.raw && len(packet) == 1 && packet[0] == 0xff {
		return // a NAT keepalive (RFC 3948 section 2.3)
	}
	spi, low, ok := esp.Header(packet)
	if !ok || spi == 0 { // SPI 0 is the non-ESP marker (RFC 3948 section 2.2)
		stats.Malformed.Add(1)
		return
	}
	c := l.pl.p.table.Load().bySPI[spi]
	if c == nil {
		stats.UnknownSPI.Add(1)
		return
	}
	if len(l.out) == batchSize {
		l.flush()
	}
	plain := l.plain[len(l.out)]
	inner, next, newest := c.open(plain[:offset], packet, low, stats)
	if inner == nil {
		return
	}
	if newest && !l.socket.raw {
		c.follow(from, l.pl.p.Tell)
	}
	n, ok := c.accept(inner, next, tos, stats)
	switch {
	case !ok:
	case c.spend(&c.slot.bytesIn, &c.slot.packetsIn, n, l.pl.p.Tell):
		l.out = append(l.out, plain[:offset+n])
	default:
		stats.Exhausted.Add(1)
	}
}

// open verifies, decrypts and records a packet: nil when it is not fresh or not authentic. It tells whether the packet is newer
// than all before.
func (c *child) open(dst, packet []byte, low uint32, stats *Stats) (inner []byte, next uint8, newest bool) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	seq, ok := c.in.window.Check(low)
	if !ok {
		stats.Replayed.Add(1)
		return nil, 0, false
	}
	inner, next, err := c.in.opener.Open(dst, packet, seq)
	if err != nil {
		stats.Forged.Add(1)
		return nil, 0, false
	}
	return inner, next, c.in.window.Update(seq)
}

// accept checks an authentic inner packet and returns its length without TFC padding.
func (c *child) accept(inner []byte, next, tos uint8, stats *Stats) (int, bool) {
	if next == protoNone { // RFC 4303 section 2.6: dropped without a word
		stats.Dummy.Add(1)
		return 0, false
	}
	f, n, ok := parseInner(inner)
	if !ok || f.src.Is4() != (next == protoIPv4) || f.src.Is6() != (next == protoIPv6) {
		stats.NotIP.Add(1)
		return 0, false
	}
	if !c.within(&f) {
		stats.OutsideSelectors.Add(1)
		return 0, false
	}
	if !decapsulateECN(inner[:n], tos) {
		stats.Congestion.Add(1)
		return 0, false
	}
	return n, true
}

func (l *inboundLoop) flush() {
	if len(l.out) == 0 {
		return
	}
	if _, err := l.pl.dev.Write(l.out, offset); err != nil {
		l.pl.p.stats.Refused.Add(1)
	}
	l.out = l.out[:0]
}
