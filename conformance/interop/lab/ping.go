package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Pinger sends ICMP echo requests from one address in a namespace.
type Pinger struct {
	conn     *icmp.PacketConn
	to       netip.Addr
	id       uint16
	sequence uint16
}

// pingers counts them: each has an identifier of its own, because all see the replies to all.
var pingers atomic.Uint32

// NewPinger opens a raw ICMP socket bound to from.
func (ns *Namespace) NewPinger(from, to netip.Addr) (*Pinger, error) {
	network := "ip4:icmp"
	if from.Is6() {
		network = "ip6:ipv6-icmp"
	}
	p := &Pinger{to: to, id: uint16(pingers.Add(1))}
	err := ns.Do(func() (err error) {
		p.conn, err = icmp.ListenPacket(network, from.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lab: ping from %s: %w", from, err)
	}
	return p, nil
}

// Close ends the pinger.
func (p *Pinger) Close() { _ = p.conn.Close() }

// ErrNoReply is returned when an echo request was not answered in time.
var ErrNoReply = errors.New("lab: no echo reply")

// Ping sends one echo request with size octets of data and waits for its reply.
func (p *Pinger) Ping(size int, wait time.Duration) (time.Duration, error) {
	p.sequence++
	begin := time.Now()
	packet, err := p.request(size)
	if err != nil {
		return 0, err
	}
	if _, err := p.conn.WriteTo(packet, &net.IPAddr{IP: p.to.AsSlice()}); err != nil {
		return 0, fmt.Errorf("lab: ping %s: %w", p.to, err)
	}
	if err := p.conn.SetReadDeadline(begin.Add(wait)); err != nil {
		return 0, err
	}
	buf := make([]byte, 65536)
	for {
		n, _, err := p.conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, ErrNoReply
		} else if err != nil {
			return 0, err
		}
		if p.isReply(buf[:n]) {
			return time.Since(begin), nil
		}
	}
}

func (p *Pinger) request(size int) ([]byte, error) {
	var kind icmp.Type = ipv4.ICMPTypeEcho
	if p.to.Is6() {
		kind = ipv6.ICMPTypeEchoRequest
	}
	m := icmp.Message{Type: kind, Body: &icmp.Echo{ID: int(p.id), Seq: int(p.sequence), Data: make([]byte, size)}}
	return m.Marshal(nil)
}

// isReply reports whether b answers the last request.
func (p *Pinger) isReply(b []byte) bool {
	return p.isAnswer(b) && binary.BigEndian.Uint16(b[6:]) == p.sequence
}

// isAnswer reports whether b answers any of the requests.
func (p *Pinger) isAnswer(b []byte) bool {
	reply := byte(ipv4.ICMPTypeEchoReply)
	if p.to.Is6() {
		reply = byte(ipv6.ICMPTypeEchoReply)
	}
	return len(b) >= 8 && b[0] == reply && binary.BigEndian.Uint16(b[4:]) == p.id
}
