package ikev1

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// child is a pair of IPsec SAs that an SA backend holds, or may hold.
type child struct {
	sa         machine.ChildSA
	conf       *policy.Child
	suite      suite.Suite
	ours       bool // we began its quick mode
	installing bool // the backend has not confirmed the installation
	up         bool // announced as established
	removing   bool // the backend has been told to remove it
	by, reason string
	placed     string // which device carries it, as its SA backend told; "": it told nothing
	packetsIn  uint64 // when they were last counted

	since   time.Time // up
	life    span
	heir    *child    // the one that took its place, nil for none
	orphan  bool      // it had one in the SA that it comes from
	leaveAt time.Time // when we delete it because of that; zero: the peer does, or its lifetime ends it
}

// key orders the calls about a child: RemoveChild cannot overtake InstallChild.
func (c *child) key() uint64 { return uint64(c.sa.SPIIn) }

// usable reports whether a child is in use and nothing is about to end it.
func (c *child) usable() bool { return c.up && !c.removing && c.heir == nil }

// replaced reports whether another child has taken its place.
func (c *child) replaced() bool { return c.heir != nil }

// sameTraffic reports whether two children are for the same traffic, so that the newer one takes the place of the older.
func (c *child) sameTraffic(other *child) bool {
	return c.conf.Name == other.conf.Name && slices.Equal(c.sa.LocalTS, other.sa.LocalTS) && slices.Equal(c.sa.RemoteTS, other.sa.RemoteTS)
}

// newChild derives the keys (RFC 2409 section 5.5), wipes the shared secret of the quick mode, if there is one, and describes the
// child for an SA backend. The inbound SPI, which no other child here has, serves as request ID, unless the child replaces
// another. Held keeps it from sending until the peer has proved that it lives.
func (q *quick) newChild(held bool) (*child, error) {
	s, chosen := q.s, q.terms.Suite
	defer q.shared.Wipe()
	spiI, spiR := q.spi, binary.BigEndian.Uint32(q.terms.PeerSPI)
	if !q.initiator {
		spiI, spiR = spiR, spiI
	}
	keys, err := s.keys.DeriveChild(chosen, q.shared, spiI, spiR, q.ni, q.nr)
	if err != nil {
		return nil, err
	}
	sa := machine.ChildSA{
		UID: s.newUID(), Backend: q.conf.Backend, Conn: s.conn.Name, Name: q.conf.Name, ReqID: q.spi,
		SPIIn: q.spi, SPIOut: binary.BigEndian.Uint32(q.terms.PeerSPI), Mode: q.mode(),
		Local: s.local.Addr(), Remote: s.remote.Addr(),
		Encr: uint16(chosen.Encr), KeyBits: uint16(chosen.KeyBits), Integ: uint16(chosen.Integ),
		EncrIn: keys.EncrR, IntegIn: keys.IntegR, EncrOut: keys.EncrI, IntegOut: keys.IntegI,
		ReplayWindow: q.conf.ReplayWindow, LocalTS: []machine.Selector{machine.Selector(q.local)}, RemoteTS: []machine.Selector{machine.Selector(q.remote)},
		Addresses: s.inner.assigned, Handling: handling(q.conf.Handling), Held: held,
	}
	if !q.initiator {
		sa.EncrIn, sa.IntegIn, sa.EncrOut, sa.IntegOut = keys.EncrI, keys.IntegI, keys.EncrR, keys.IntegR
	}
	s.volumes(&sa, q.life())
	if q.terms.Encapsulated() {
		sa.Encap, sa.LocalPort, sa.RemotePort = true, s.local.Port(), s.remote.Port()
	}
	c := &child{sa: sa, conf: q.conf, suite: chosen, ours: q.initiator}
	if old := s.predecessor(c); old != nil {
		c.sa.ReqID = old.sa.ReqID
	}
	s.emit(event.SuiteChosen{Scope: scopeChild, Suite: chosen.String()})
	return c, nil
}

// predecessor returns the child whose place a new one takes, nil for none.
func (s *SA) predecessor(c *child) *child {
	i := slices.IndexFunc(s.children, func(old *child) bool { return old != c && old.usable() && old.sameTraffic(c) })
	if i < 0 {
		return nil
	}
	return s.children[i]
}

// install has a backend install a child. From here on closing removes it. What changes meanwhile follows as an update: the
// installation may be asked for again.
func (s *SA) install(c *child, then func(*machine.CallError)) {
	s.calls.Take(c.sa.SPIIn)
	s.children = append(s.children, c)
	c.installing = true
	sent := c.sa
	ask(s, machine.InstallChild{Child: sent}, c.key(), func(_ machine.Installed, err *machine.CallError) {
		if c.installing = false; err == nil && !samePath(sent, c.sa) {
			s.askUpdate(c)
		}
		then(err)
	})
}

// samePath reports whether two descriptions of a child have the same outer addresses and ports.
func samePath(a, b machine.ChildSA) bool {
	return a.Local == b.Local && a.Remote == b.Remote && a.LocalPort == b.LocalPort && a.RemotePort == b.RemotePort
}

// askUpdate has the backend bring a child to its present description. Reconciliation mends what fails.
func (s *SA) askUpdate(c *child) {
	s.dropUpdate(c)
	ask(s, machine.UpdateChild{Child: c.sa}, c.key(), func(machine.Installed, *machine.CallError) {})
}

// dropUpdate gives up an update of a child that is not confirmed yet, and of one that is removed its installation, too. Asked for
// again, it would undo the update after it, or bring back a child that was removed, with keys that were wiped.
func (s *SA) dropUpdate(c *child) {
	s.calls.Drop(func(op machine.Op) bool {
		update, updates := op.(machine.UpdateChild)
		install, installs := op.(machine.InstallChild)
		return updates && update.Child.UID == c.sa.UID || installs && install.Child.UID == c.sa.UID && c.removing
	})
}

