package ikev2

import (
	"net/netip"
	"runtime"
	"testing"

	"github.com/parley-ike/parley/core/machine"
)

// BenchmarkHandshake makes an IKE SA with a child between two machines with fake plugins: what the protocol costs by itself,
// both sides together.
func BenchmarkHandshake(b *testing.B) {
	l := newLine(b)
	b.ReportAllocs()
	for b.Loop() {
		l.pair()
	}
}

// BenchmarkMemory reports what an established SA with one child holds, the mean of an initiator and a responder.
func BenchmarkMemory(b *testing.B) {
	const pairs = 500
	l := newLine(b)
	for b.Loop() {
		keep := make([]*SA, 0, 2*pairs)
		before := heap()
		for range pairs {
			x, y := l.pair()
			keep = append(keep, x, y)
		}
		b.ReportMetric(float64(heap()-before)/float64(len(keep)), "bytes/SA")
		runtime.KeepAlive(keep)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// line joins two nodes without the trace and the checks of a world, which cost more than the machines.
type line struct {
	*player
	fx machine.Effects
}

func newLine(b *testing.B) *line {
	b.Helper()
	l := &line{player: &player{newWorld(b)}}
	l.makeNodes(nil)
	return l
}

// pair returns two established machines.
func (l *line) pair() (x, y *SA) {
	l.t.Helper()
	a, b := l.nodes[0], l.nodes[1]
	hosts := [2]*host{a.newSA(true, netip.AddrPortFrom(a.addr, 500), netip.AddrPortFrom(b.addr, 500)),
		b.newSA(false, netip.AddrPortFrom(b.addr, 500), netip.AddrPortFrom(a.addr, 500))}
	l.step(hosts, 0, machine.Initiate{})
	if hosts[0].State() != Established || hosts[1].State() != Established {
		l.t.Fatal(hosts[0].State(), hosts[1].State())
	}
	a.sas, b.sas = nil, nil
	clear(a.backend)
	clear(b.backend)
	return hosts[0].SA, hosts[1].SA
}

// step performs the effects of one step before the next.
func (l *line) step(hosts [2]*host, at int, in machine.Input) {
	l.fx.Reset()
	hosts[at].Step(l.now, in, &l.fx)
	var next []func()
	for _, e := range l.fx.List() {
		switch e := e.(type) {
		case machine.Send:
			next = append(next, func() {
				l.step(hosts, 1-at, machine.Datagram{Local: e.Remote, Remote: e.Local, Bytes: e.Bytes})
			})
		case machine.Call:
			next = append(next, func() {
				r, err := hosts[at].node.plugin(e.Op)
				l.step(hosts, at, machine.Reply{Ticket: e.Ticket, Result: r, Err: err})
			})
		}
	}
	for _, f := range next {
		f()
	}
}
