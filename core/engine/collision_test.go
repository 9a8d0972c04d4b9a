package engine

import (
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
)

// RFC 7296 section 2.8.2: of the IKE SAs that both sides make at once one stays, with the child, and the journals of both replay.
func TestOneSAStaysWhenBothSidesRekeyAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rec, err := journal.NewRecorder(dir, func(path string, err error) { t.Errorf("%s: %v", path, err) })
	if err != nil {
		t.Fatal(err)
	}
	w := newPeers(t, rec, Limits{})
	const tunnels, rounds = 2, 5
	w.connect(tunnels)
	for range rounds {
		w.east.asks(machine.Rekey{})
		w.west.asks(machine.Rekey{})
		w.settle()
		w.pass(time.Minute)
	}
	for name, p := range map[string]*peer{"east": w.east, "west": w.west} {
		checkOwners(t, name, p, tunnels)
		if n := p.collisions(); n < rounds {
			t.Errorf("%s tells of %d collisions", name, n)
		}
		if s, a := p.counters.spawned.Load(), p.counters.adopted.Load(); s != a || s < tunnels*rounds {
			t.Errorf("%s: %d SAs or children were on their way, %d arrived", name, s, a)
		}
	}
	w.east.Command(w.now, Selector{All: true}, machine.Terminate{Reason: "test"})
	w.settle()
	w.pass(2 * time.Minute)
	if left := w.east.Len() + w.west.Len() + len(w.east.Shard.children) + len(w.west.Shard.children) + len(w.east.c.Roster.members); left != 0 {
		t.Errorf("%d SAs, children and members of the roster are left", left)
	}
	rec.Close()
	for _, path := range journals(t, dir) {
		if _, _, err := replay(t, path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// asks gives all SAs a command, and sends what comes of it before anything is received.
func (p *peer) asks(in machine.Input) {
	now := p.world.now
	p.Command(now, Selector{All: true}, in)
	p.Shard.Flush(now)
	calls := p.calls
	p.calls = nil
	for _, r := range calls {
		p.Return(now, machine.Return{Owner: r.Owner, Reply: p.answer(r.Call)})
	}
	p.Shard.Flush(now)
}

// checkOwners demands that there are n SAs, and that what a backend tells of their children reaches them.
func checkOwners(t *testing.T, name string, p *peer, n int) {
	t.Helper()
	if got := p.counters.Established.Load(); got != int64(n) || p.Len() != n || len(p.Shard.children) != n {
		t.Errorf("%s: %d SAs, %d established, %d children", name, p.Len(), got, len(p.Shard.children))
	}
	for k, o := range p.Shard.children {
		if e := p.sas[o]; e == nil || len(e.machine.Info().Children) != 1 {
			t.Errorf("%s: child %v is held to be that of %x, which has none", name, k, o)
		}
	}
}

func (p *peer) collisions() (n int) {
	for _, r := range p.records {
		if _, ok := r.Event.(event.IKERekeyCollision); ok {
			n++
		}
	}
	return n
}
