package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Ports of IKE (RFC 7296 section 2).
const (
	DefaultPort     = 500
	DefaultNATTPort = 4500
)

const (
	// BatchSize is how many datagrams one system call moves. Past about 64 the gain per packet is gone, and each slot of
	// a receiving socket holds a buffer.
	BatchSize = 64
	// MaxDatagram is the largest payload that UDP can carry; a longer one cannot arrive, so nothing is ever cut.
	MaxDatagram = 65535
	// DefaultBuffer is what is asked of the kernel for each direction of a socket: about 5000 datagrams of 400 octets
	// with the kernel's bookkeeping, which rides out a pause of 50 ms in a flood of 100 000 a second.
	DefaultBuffer = 4 << 20
	// sendPatience bounds a Flush when the kernel's send buffer is full: better a lost datagram, which its sender
	// repeats, than a shard that stands still.
	sendPatience = 100 * time.Millisecond
	// sendPause is between looks whether there is room: some dozens of messages leave in it.
	sendPause = time.Millisecond
	// errorPause keeps a socket whose reads keep failing from spinning.
	errorPause = 10 * time.Millisecond
)

// Packet is a received IKE message, without the non-ESP marker.
type Packet struct {
	Local, Remote netip.AddrPort // Local is the address that the sender used
	Data          []byte
}

// Config says what to open. The zero value opens ports 500 and 4500 on all addresses of both families.
type Config struct {
	Addrs          []netip.Addr // addresses of this machine; empty: all, IPv4 and IPv6
	Port, NATTPort uint16       // 0: 500 and 4500
	Ephemeral      bool         // the kernel chooses the ports, a pair for each address; for tests
	Buffer         int          // octets asked of the kernel per socket and direction; 0: DefaultBuffer
}

// Stats counts since Open. All fields may be read at any time.
type Stats struct {
	Received, Sent   atomic.Uint64 // IKE messages
	Keepalives       atomic.Uint64 // received and ignored (RFC 3948 section 2.3)
	DroppedESP       atomic.Uint64 // ESP in UDP that reached an IKE socket: there is no second socket
	DroppedEmpty     atomic.Uint64 // nothing in it
	DroppedTruncated atomic.Uint64 // longer than MaxDatagram
	ReadErrors       atomic.Uint64
	SendErrors       atomic.Uint64 // messages that the kernel refused
	NoSocket         atomic.Uint64 // messages to send from an address or port that is not ours
}

// Transport is a set of open sockets.
type Transport struct {
	sockets  []*socket
	warnings []error
	stats    Stats
}

// Open opens the sockets. It fails with *PortError when a port cannot be had. IPv6 that the kernel lacks is left out of
// the wildcard default, with a warning.
func Open(c Config) (*Transport, error) {
	c.applyDefaults()
	t := &Transport{}
	for _, addr := range c.addrs() {
		err := t.open(addr.Unmap(), c)
		if err != nil && len(c.Addrs) == 0 && noFamily(err) {
			t.warn(err)
			continue
		}
		if err != nil {
			t.Close()
			return nil, err
		}
	}
	if len(t.sockets) == 0 {
		return nil, errors.New("transport: the kernel has neither IPv4 nor IPv6")
	}
	return t, nil
}

func (c *Config) applyDefaults() {
	if c.Port == 0 && !c.Ephemeral {
		c.Port = DefaultPort
	}
	if c.NATTPort == 0 && !c.Ephemeral {
		c.NATTPort = DefaultNATTPort
	}
	if c.Buffer == 0 {
		c.Buffer = DefaultBuffer
	}
}

func (c *Config) addrs() []netip.Addr {
	if len(c.Addrs) > 0 {
		return c.Addrs
	}
	return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
}

// open opens the pair of ports on one address.
func (t *Transport) open(addr netip.Addr, c Config) error {
	ike, err := openIKE(netip.AddrPortFrom(addr, c.Port), c.Buffer, t.warn)
	if err != nil {
		return err
	}
	t.sockets = append(t.sockets, ike)
	natt, err := openNATT(netip.AddrPortFrom(addr, c.NATTPort), c.Buffer, t.warn)
	if err != nil {
		return err
	}
	t.sockets = append(t.sockets, natt)
	return nil
}

func (t *Transport) warn(err error) { t.warnings = append(t.warnings, err) }

// Warnings returns what could not be had and is not needed to run: bypass policies, buffer sizes, a missing family.
func (t *Transport) Warnings() []error { return t.warnings }

// Stats returns the counters.
func (t *Transport) Stats() *Stats { return &t.stats }

// Addrs returns where the sockets are bound, for each address the IKE port and then the NAT traversal port.
func (t *Transport) Addrs() []netip.AddrPort {
	addrs := make([]netip.AddrPort, len(t.sockets))
	for i, s := range t.sockets {
		addrs[i] = s.local
	}
	return addrs
}

// LocalFor returns the address and IKE port from which a message to remote would leave. It asks the kernel's routing
// table and sends nothing.
func (t *Transport) LocalFor(remote netip.Addr) (netip.AddrPort, error) {
	remote = remote.Unmap()
	s := t.ikeSocket(remote)
	if s == nil {
		return netip.AddrPort{}, fmt.Errorf("transport: no socket of the address family of %s is open", remote)
	}
	if !s.local.Addr().IsUnspecified() {
		return s.local, nil
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, DefaultPort)))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("transport: no route to %s: %w", remote, err)
	}
	defer conn.Close()
	source := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	return netip.AddrPortFrom(source, s.local.Port()), nil
}

// ikeSocket returns the first IKE socket of addr's family.
func (t *Transport) ikeSocket(addr netip.Addr) *socket {
	for _, s := range t.sockets {
		if !s.natt && s.local.Addr().Is4() == addr.Is4() {
			return s
		}
	}
	return nil
}

// find returns the socket from which local can send: same port and family, same address or a wildcard.
func (t *Transport) find(local netip.AddrPort) int {
	wildcard := -1
	for i, s := range t.sockets {
		switch bound := s.local; {
		case bound.Port() != local.Port() || bound.Addr().Is4() != local.Addr().Is4():
		case bound.Addr() == local.Addr().WithZone(""):
			return i
		case bound.Addr().IsUnspecified():
			wildcard = i
		}
	}
	return wildcard
}

// Run reads until ctx is done and hands every batch to receive, which is called from one goroutine per socket and must
// not keep the slice. Run returns when all have ended; the sockets stay open for sending.
func (t *Transport) Run(ctx context.Context, receive func(batch []Packet)) {
	stop := context.AfterFunc(ctx, func() {
		for _, s := range t.sockets {
			_ = s.conn.SetReadDeadline(time.Unix(1, 0))
		}
	})
	defer stop()
	var wg sync.WaitGroup
	for _, s := range t.sockets {
		wg.Go(func() { s.run(ctx, &t.stats, receive) })
	}
	wg.Wait()
}

// EncapFiles returns a descriptor of every encapsulation socket, for an SA backend; getsockname tells which address
// each is for. The caller closes them. The sockets themselves stay open until Close, so that a backend can be started
// again.
func (t *Transport) EncapFiles() ([]*os.File, error) {
	var files []*os.File
	for _, s := range t.sockets {
		if s.encap == nil {
			continue
		}
		f, err := s.encap.File()
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("transport: cannot duplicate the encapsulation socket of %s: %w", s.local, err)
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// Close closes all sockets. Files that EncapFiles handed out stay open.
func (t *Transport) Close() {
	for _, s := range t.sockets {
		s.close()
	}
}
