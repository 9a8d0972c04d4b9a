package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/parley-ike/parley/core/engine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/transport"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// floodSources is where a flood claims to come from: every address of it belongs to the loopback device.
var floodSources = netip.MustParsePrefix("127.0.0.0/8")

// unlimited lifts a limit of the engine and still leaves room to calculate.
const unlimited = 1 << 30

// limits are those of the default where a flood is to be stood, and none else.
func (s Setup) limits() engine.Limits {
	if s.Flooded {
		return engine.Limits{}
	}
	return engine.Limits{CookieThreshold: unlimited, SourceCookieThreshold: unlimited, MaxHalfOpen: unlimited,
		SourceMaxHalfOpen: unlimited, SourceRate: unlimited, Rate: unlimited,
		IKEv1MaxHalfOpen: unlimited, IKEv1SourceMaxHalfOpen: unlimited, IKEv1Rate: unlimited, IKEv1SourceRate: unlimited,
		RSADecryptions: unlimited, SourceRSADecryptions: unlimited}
}

// Drops is what became of first messages, since the start.
type Drops struct {
	Received, Cookies, Full uint64 // datagrams, demands for a cookie, datagrams for which an inbox had no room
	HalfOpen                int64  // now
}

func drops(c *engine.Counters, s *transport.Stats) Drops {
	return Drops{Received: s.Received.Load(), Cookies: c.CookiesSent.Load(), Full: c.DroppedFull.Load(), HalfOpen: c.HalfOpen.Load()}
}

// Flood sends IKE_SA_INIT requests, each from another address and for another SA. It is for one goroutine.
type Flood struct {
	conn net.PacketConn
	out  *ipv4.PacketConn
	msgs []ipv4.Message
	rand *rand.Rand
}

// NewFlood returns a flood for one gateway. Its messages offer what an honest peer would, with X25519, so that each would cost a
// key exchange and a half-open SA.
func NewFlood(to netip.AddrPort, proposal string) (*Flood, error) {
	offer, err := policy.ParseProposal(policy.ScopeIKE, proposal)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		return nil, fmt.Errorf("bench: no socket for a flood: %w", err)
	}
	_ = conn.(*net.UDPConn).SetReadBuffer(0) // answers are dropped
	f := &Flood{conn: conn, out: ipv4.NewPacketConn(conn), rand: rand.New(rand.NewPCG(1, 2))}
	for range transport.BatchSize {
		f.msgs = append(f.msgs, ipv4.Message{Buffers: [][]byte{firstMessage(offer)}, Addr: net.UDPAddrFromAddrPort(to)})
	}
	return f, nil
}

// Close ends it.
func (f *Flood) Close() { _ = f.conn.Close() }

const x25519 = "aes128gcm16-prfsha256-x25519"

// Octets of an X25519 value and of a nonce; before the latter stands its generic header.
const keLen, nonceLen, headLen = 32, 32, wire.PayloadHeaderLen

// firstMessage returns a request with the key exchange value and the nonce at its end.
func firstMessage(offer policy.Proposal) []byte {
	sa := wire2.SA{Proposals: []wire2.Proposal{offer.Wire(1, wire2.ProtoIKE, nil)}}
	ps := []wire2.Payload{sa, wire2.Notify{Kind: wire2.NATDetectionSourceIP, Data: make([]byte, 20)},
		wire2.Notify{Kind: wire2.NATDetectionDestinationIP, Data: make([]byte, 20)},
		wire2.KE{Method: policy.FirstKE([]policy.Proposal{offer}), Data: make([]byte, keLen)}, wire2.Nonce{Data: make([]byte, nonceLen)}}
	h := wire.Header{InitiatorSPI: 1, Major: 2, Exchange: wire2.IKESAInit, Flags: wire.FlagInitiator}
	return wire2.Message{Header: h, Payloads: ps}.Append(nil)
}

// forge gives every message of a batch a new SPI, nonce, key exchange value and source.
func (f *Flood) forge() {
	for i := range f.msgs {
		b := f.msgs[i].Buffers[0]
		binary.BigEndian.PutUint64(b, f.rand.Uint64()|1)
		f.fill(b[len(b)-nonceLen:])
		f.fill(b[len(b)-nonceLen-headLen-keLen : len(b)-nonceLen-headLen])
		n := f.rand.Uint32()
		source := net.IPv4(127, byte(n>>16)|1, byte(n>>8), byte(n)) // not the peers', which are 127.0.0.0/16
		f.msgs[i].OOB = (&ipv4.ControlMessage{Src: source}).Marshal()
	}
}

func (f *Flood) fill(b []byte) {
	for ; len(b) > 0; b = b[8:] {
		binary.BigEndian.PutUint64(b, f.rand.Uint64())
	}
}

// Run sends at a rate for a time and returns how many messages it sent. On a busy machine these may be fewer.
func (f *Flood) Run(perSecond int, d time.Duration) (sent int, err error) {
	begin := time.Now()
	for passed := time.Duration(0); passed < d; passed = time.Since(begin) {
		if due := int(passed.Seconds() * float64(perSecond)); sent >= due {
			time.Sleep(time.Millisecond)
			continue
		}
		f.forge()
		n, err := f.out.WriteBatch(f.msgs, 0)
		if err != nil {
			return sent, fmt.Errorf("bench: the flood was stopped: %w", err)
		}
		sent += n
	}
	return sent, nil
}

// Flooding is what a flood costs its target.
type Flooding struct {
	Sent    int           // messages
	Took    time.Duration // for them
	Drops   Drops         // of this flood
	CPU     time.Duration // of the target, user and system
	Lost    uint64        // that never reached the target: its socket was full
	Cookies uint64        // demands for a cookie
}

// PerCookie is the CPU time of the target for each demand for a cookie: with what it spent on messages that it dropped.
func (f Flooding) PerCookie() time.Duration { return f.CPU / time.Duration(max(f.Cookies, 1)) }

// Flood floods the responder and tells what that cost.
func (p *Pair) Flood(perSecond int, d time.Duration) (f Flooding, err error) {
	flood, err := NewFlood(p.target, x25519)
	if err != nil {
		return f, err
	}
	defer flood.Close()
	before, err := p.responder.tell(order{})
	if err != nil {
		return f, err
	}
	begin := time.Now()
	if f.Sent, err = flood.Run(perSecond, d); err != nil {
		return f, err
	}
	f.Took = time.Since(begin)
	after, err := p.responder.tell(order{})
	if err != nil {
		return f, err
	}
	f.CPU = after.Usage.CPUSince(before.Usage)
	f.Cookies = after.Flood.Cookies - before.Flood.Cookies
	f.Drops = Drops{Received: after.Flood.Received - before.Flood.Received, Full: after.Flood.Full - before.Flood.Full, HalfOpen: after.Flood.HalfOpen}
	f.Lost = uint64(f.Sent) - min(f.Drops.Received, uint64(f.Sent))
	return f, nil
}
