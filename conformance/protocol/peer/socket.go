package peer

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Ports of IKE (RFC 7296 section 2).
const (
	PortIKE = 500
	PortNAT = 4500
)

// Datagram is a UDP datagram that was received.
type Datagram struct {
	Local, Remote netip.AddrPort
	Bytes         []byte    // without the non-ESP marker
	ESP           bool      // from another port than 500 and without the non-ESP marker
	At            time.Time // when the kernel received it
}

// Port is one UDP port of the peer.
type Port struct {
	conn  *net.UDPConn
	local netip.AddrPort
}

// Listen opens a port; what it receives goes to sink until it is closed. Call it in the network namespace where it is to
// be.
func Listen(local netip.AddrPort, sink chan<- Datagram) (*Port, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(local))
	if err != nil {
		return nil, err
	}
	if err := stamp(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	p := &Port{conn, local}
	go p.read(sink)
	return p, nil
}

// stamp makes the kernel tell when datagrams arrived: this process may be late to read them.
func stamp(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) })
	return errors.Join(err, failed)
}

// arrival reads the kernel's time stamp.
func arrival(control []byte) time.Time {
	all, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(all) == 0 || len(all[0].Data) < 16 {
		return time.Now()
	}
	d := all[0].Data
	return time.Unix(int64(binary.NativeEndian.Uint64(d)), int64(binary.NativeEndian.Uint64(d[8:])))
}

// maxDatagram is the longest UDP datagram.
const maxDatagram = 65535

func (p *Port) read(sink chan<- Datagram) {
	buf, control := make([]byte, maxDatagram), make([]byte, 128)
	for {
		n, c, _, from, err := p.conn.ReadMsgUDPAddrPort(buf, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // what ICMP told of a datagram that we sent
			continue
		}
		d := Datagram{Local: p.local, Remote: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), Bytes: append([]byte(nil), buf[:n]...), At: arrival(control[:c])}
		if from.Port() != PortIKE {
			d.unmark()
		}
		sink <- d
	}
}

// unmark takes the non-ESP marker off (RFC 3948 section 2.2).
func (d *Datagram) unmark() {
	if len(d.Bytes) >= 4 && [4]byte(d.Bytes) == [4]byte{} {
		d.Bytes = d.Bytes[4:]
		return
	}
	d.ESP = true
}

// Send sends an IKE message, with the non-ESP marker to port 4500.
func (p *Port) Send(to netip.AddrPort, message []byte) error {
	if to.Port() != PortIKE {
		message = append(make([]byte, 4), message...)
	}
	return p.SendRaw(to, message)
}

// SendRaw sends octets as they are.
func (p *Port) SendRaw(to netip.AddrPort, octets []byte) error {
	_, err := p.conn.WriteToUDPAddrPort(octets, to)
	return err
}

// Addr is the address of the port.
func (p *Port) Addr() netip.AddrPort { return p.local }

// Close closes the port.
func (p *Port) Close() { _ = p.conn.Close() }
