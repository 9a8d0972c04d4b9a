package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Counts says what crossed a link. Both directions count, but for ClearICMP and Other, which count where they leave: a
// kernel shows what it has taken out of ESP as if it had arrived so. Capture at both ends to see all.
type Counts struct {
	ESP       int // IP protocol 50
	ESPinUDP  int // UDP 4500 with a non-zero SPI (RFC 3948 section 2.1)
	IKE       int // UDP 500, or 4500 behind the non-ESP marker
	Keepalive int // one octet 0xFF on UDP 4500
	ClearICMP int // ICMP and ICMPv6 echo, outside any ESP
	Other     int

	FragmentsSent, FragmentsCame int // of IKE messages (RFC 7383 section 2.5, or as IKEv1 has them), from the link's end
}

// Protected is the number of ESP packets, encapsulated or not.
func (c Counts) Protected() int { return c.ESP + c.ESPinUDP }

// Capture counts the packets of a link until it is closed.
type Capture struct {
	socket *os.File
	mu     sync.Mutex
	counts Counts
	tap    func(ip []byte) // nil: packets are only counted
	err    error           // of the record
}

// NewCapture starts to count on a link of the namespace.
func (ns *Namespace) NewCapture(link string) (*Capture, error) {
	l, err := ns.Links.LinkByName(link)
	if err != nil {
		return nil, fmt.Errorf("lab: capture on %s: %w", link, err)
	}
	c := &Capture{}
	err = ns.Do(func() error {
		fd, err := packetSocket(unix.ETH_P_ALL, l.Attrs().Index)
		if err == nil {
			err = unix.SetNonblock(fd, true)
		}
		c.socket = os.NewFile(uintptr(fd), link) // nil for -1
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lab: capture on %s: %w", link, err)
	}
	go c.run()
	return c, nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// run counts until the socket is closed.
func (c *Capture) run() {
	buf := make([]byte, 65536)
	raw, err := c.socket.SyscallConn()
	for err == nil {
		var n int
		var from unix.Sockaddr
		var failed error
		err = raw.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), buf, 0)
			return !errors.Is(failed, unix.EAGAIN)
		})
		if err == nil && failed == nil {
			c.see(buf[:n], from)
		}
	}
}

func (c *Capture) see(ip []byte, from unix.Sockaddr) {
	link, _ := from.(*unix.SockaddrLinklayer)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.add(ip, link != nil && link.Pkttype == unix.PACKET_OUTGOING)
	if c.tap != nil {
		c.tap(ip)
	}
}

// Counts returns what was seen so far.
func (c *Capture) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// Reset begins to count anew.
func (c *Capture) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = Counts{}
}

// Tap has f see each packet from now on; nil: nobody. f must not keep it, and runs in the capture.
func (c *Capture) Tap(f func(ip []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tap = f
}

// Record writes the packets from now on to w, as a file for tcpdump and tshark.
func (c *Capture) Record(w io.Writer) error {
	c.Tap(func(ip []byte) { c.err = errors.Join(c.err, writePacket(w, ip)) })
	return writeFileHeader(w)
}

// StopRecord ends the record and returns what went wrong with it.
func (c *Capture) StopRecord() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tap = nil
	return c.err
}

// Close ends the capture.
func (c *Capture) Close() { _ = c.socket.Close() }

func (c *Counts) add(ip []byte, leaves bool) {
	switch protocol, payload := transport(ip); {
	case protocol == unix.IPPROTO_ESP:
		c.ESP++
	case protocol == unix.IPPROTO_UDP:
		c.addUDP(payload, leaves)
	case !leaves:
	default:
		c.addClear(protocol, payload)
	}
}

func (c *Counts) addClear(protocol int, payload []byte) {
	switch protocol {
	case unix.IPPROTO_ICMP:
		c.addEcho(payload, 0, 8)
	case unix.IPPROTO_ICMPV6:
		c.addEcho(payload, 128, 129)
	default:
		c.Other++
	}
}

func (c *Counts) addEcho(icmp []byte, types ...byte) {
	for _, t := range types {
		if len(icmp) > 0 && icmp[0] == t {
			c.ClearICMP++
			return
		}
	}
	c.Other++
}

func (c *Counts) addUDP(udp []byte, leaves bool) {
	if len(udp) < 8 {
		c.Other++
		return
	}
	from, to, data := binary.BigEndian.Uint16(udp), binary.BigEndian.Uint16(udp[2:]), udp[8:]
	switch {
	case from == 500 || to == 500:
		c.addIKE(data, leaves)
	case from != 4500 && to != 4500:
		c.Other++
	case len(data) == 1 && data[0] == 0xff:
		c.Keepalive++
	case len(data) >= 4 && binary.BigEndian.Uint32(data) != 0:
		c.ESPinUDP++
	default:
		c.addIKE(data[min(4, len(data)):], leaves)
	}
}

// Types of the payload in front of a fragment: the Encrypted Fragment payload, and what IKEv1 has ([MS-IKEE] section 2.2.6).
const fragmentPayload, fragmentPayload1 = 53, 132

func (c *Counts) addIKE(message []byte, leaves bool) {
	c.IKE++
	switch {
	case len(message) < 28 || message[16] != fragmentPayload && message[16] != fragmentPayload1:
	case leaves:
		c.FragmentsSent++
	default:
		c.FragmentsCame++
	}
}

// transport returns the protocol and payload of an IP packet. Extension headers are not walked: nobody here sends them.
func transport(ip []byte) (protocol int, payload []byte) {
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4 && len(ip) >= int(ip[0]&15)*4:
		return int(ip[9]), ip[int(ip[0]&15)*4:]
	case len(ip) >= 40 && ip[0]>>4 == 6:
		return int(ip[6]), ip[40:]
	}
	return -1, nil
}
