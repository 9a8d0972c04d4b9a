package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Middle is a router of IPv4 in a namespace of its own between an inside and an outside, which can translate addresses and
// lose packets as it is told. It is a program: kernels that lack netfilter have it, too. The namespace has no addresses, so
// that its kernel adds nothing.
//
// As a NAT it passes UDP only, as the worst do, and gives each inside address and port a port of its public address.
type Middle struct {
	inside, outside leg
	public          netip.Addr // not valid: addresses stay as they are
	wait            sync.WaitGroup
	done            chan struct{}

	mu       sync.Mutex
	drop     func(Packet) bool
	ports    map[netip.AddrPort]uint16
	owners   map[uint16]netip.AddrPort
	lastPort uint16
}

// firstPort is below the first port that a NAT gives out.
const firstPort = 20000

// leg is one side of a Middle: a socket on its link, and who is at the link's other end.
type leg struct {
	fd   int
	peer unix.SockaddrLinklayer
}

// Packet is what a Middle is about to forward.
type Packet struct {
	Outward  bool
	From, To netip.AddrPort // without ports when it is not UDP
	Data     []byte         // of UDP
}

// Exchange is the exchange type of an IKE message (RFC 7296 section 3.1), 0 when it is none.
func (p Packet) Exchange() byte {
	data := p.Data
	if p.From.Port() == 4500 || p.To.Port() == 4500 {
		if len(data) < 4 || binary.BigEndian.Uint32(data) != 0 { // the non-ESP marker (RFC 3948 section 2.2)
			return 0
		}
		data = data[4:]
	}
	if p.From.Port() == 0 || len(data) < 28 {
		return 0
	}
	return data[18]
}

// NewMiddle makes the router between two namespaces, whose ends of the wires are called link and whose next hop it is by the
// addresses given. With a public address it translates.
func NewMiddle(inside, outside *Namespace, link string, insideHop, outsideHop, public netip.Addr) (*Middle, error) {
	ns, err := NewNamespace("middle")
	if err != nil {
		return nil, err
	}
	defer ns.Close() // its links' other ends and the sockets keep it
	m := &Middle{public: public, done: make(chan struct{}), ports: map[netip.AddrPort]uint16{}, owners: map[uint16]netip.AddrPort{}, lastPort: firstPort}
	if err := errors.Join(JoinAs(inside, link, ns, "inside"), JoinAs(outside, link, ns, "outside")); err != nil {
		return nil, err
	}
	if m.inside, err = ns.leg("inside", inside, link, insideHop); err != nil {
		return nil, err
	}
	if m.outside, err = ns.leg("outside", outside, link, outsideHop); err != nil {
		_ = unix.Close(m.inside.fd)
		return nil, err
	}
	m.wait.Add(2)
	go m.run(&m.inside, &m.outside, true)
	go m.run(&m.outside, &m.inside, false)
	return m, nil
}

// leg opens a socket on a link, and makes the far end send there what is for hop.
func (ns *Namespace) leg(link string, far *Namespace, farLink string, hop netip.Addr) (l leg, err error) {
	near, err := ns.Links.LinkByName(link)
	if err != nil {
		return l, err
	}
	other, err := far.Links.LinkByName(farLink)
	if err != nil {
		return l, err
	}
	err = far.Links.NeighSet(&netlink.Neigh{LinkIndex: other.Attrs().Index, Family: unix.AF_INET, State: netlink.NUD_PERMANENT,
		IP: hop.AsSlice(), HardwareAddr: near.Attrs().HardwareAddr})
	if err != nil {
		return l, fmt.Errorf("lab: %s: neighbour %s: %w", far.Name, hop, err)
	}
	l.peer = unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: near.Attrs().Index, Halen: 6}
	copy(l.peer.Addr[:], other.Attrs().HardwareAddr)
	err = ns.Do(func() (err error) {
		l.fd, err = packetSocket(unix.ETH_P_IP, near.Attrs().Index)
		return err
	})
	return l, err
}

// packetSocket opens a socket for the IP packets of a link. Its reads end now and then, so that a close is noticed.
func packetSocket(protocol uint16, link int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(htons(protocol)))
	if err != nil {
		return -1, err
	}
	timeout := unix.Timeval{Usec: 100_000}
	err = errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(protocol), Ifindex: link}))
	if err != nil {
		_ = unix.Close(fd)
	}
	return fd, err
}

// Drop has packets lost that f chooses; nil: none. f runs in the router.
func (m *Middle) Drop(f func(Packet) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop = f
}

// Close ends the router.
func (m *Middle) Close() {
	close(m.done)
	m.wait.Wait()
	_, _ = unix.Close(m.inside.fd), unix.Close(m.outside.fd)
}

func (m *Middle) run(from, to *leg, outward bool) {
	defer m.wait.Done()
	buf := make([]byte, 65536)
	for {
		select {
		case <-m.done:
			return
		default:
		}
		n, sender, err := unix.Recvfrom(from.fd, buf, 0)
		link, _ := sender.(*unix.SockaddrLinklayer)
		if err != nil || link == nil || link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if ip := buf[:n]; m.forward(ip, outward) {
			_ = unix.Sendto(to.fd, ip, 0, &to.peer) // what is too long is lost, as elsewhere
		}
	}
}

// forward translates a packet in place and reports whether it may pass.
func (m *Middle) forward(ip []byte, outward bool) bool {
	if len(ip) < 20 || ip[0]>>4 != 4 || len(ip) < int(ip[0]&15)*4 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	udp := ip[int(ip[0]&15)*4:]
	isUDP := ip[9] == unix.IPPROTO_UDP && len(udp) >= 8
	if m.drop != nil && m.drop(describe(ip, udp, isUDP, outward)) {
		return false
	}
	if isUDP {
		udp[6], udp[7] = 0, 0 // no checksum, which IPv4 allows: what a veth carries may not be complete yet
	}
	if m.public.IsValid() {
		return isUDP && m.translate(ip, udp, outward)
	}
	return true
}

func describe(ip, udp []byte, isUDP, outward bool) Packet {
	p := Packet{Outward: outward}
	var from, to uint16
	if isUDP {
		from, to, p.Data = binary.BigEndian.Uint16(udp), binary.BigEndian.Uint16(udp[2:]), udp[8:]
	}
	p.From = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:16])), from)
	p.To = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:20])), to)
	return p
}

func (m *Middle) translate(ip, udp []byte, outward bool) bool {
	if outward {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:16])), binary.BigEndian.Uint16(udp))
		copy(ip[12:16], m.public.AsSlice())
		binary.BigEndian.PutUint16(udp, m.portFor(from))
	} else {
		to, known := m.owners[binary.BigEndian.Uint16(udp[2:])]
		if !known || netip.AddrFrom4([4]byte(ip[16:20])) != m.public {
			return false
		}
		copy(ip[16:20], to.Addr().AsSlice())
		binary.BigEndian.PutUint16(udp[2:], to.Port())
	}
	checksum(ip[:int(ip[0]&15)*4])
	return true
}

func (m *Middle) portFor(inside netip.AddrPort) uint16 {
	port, known := m.ports[inside]
	if !known {
		m.lastPort++
		port = m.lastPort
		m.ports[inside], m.owners[port] = port, inside
	}
	return port
}

// checksum sets the checksum of an IPv4 header (RFC 791 section 3.1).
func checksum(header []byte) {
	header[10], header[11] = 0, 0
	sum := uint32(0)
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum))
}
