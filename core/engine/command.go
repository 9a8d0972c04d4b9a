package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

// Selector says which SAs a command is for. Set fields must all match; the zero Selector matches none unless All is set.
type Selector struct {
	All  bool
	UID  event.UID
	Conn string
}

func (l Selector) matches(e *sa) bool {
	if l == (Selector{}) || e.phase >= ended {
		return false
	}
	return (l.UID == event.UID{} || l.UID == e.uid) && (l.Conn == "" || l.Conn == e.conn)
}

// Command gives in to every SA that sel matches, and returns how many there were. SAs that have ended match nothing.
func (s *Shard) Command(now time.Time, sel Selector, in machine.Input) int {
	var chosen []*sa
	for _, e := range s.sas {
		if sel.matches(e) {
			chosen = append(chosen, e)
		}
	}
	slices.SortFunc(chosen, func(a, b *sa) int { return cmp.Compare(a.owner, b.owner) }) // a command has one order
	for _, e := range chosen {
		s.step(now, e, in)
	}
	return len(chosen)
}

// owners returns the SPIs of all SAs in order.
func (s *Shard) owners() []machine.Owner {
	list := make([]machine.Owner, 0, len(s.sas))
	for o := range s.sas {
		list = append(list, o)
	}
	slices.Sort(list)
	return list
}

// live returns how many SAs have not ended.
func (s *Shard) live() int {
	n := 0
	for _, e := range s.sas {
		if e.phase < ended {
			n++
		}
	}
	return n
}

// Infos describes the SAs, in the order of their SPIs.
func (s *Shard) Infos() []machine.Info {
	var list []machine.Info
	for _, o := range s.owners() {
		list = append(list, s.sas[o].machine.Info())
	}
	return list
}

// Installed lists the child SAs that SAs hold or may hold in an SA backend. It carries keys.
func (s *Shard) Installed() []machine.ChildSA {
	var list []machine.ChildSA
	for _, o := range s.owners() {
		list = append(list, s.sas[o].machine.Installed()...)
	}
	return list
}

// newest describes the IKE SA of a connection that was established last and can take further children, the zero Info when
// there is none.
func (s *Shard) newest(conn string) (latest machine.Info) {
	for _, o := range s.owners() {
		if e := s.sas[o]; e.phase != established || e.conn != conn {
			continue
		}
		if info := s.sas[o].machine.Info(); info.State == stateEstablished && info.Established.After(latest.Established) {
			latest = info
		}
	}
	return latest
}

// stateEstablished is how a machine calls itself that serves all commands.
const stateEstablished = "established"
