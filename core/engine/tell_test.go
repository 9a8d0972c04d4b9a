package engine

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
)

func TestWhatABackendTellsReachesTheOwnerOfTheChild(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	b.loop(first(them, 1, nil), first(them, 2, nil))
	m := b.fakes.made[0]
	spi := m.birth.SPI
	b.loop(message(spi, "auth"), message(spi, "install\x05"))
	tell := func(backend string, spi uint32) bool {
		before := len(m.inputs)
		b.Tell(b.now, childKey{backend, spi}, machine.ChildLost{SPIIn: spi})
		return len(m.inputs) == before+1 && m.inputs[before] == machine.ChildLost{SPIIn: spi}
	}
	if !tell("xfrm", 5) {
		t.Error("the owner was not told")
	}
	if tell("userspace", 5) || tell("xfrm", 6) {
		t.Error("it was told of a child that is not its own")
	}
	if b.fakes.made[1].inputs[0] == nil || len(b.fakes.made[1].inputs) != 1 {
		t.Error("another SA was told")
	}
	b.loop(message(spi, "remove\x05"))
	if tell("xfrm", 5) || len(b.Shard.children) != 0 {
		t.Error("it was told of a child that it had removed")
	}
}

// RFC 7296 section 2.8: the children go to the new IKE SA.
func TestASpawnedSAIsToldOfTheChildrenThatItInherits(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	b.loop(first(them, 1, nil))
	parent := b.fakes.made[0].birth.SPI
	b.children[childKey{"", 0xabc}] = machine.Owner(parent)
	b.loop(message(parent, "spawn"+string(binary.BigEndian.AppendUint64(nil, 0xabc))))
	b.Tell(b.now, childKey{"xfrm", 0xabc}, machine.ChildExpired{SPIIn: 0xabc, Hard: true})
	if in := b.sas[0xabc].machine.(*fake).inputs; len(in) != 1 || in[0] != (machine.ChildExpired{SPIIn: 0xabc, Hard: true}) {
		t.Errorf("the spawned SA got %v", in)
	}
}

// RFC7296-2.8-6: a spawned SA answers before it is known what becomes of it, and learns that later.
func TestASpawnedSALearnsWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	b.loop(first(them, 1, nil))
	parent := b.fakes.made[0].birth.SPI
	spi := string(binary.BigEndian.AppendUint64(nil, 0xabc))
	b.loop(message(parent, "spawn"+spi))
	b.children[childKey{"", 7}] = machine.Owner(parent)
	b.loop(message(parent, "decide"+spi))
	if in := b.sas[0xabc].machine.(*fake).inputs; len(in) != 1 || in[0] != (machine.Decided{}) {
		t.Errorf("the spawned SA got %v", in)
	}
	if o, known := b.children[childKey{"", 7}]; known {
		t.Errorf("the child that was handed over is still that of %x", o)
	}
	if o := b.children[childKey{"", 0xabc}]; o != 0xabc {
		t.Errorf("the child that the spawned SA has is that of %x", o)
	}
	if s, a := b.counters.spawned.Load(), b.counters.adopted.Load(); s != 2 || a != 2 {
		t.Errorf("%d were on their way, %d arrived", s, a)
	}
}

func TestWhatBecomesOfAnSAOfAnotherShardIsToldThere(t *testing.T) {
	t.Parallel()
	b, other := newBench(t, Limits{}), newBench(t, Limits{})
	b.Shard.c.Count, other.Shard.c.Count, other.Shard.c.Index = 2, 2, 1
	b.Shard.c.Elsewhere = func(_ machine.Owner, give func(*Shard, time.Time)) { give(other.Shard, b.now) }
	b.loop(first(them, 1, nil))
	parent := b.fakes.made[0].birth.SPI
	spi := string(binary.BigEndian.AppendUint64(nil, 0xabd))
	b.loop(message(parent, "spawn"+spi), message(parent, "decide"+spi))
	if in := other.sas[0xabd].machine.(*fake).inputs; len(in) != 1 || in[0] != (machine.Decided{}) {
		t.Errorf("the spawned SA got %v", in)
	}
	b.loop(message(parent, "decide"+string(binary.BigEndian.AppendUint64(nil, 0xabf)))) // it has ended
	if s, a := b.counters.spawned.Load(), b.counters.adopted.Load()+other.counters.adopted.Load(); s != 3 || a != 3 {
		t.Errorf("%d were on their way, %d arrived", s, a)
	}
}

func TestWhatABackendTellsReachesTheRightShard(t *testing.T) {
	t.Parallel()
	e, _, p := start(t, nil)
	const n = 16
	for i := range n {
		e.Receive([]machine.Datagram{first(sourceAddr(i), uint64(i)+1, nil)})
	}
	made := func() []*fake {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.Clone(p.made)
	}
	eventually(t, "an SA for each", func() bool { return len(made()) == n })
	for i, m := range made() {
		e.Receive([]machine.Datagram{message(m.birth.SPI, "auth"), message(m.birth.SPI, "install"+string([]byte{byte(i + 1)}))})
	}
	eventually(t, "a child for each", func() bool { return e.Counters().Calls.Load() == 2*n })
	steps := e.Counters().Steps.Load()
	for i := range n {
		e.Tell("xfrm", machine.ChildMoved{SPIIn: uint32(i + 1)})
	}
	e.Tell("xfrm", machine.Tick{}) // no word of a backend
	eventually(t, "a step for each", func() bool { return e.Counters().Steps.Load() == steps+n })
}