// release lets a child send that was held back until the third message of its quick mode came.
func (s *SA) release(c *child) {
	if c.sa.Held && !c.removing {
		c.sa.Held = false
		s.askUpdate(c)
	}
}

// announce tells that a child is in use, in place of another for the same traffic if there is one.
func (s *SA) announce(c *child, life policy.Lifetime) {
	old := s.predecessor(c)
	c.up, c.since, c.life = true, s.now, s.spanOf(life)
	if s.state == Rekeyed {
		defer s.bequeath(nil)
	}
	if old == nil {
		s.emit(event.ChildEstablished{Child: c.describe()})
		s.tellWeakChild(c)
		return
	}
	s.emit(event.ChildRekeyed{Child: c.describe(), Prev: old.sa.UID, By: sideOf(c.ours)})
	s.supersede(old, c)
}

// supersede notes that a newer child took the place of another (RFC 2408 section 4.3). Whoever began the newer one deletes the
// older, when what was on its way has arrived. When both sides began one at once each sends by the one that it saw last, and both
// work; of such two the one with the lower initiator's SPI goes, deleted by whoever began it.
func (s *SA) supersede(old, heir *child) {
	old.heir, old.life.soft = heir, never
	loser := old
	if old.crosses(heir) && heir.initiatorSPI() < old.initiatorSPI() {
		loser = heir
	}
	if crossed := old.crosses(heir); crossed && loser.ours || !crossed && heir.ours {
		loser.leaveAt = s.now.Add(s.limits.Grace)
	}
}

// crosses reports whether the two sides began two children at about the same time.
func (c *child) crosses(heir *child) bool {
	return c.ours != heir.ours && heir.since.Sub(c.since) < crossing
}

// crossing is how close two quick modes that the two sides began at each other may end for both sides to have meant one.
const crossing = 30 * time.Second

func (c *child) initiatorSPI() uint32 {
	if c.ours {
		return c.sa.SPIIn
	}
	return c.sa.SPIOut
}

// deleteChild tells the peer that a child ends, and ends it. No answer comes (RFC 2408 section 3.15).
func (s *SA) deleteChild(c *child, by, reason string) {
	if c.removing {
		return
	}
	if c.by == "" {
		c.by, c.reason = by, reason
	}
	s.tellDeleted(c)
	s.remove(c)
}

// tellDeleted sends a Delete payload for what we receive by a child.
func (s *SA) tellDeleted(c *child) { s.tellDeletedSPI(c.sa.SPIIn) }

func (s *SA) tellDeletedSPI(spi uint32) {
	s.inform(wire1.Delete{DOI: wire1.DOIIPsec, Protocol: wire1.ProtoESP, SPISize: espSPISize, SPIs: [][]byte{spiBytes(spi)}})
}

// deleteChildren ends all children of a name, and makes no more of them.
func (s *SA) deleteChildren(name string, f failure) {
	s.unwant(name, f)
	for _, c := range slices.Clone(s.children) {
		if c.sa.Name == name && c.up {
			s.deleteChild(c, byOperator, f.reason)
		}
	}
}

// remove has the backend remove a child, once.
func (s *SA) remove(c *child) {
	if c.removing {
		return
	}
	c.removing = true
	for _, old := range s.children { // what it replaced sends again
		if old.heir == c {
			if old.heir, old.leaveAt = nil, never; !old.removing && s.state < Closing {
				s.askUpdate(old)
			}
		}
	}
	s.askRemoval(c)
}

func (s *SA) askRemoval(c *child) {
	s.dropUpdate(c)
	ask(s, machine.RemoveChild{Child: bare(c.sa)}, c.key(), func(r machine.Removed, _ *machine.CallError) { s.removed(c, r.Traffic) })
}

// removed forgets a child, whether or not the backend answered: reconciliation finds what it still holds.
func (s *SA) removed(c *child, traffic event.Traffic) {
	s.children = slices.DeleteFunc(s.children, func(other *child) bool { return other == c })
	c.sa.Wipe()
	if c.up {
		s.emit(event.ChildDeleted{Child: c.describe(), By: c.by, Reason: c.reason, Traffic: traffic})
	}
	s.settle()
}

// bare leaves out the keys, which no removal needs.
func bare(c machine.ChildSA) machine.ChildSA {
	c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut = nil, nil, nil, nil
	return c
}

// childOf returns the child with an inbound SPI, nil for none.
func (s *SA) childOf(spi uint32) *child {
	for _, c := range s.children {
		if c.sa.SPIIn == spi {
			return c
		}
	}
	return nil
}

// orFirst returns the names, by default that of the connection's first child.
func (s *SA) orFirst(names []string) []string {
	if len(names) == 0 && len(s.conn.Children) > 0 {
		return []string{s.conn.Children[0].Name}
	}
	return names
}

// childInstalled returns why a child is not to be used. A failed installation is undone: it might have happened all the same.
func (s *SA) childInstalled(c *child, err *machine.CallError) *failure {
	if err == nil {
		return nil
	}
	s.emit(event.ChildInstallFailed{Name: c.sa.Name, Backend: c.sa.Backend, Reason: err.Error()})
	s.remove(c)
	return &failure{cause: event.CauseInstall, by: byUs, reason: fmt.Sprintf("the SA backend did not install child %q: %v", c.sa.Name, err)}
}

func (s *SA) childFailed(name string, f failure) {
	s.emit(event.ChildFailed{Name: name, Cause: f.cause, Notify: f.notifyName(), By: f.by, Reason: f.reason, KeptIKE: s.state < Closing})
}
