package ikev2

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// child is a child SA that an SA backend holds, or may hold.
type child struct {
	sa         machine.ChildSA
	conf       *policy.Child
	suite      suite.Suite
	installing bool // the backend has not confirmed the installation
	up         bool // announced as established
	deleting   bool // we asked the peer to delete it
	removing   bool // the backend has been told to remove it
	by, reason string
	placed     string // which device carries it, as its SA backend told; "": it told nothing
	packetsIn  uint64 // when they were last counted

	life    span
	heir    *heir     // by which the peer replaces it, nil for none
	useAt   time.Time // when it is no longer held back, though the old one was not deleted
	endAt   time.Time // when we delete it, though that is for the peer to do
	leaveAt time.Time // when it is removed: it has been deleted already
}

// key orders the calls about a child: RemoveChild cannot overtake InstallChild.
func (c *child) key() uint64 { return uint64(c.sa.SPIIn) }

// agreement is what an exchange settles about a child.
type agreement struct {
	conf   *policy.Child
	choice policy.Choice
	traits
	local, remote []policy.Selector
	spi           uint32 // ours, inbound
	initiator     bool   // whether we began the exchange
	ni, nr        []byte // its nonces
	shared        secret.Bytes
	reqID         uint32 // 0: a new one
}

// newChild derives the keys (RFC 7296 section 2.17), wipes the shared secret of the exchange, if there is one, and describes
// the child for an SA backend. The inbound SPI, which no other child here has, serves as request ID, unless the child
// replaces another.
func (s *SA) newChild(a agreement) (*child, error) {
	defer a.shared.Wipe()
	chosen := a.choice.Suite
	keys, err := suite.DeriveChild(s.suite.PRF, chosen, s.keys.D, a.shared, a.ni, a.nr)
	if err != nil {
		return nil, err
	}
	sa := machine.ChildSA{
		UID: s.newUID(), Backend: a.conf.Backend, Conn: s.conn.Name, Name: a.conf.Name, ReqID: a.reqID,
		SPIIn: a.spi, SPIOut: binary.BigEndian.Uint32(a.choice.PeerSPI), Mode: a.mode(), TFC: a.tfc,
		Local: s.local.Addr(), Remote: s.remote.Addr(),
		Encr: uint16(chosen.Encr), KeyBits: uint16(chosen.KeyBits), Integ: uint16(chosen.Integ), ESN: chosen.ESN,
		EncrIn: keys.EncrR, IntegIn: keys.IntegR, EncrOut: keys.EncrI, IntegOut: keys.IntegI,
		ReplayWindow: a.conf.ReplayWindow, LocalTS: opSelectors(a.local), RemoteTS: opSelectors(a.remote),
		Addresses: s.inner.assigned, Handling: Handling(a.conf.Handling),
	}
	if !a.initiator {
		sa.EncrIn, sa.IntegIn, sa.EncrOut, sa.IntegOut = keys.EncrI, keys.IntegI, keys.EncrR, keys.IntegR
	}
	s.volumes(&sa, a.conf.Lifetime)
	if sa.ReqID == 0 {
		sa.ReqID = a.spi
	}
	if s.encapsulates() {
		sa.Encap, sa.LocalPort, sa.RemotePort = true, s.local.Port(), s.remote.Port()
	}
	s.emit(event.SuiteChosen{Scope: scopeChild, Suite: chosen.String()})
	return &child{sa: sa, conf: a.conf, suite: chosen}, nil
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
			s.askUpdate(c, s.childMoved)
		}
		then(err)
	})
}

// askUpdate has the backend bring a child to its present description.
func (s *SA) askUpdate(c *child, then func(*child, *machine.CallError)) {
	s.dropUpdate(c)
	ask(s, machine.UpdateChild{Child: c.sa}, c.key(), func(_ machine.Installed, err *machine.CallError) { then(c, err) })
}

// dropUpdate gives up an update of a child that is not confirmed yet. Asked for again, it would undo the one after it, or bring back
// a child that was removed, with keys that were wiped.
func (s *SA) dropUpdate(c *child) {
	s.calls.Drop(func(op machine.Op) bool {
		update, updates := op.(machine.UpdateChild)
		return updates && update.Child.UID == c.sa.UID
	})
}

// childInstalled returns why a child is not to be used. A failed installation is undone: it might have happened all the
// same.
func (s *SA) childInstalled(c *child, err *machine.CallError) *failure {
	if err == nil {
		return nil
	}
	s.emit(event.ChildInstallFailed{Name: c.sa.Name, Backend: c.sa.Backend, Reason: err.Error()})
	s.remove(c)
	return &failure{cause: event.CauseInstall, notify: wire2.TemporaryFailure, by: byUs,
		reason: fmt.Sprintf("the SA backend did not install child %q: %v", c.sa.Name, err)}
}

// announce tells that a child is in use.
func (s *SA) announce(c *child) {
	c.up, c.life = true, s.spanOf(c.conf.Lifetime)
	s.emit(event.ChildEstablished{Child: c.describe()})
	s.tellWeak(scopeChild, c.suite)
	s.endEarly(c)
}

// loseChild ends the attempt to make a child for which we have reserved an SPI; the IKE SA stays (RFC 7296 section 2.21.2). A
// peer that has the child is told to delete it.
func (s *SA) loseChild(name string, spi uint32, response packet, f failure) {
	if _, peerHasIt := wire2.Get[wire2.SA](response.Payloads); peerHasIt && s.state == Established {
		s.requestDelete(spi, func() { s.calls.Free(spi) })
	} else {
		s.calls.Free(spi)
	}
	s.childFailed(name, f)
}

func (s *SA) childFailed(name string, f failure) {
	s.emit(event.ChildFailed{Name: name, Cause: f.cause, Notify: f.notifyName(), By: f.by, Reason: f.reason, KeptIKE: true})
}

// remove has the backend remove a child, once.
func (s *SA) remove(c *child) {
	if c.removing {
		return
	}
	c.removing = true
	s.disown(c)
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

// orFirst returns the names, by default that of the connection's first child.
func (s *SA) orFirst(names []string) []string {
	if len(names) == 0 && len(s.conn.Children) > 0 {
		return []string{s.conn.Children[0].Name}
	}
	return names
}

// firstChild returns the child to make in IKE_AUTH, nil for none, and the names of the others.
func (s *SA) firstChild(names []string) (*policy.Child, []string) {
	names = s.orFirst(names)
	if len(names) == 0 {
		return nil, nil
	}
	first, _ := s.conn.Child(names[0])
	return first, names[1:]
}
