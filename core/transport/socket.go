package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// socket is one bound UDP socket, and on the NAT traversal port the encapsulation socket beside it.
type socket struct {
	conn  *net.UDPConn
	batch batchConn
	local netip.AddrPort
	natt  bool
	encap *net.UDPConn // nil without one
}

// batchConn is what ipv4.PacketConn and ipv6.PacketConn have in common; their Message is one type.
type batchConn interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

func openIKE(addr netip.AddrPort, buffer int, warn func(error)) (*socket, error) {
	conn, err := listen(addr, false)
	if err != nil {
		return nil, err
	}
	return newSocket(conn, false, buffer, warn)
}

// openNATT opens the group of two. The exclusive bind before tells another daemon from our own group, which a shared
// bind would silently join. The order of the binds decides the indices of the BPF program: ours is 0.
func openNATT(addr netip.AddrPort, buffer int, warn func(error)) (*socket, error) {
	probe, err := listen(addr, false)
	if err != nil {
		return nil, err
	}
	addr = probe.LocalAddr().(*net.UDPAddr).AddrPort()
	_ = probe.Close()
	conn, err := listen(addr, canShare)
	if err != nil {
		return nil, err
	}
	s, err := newSocket(conn, true, buffer, warn)
	if err != nil || !canShare {
		return s, err
	}
	if err := s.openEncap(buffer, warn); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// openEncap binds the second socket of the group. The program is attached before, so that no ESP reaches us in between;
// until there is a second socket the kernel falls back to the first.
func (s *socket) openEncap(buffer int, warn func(error)) error {
	if err := attachSplit(s.conn); err != nil {
		return err
	}
	encap, err := listen(s.local, true)
	if err != nil {
		return err
	}
	s.encap = encap
	prepare(encap, s.local, buffer, warn)
	return nil
}

func newSocket(conn *net.UDPConn, natt bool, buffer int, warn func(error)) (*socket, error) {
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s := &socket{conn: conn, local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), natt: natt}
	prepare(conn, s.local, buffer, warn)
	var err error
	if s.local.Addr().Is4() {
		p := ipv4.NewPacketConn(conn)
		s.batch, err = p, p.SetControlMessage(ipv4.FlagDst, true)
	} else {
		p := ipv6.NewPacketConn(conn)
		s.batch, err = p, p.SetControlMessage(ipv6.FlagDst, true)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// listen binds a UDP socket of addr's family alone.
func listen(addr netip.AddrPort, share bool) (*net.UDPConn, error) {
	lc := net.ListenConfig{}
	if share {
		lc.Control = func(_, _ string, c syscall.RawConn) error { return shareAddress(c) }
	}
	conn, err := lc.ListenPacket(context.Background(), network(addr.Addr()), addr.String())
	if err != nil {
		return nil, portError(addr, err)
	}
	return conn.(*net.UDPConn), nil
}

func network(addr netip.Addr) string {
	if addr.Is4() {
		return "udp4"
	}
	return "udp6" // net sets IPV6_V6ONLY for it
}

func (s *socket) close() {
	_ = s.conn.Close()
	if s.encap != nil {
		_ = s.encap.Close()
	}
}

// done reports whether a read error means the end.
func done(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed)
}
