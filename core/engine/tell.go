package engine

import (
	"time"

	"github.com/parley-ike/parley/core/machine"
)

// childKey names a child SA in an SA backend; "" is the daemon's default one.
type childKey struct {
	backend string
	spiIn   uint32
}

func keyOf(c machine.ChildSA) childKey { return childKey{c.Backend, c.SPIIn} }

// Tell gives an SA what its SA backend told of a child: a ChildExpired, ChildMoved or ChildLost. It never waits. What nobody
// owns, or a shard has no room for, is dropped: backends tell what matters again.
func (e *Engine) Tell(backend string, in machine.Input) {
	spi, ok := spiOf(in)
	if !ok {
		return
	}
	for _, r := range e.runners {
		if !r.inbox.putCommand(func(s *Shard, now time.Time) { s.Tell(now, childKey{backend, spi}, in) }, false) {
			e.counters.DroppedFull.Add(1)
		}
	}
}

func spiOf(in machine.Input) (spi uint32, ok bool) {
	switch in := in.(type) {
	case machine.ChildExpired:
		return in.SPIIn, true
	case machine.ChildMoved:
		return in.SPIIn, true
	case machine.ChildLost:
		return in.SPIIn, true
	case machine.ChildPlaced:
		return in.SPIIn, true
	}
	return 0, false
}

// Tell gives in to the SA that owns a child, if it is here.
func (s *Shard) Tell(now time.Time, k childKey, in machine.Input) {
	owner, ok := s.children[k]
	if !ok {
		k.backend = ""
		owner, ok = s.children[k]
	}
	if e := s.sas[owner]; ok && e != nil {
		s.step(now, e, in)
	}
}

// learn notes whose child is installed or removed.
func (s *Shard) learn(o machine.Owner, op machine.Op) {
	switch op := op.(type) {
	case machine.InstallChild:
		s.children[keyOf(op.Child)] = o
	case machine.RemoveChild:
		if k := keyOf(op.Child); s.children[k] == o {
			delete(s.children, k)
		}
	}
}

// hand notes that a spawned SA owns the children of its parent from now on.
func (s *Shard) hand(from machine.Owner, children []machine.ChildSA) {
	for _, c := range children {
		if k := keyOf(c); s.children[k] == from {
			delete(s.children, k)
		}
	}
}

// own notes the children that an SA was born with.
func (s *Shard) own(e *sa) {
	children := e.machine.Installed()
	defer machine.WipeChildren(children)
	for _, c := range children {
		s.children[keyOf(c)] = e.owner
	}
}
