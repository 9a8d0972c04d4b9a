package sim

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/core/machine"
)

// Addresses of the world. east may be behind a NAT.
var (
	eastAddr = netip.MustParseAddr("192.0.2.1")
	westAddr = netip.MustParseAddr("198.51.100.2")
	natAddr  = netip.MustParseAddr("203.0.113.9")
)

// send puts a datagram on the wire.
func (w *world) send(from, to netip.AddrPort, b []byte) {
	f := w.faults
	if f.messages.swallows(b) || w.broken(from.Addr(), to.Addr()) {
		return
	}
	copies := 1
	if w.rand.Float64() < f.duplicate {
		copies++
	}
	for range copies {
		if w.rand.Float64() < f.loss {
			continue
		}
		delay := f.latency
		if f.jitter > 0 {
			delay += time.Duration(w.rand.Int64N(int64(f.jitter)))
		}
		w.clock.in(delay, func() { w.arrive(from, to, w.damage(b)) })
	}
}

// damage flips a bit now and then; the octets of the sender stay as they are.
func (w *world) damage(b []byte) []byte {
	if w.rand.Float64() >= w.faults.corrupt {
		return bytes.Clone(b)
	}
	b = bytes.Clone(b)
	b[w.rand.IntN(len(b))] ^= 1 << w.rand.IntN(8)
	return b
}

func (w *world) arrive(from, to netip.AddrPort, b []byte) {
	if w.nat != nil {
		from, to = w.nat.translate(w, from, to)
	}
	node := w.nodeAt(to.Addr())
	if node == nil || len(b) == 1 { // a keepalive ends at the transport
		return
	}
	node.do(func() { node.shard.Receive(w.clock.now, machine.Datagram{Local: to, Remote: from, Bytes: b}) })
}

func (w *world) nodeAt(a netip.Addr) *node {
	i := slices.IndexFunc(w.nodes[:], func(n *node) bool { return slices.Contains(n.has, a) })
	if i < 0 {
		return nil
	}
	return w.nodes[i]
}

// nat is a port-translating NAT in front of east. Answers to a port that is not mapped any more are lost.
type nat struct {
	next     uint16
	mappings []mapping
}

type mapping struct {
	inside netip.AddrPort
	port   uint16
}

func (n *nat) translate(w *world, from, to netip.AddrPort) (netip.AddrPort, netip.AddrPort) {
	if from.Addr() == eastAddr {
		return netip.AddrPortFrom(natAddr, n.outside(from, w.rand.Float64() < w.faults.rebind)), to
	}
	if to.Addr() != natAddr {
		return from, to
	}
	for _, m := range n.mappings {
		if m.port == to.Port() {
			return from, m.inside
		}
	}
	return from, netip.AddrPort{}
}

// outside returns the port of an inner address, a new one after a rebinding.
func (n *nat) outside(inside netip.AddrPort, rebind bool) uint16 {
	i := slices.IndexFunc(n.mappings, func(m mapping) bool { return m.inside == inside })
	if i < 0 {
		n.mappings = append(n.mappings, mapping{inside: inside})
		i, rebind = len(n.mappings)-1, true
	}
	if rebind {
		n.next++
		n.mappings[i].port = 10000 + n.next
	}
	return n.mappings[i].port
}
