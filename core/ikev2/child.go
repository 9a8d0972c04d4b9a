package ikev2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// child is a child SA that an SA backend holds, or may hold.
type child struct {
	sa         machine.ChildSA
	suite      suite.Suite
	up         bool // announced as established
	deleting   bool // we asked the peer to delete it
	removing   bool // the backend has been told to remove it
	by, reason string
}

// key orders the calls about a child: RemoveChild cannot overtake InstallChild.
func (c *child) key() uint64 { return uint64(c.sa.SPIIn) }

// espOffer returns the SA payload of a child in IKE_AUTH, where no key exchange is negotiated (RFC 7296 section 1.2).
func espOffer(conf *policy.Child, spi uint32) wire2.SA {
	var sa wire2.SA
	for i, p := range policy.WithoutKE(conf.ESP) {
		sa.Proposals = append(sa.Proposals, p.Wire(uint8(i+1), wire2.ProtoESP, spiBytes(spi)))
	}
	return sa
}

func spiBytes(spi uint32) []byte { return binary.BigEndian.AppendUint32(nil, spi) }

// chooseChild picks child, suite and selectors from the initiator's offer: the first of our children whose selectors
// overlap and whose proposals fit (RFC 7296 sections 2.7 and 2.9). Children that take the initiator's first selectors,
// which may be of the very packet that it wants to send, come before the others. It returns the payloads that answer the
// offer.
func (x *authR) chooseChild() (*child, []wire2.Payload, *failure) {
	s := x.s
	offer, _ := wire2.Get[wire2.SA](x.packet.Payloads)
	var mismatch *failure
	for _, conf := range x.byFirstSelectors() {
		local, remote := x.narrow(conf)
		if local == nil || remote == nil {
			continue
		}
		choice, why := policy.Choose(policy.ScopeESP, policy.WithoutKE(conf.ESP), offer, 0)
		if why != nil || !validSPI(choice.PeerSPI) {
			mismatch = s.childMismatch(mismatch, conf, why, offer)
			continue
		}
		return x.acceptOffer(conf, choice, local, remote)
	}
	if mismatch == nil {
		mismatch = x.selectorMismatch()
	}
	return nil, nil, mismatch
}

// byFirstSelectors returns our children, those first that select all of the initiator's first selectors: what we answer must
// include these when policy allows (RFC 7296 section 2.9).
func (x *authR) byFirstSelectors() []*policy.Child {
	local, remote := x.offeredSelectors()
	if len(local) == 0 || len(remote) == 0 {
		return nil
	}
	takes := func(c *policy.Child) int {
		if within(c.LocalTS, local[:1]) && within(c.RemoteTS, remote[:1]) {
			return 0
		}
		return 1
	}
	return slices.SortedStableFunc(slices.Values(x.s.conn.Children), func(a, b *policy.Child) int { return takes(a) - takes(b) })
}

// narrow returns what we accept of the offered selectors, nil for nothing.
func (x *authR) narrow(conf *policy.Child) (local, remote []policy.Selector) {
	offeredLocal, offeredRemote := x.offeredSelectors()
	return policy.Narrow(conf.LocalTS, offeredLocal), policy.Narrow(conf.RemoteTS, offeredRemote)
}

// offeredSelectors returns what the initiator offers for our side (TSr) and for its own (TSi).
func (x *authR) offeredSelectors() (local, remote []policy.Selector) {
	tsi, _ := wire2.Get[wire2.TSi](x.packet.Payloads)
	tsr, _ := wire2.Get[wire2.TSr](x.packet.Payloads)
	return policy.SelectorsFromWire(tsr.Selectors), policy.SelectorsFromWire(tsi.Selectors)
}

func (x *authR) acceptOffer(conf *policy.Child, choice policy.Choice, local, remote []policy.Selector) (*child, []wire2.Payload, *failure) {
	s := x.s
	c, err := s.newChild(conf, choice, x.spi, local, remote)
	if err != nil {
		return nil, nil, keysFailure(err)
	}
	offeredLocal, offeredRemote := x.offeredSelectors()
	s.tellNarrowed(c, offeredLocal, offeredRemote)
	choice.Answer.SPI = spiBytes(x.spi)
	return c, []wire2.Payload{
		wire2.SA{Proposals: []wire2.Proposal{choice.Answer}},
		wire2.TSi{Selectors: policy.SelectorsToWire(remote)},
		wire2.TSr{Selectors: policy.SelectorsToWire(local)},
	}, nil
}

// childMismatch tells once that the proposals for a child have nothing in common.
func (s *SA) childMismatch(before *failure, conf *policy.Child, why *policy.Mismatch, offer wire2.SA) *failure {
	if before != nil {
		return before
	}
	f := &failure{cause: event.CauseNoProposal, notify: wire2.NoProposalChosen, by: byUs,
		reason: fmt.Sprintf("the peer's ESP proposals and those of child %q have nothing in common", conf.Name)}
	if why == nil {
		f.reason = fmt.Sprintf("the peer offers child %q with a reserved SPI", conf.Name)
		return f
	}
	f.reason += closest(why)
	s.emit(mismatchEvent(scopeChild, why, offer, conf.ESP))
	return f
}

// selectorMismatch tells that no child of ours overlaps with the offered selectors.
func (x *authR) selectorMismatch() *failure {
	s := x.s
	local, remote := x.offeredSelectors()
	e := event.ChildTSMismatch{OfferedLocal: selectorStrings(local), OfferedRemote: selectorStrings(remote)}
	if len(s.conn.Children) > 0 {
		conf := s.conn.Children[0]
		e.Name, e.OurLocal, e.OurRemote = conf.Name, selectorStrings(conf.LocalTS), selectorStrings(conf.RemoteTS)
	}
	s.emit(e)
	return &failure{cause: event.CauseNoSelectors, notify: wire2.TSUnacceptable, by: byUs,
		reason: fmt.Sprintf("the peer's traffic selectors overlap with no child of connection %q", s.conn.Name)}
}

// acceptChild checks the child part of an IKE_AUTH response: it must be what we offered, or less (RFC 7296 sections 2.9 and
// 3.3.6).
func (x *authI) acceptChild() (*child, *failure) {
	answer, agreed := wire2.Get[wire2.SA](x.packet.Payloads)
	if !agreed {
		return nil, x.childRefused()
	}
	choice, err := policy.Accept(policy.ScopeESP, x.offer, answer)
	if err == nil && !validSPI(choice.PeerSPI) {
		err = errReservedSPI
	}
	if err != nil {
		return nil, &failure{cause: event.CauseNoProposal, by: byUs,
			reason: fmt.Sprintf("the peer's answer for child %q is not what we offered: %v", x.conf.Name, err)}
	}
	local, remote, f := x.acceptSelectors()
	if f != nil {
		return nil, f
	}
	c, err := x.s.newChild(x.conf, choice, x.spi, local, remote)
	if err != nil {
		return nil, keysFailure(err)
	}
	x.s.tellNarrowed(c, x.conf.LocalTS, x.conf.RemoteTS)
	return c, nil
}

var errReservedSPI = errors.New("ikev2: its SPI is one of 0 to 255, which are reserved (RFC 4303 section 2.1)")

// acceptSelectors returns the selectors of the response, which must lie within ours, all of them.
func (x *authI) acceptSelectors() (local, remote []policy.Selector, f *failure) {
	tsi, _ := wire2.Get[wire2.TSi](x.packet.Payloads)
	tsr, _ := wire2.Get[wire2.TSr](x.packet.Payloads)
	local, remote = policy.SelectorsFromWire(tsi.Selectors), policy.SelectorsFromWire(tsr.Selectors)
	readable := len(local) == len(tsi.Selectors) && len(remote) == len(tsr.Selectors)
	if readable && within(x.conf.LocalTS, local) && within(x.conf.RemoteTS, remote) {
		return local, remote, nil
	}
	x.s.emit(event.ChildTSMismatch{Name: x.conf.Name, OurLocal: selectorStrings(x.conf.LocalTS), OurRemote: selectorStrings(x.conf.RemoteTS),
		OfferedLocal: selectorStrings(local), OfferedRemote: selectorStrings(remote)})
	return nil, nil, &failure{cause: event.CauseNoSelectors, by: byUs,
		reason: fmt.Sprintf("the peer's answer for child %q has traffic selectors that we did not offer", x.conf.Name)}
}

// childRefused tells why the peer made no child.
func (x *authI) childRefused() *failure {
	n, ok := firstError(x.packet.Payloads)
	if !ok {
		return &failure{cause: event.CauseMalformed, by: byUs, reason: "the peer's response has neither a child SA nor an error"}
	}
	f := refusalOf(n.Kind, fmt.Sprintf("child %q", x.conf.Name))
	switch n.Kind {
	case wire2.NoProposalChosen:
		offered := proposalStrings(policy.WithoutKE(x.conf.ESP))
		x.s.emit(event.ProposalMismatch{Scope: scopeChild, By: byPeer, Offered: offered, Configured: offered})
	case wire2.TSUnacceptable:
		x.s.emit(event.ChildTSMismatch{Name: x.conf.Name, OurLocal: selectorStrings(x.conf.LocalTS), OurRemote: selectorStrings(x.conf.RemoteTS)})
	}
	return &f
}

// within reports whether all of got lie in ours, and there are any.
func within(ours, got []policy.Selector) bool {
	for _, g := range got {
		if !slices.ContainsFunc(ours, func(o policy.Selector) bool { return o.Contains(g) }) {
			return false
		}
	}
	return len(got) > 0
}

func validSPI(spi []byte) bool { return len(spi) == 4 && binary.BigEndian.Uint32(spi) >= minSPI }

// newChild derives the keys (RFC 7296 section 2.17) and describes the child for an SA backend. The inbound SPI, which no
// other child here has, serves as its request ID.
func (s *SA) newChild(conf *policy.Child, choice policy.Choice, spi uint32, local, remote []policy.Selector) (*child, error) {
	keys, err := suite.DeriveChild(s.suite.PRF, choice.Suite, s.keys.D, nil, s.ni, s.nr)
	if err != nil {
		return nil, err
	}
	sa := machine.ChildSA{
		UID: s.newUID(), Backend: conf.Backend, Conn: s.conn.Name, Name: conf.Name, ReqID: spi,
		SPIIn: spi, SPIOut: binary.BigEndian.Uint32(choice.PeerSPI), Mode: machine.Tunnel,
		Local: s.local.Addr(), Remote: s.remote.Addr(),
		Encr: uint16(choice.Suite.Encr), KeyBits: uint16(choice.Suite.KeyBits), Integ: uint16(choice.Suite.Integ), ESN: choice.Suite.ESN,
		EncrIn: keys.EncrR, IntegIn: keys.IntegR, EncrOut: keys.EncrI, IntegOut: keys.IntegI,
		ReplayWindow: conf.ReplayWindow, LocalTS: opSelectors(local), RemoteTS: opSelectors(remote),
	}
	if !s.initiator {
		sa.EncrIn, sa.IntegIn, sa.EncrOut, sa.IntegOut = keys.EncrI, keys.IntegI, keys.EncrR, keys.IntegR
	}
	if s.encapsulates() {
		sa.Encap, sa.LocalPort, sa.RemotePort = true, s.local.Port(), s.remote.Port()
	}
	s.emit(event.SuiteChosen{Scope: scopeChild, Suite: choice.Suite.String()})
	return &child{sa: sa, suite: choice.Suite}, nil
}

// install has a backend install a child. From here on closing removes it.
func (s *SA) install(c *child, then func(*machine.CallError)) {
	s.children = append(s.children, c)
	ask(s, machine.InstallChild{Child: c.sa}, c.key(), func(_ machine.Installed, err *machine.CallError) { then(err) })
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
	c.up = true
	s.emit(event.ChildEstablished{Child: c.describe()})
}

// loseChild ends the attempt to make a child; the IKE SA stays (RFC 7296 section 2.21.2). A peer that has the child is told
// to delete it.
func (s *SA) loseChild(x *authI, f failure) {
	if _, peerHasIt := wire2.Get[wire2.SA](x.packet.Payloads); peerHasIt && s.state == Established {
		s.requestDelete(x.spi, nil)
	}
	s.childFailed(x.conf.Name, f)
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
	s.askRemoval(c)
}

func (s *SA) askRemoval(c *child) {
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

func cloneChild(c machine.ChildSA) machine.ChildSA {
	c.EncrIn, c.EncrOut, c.IntegIn, c.IntegOut = c.EncrIn.Clone(), c.EncrOut.Clone(), c.IntegIn.Clone(), c.IntegOut.Clone()
	return c
}

// firstChild returns the child to make in IKE_AUTH, by default the connection's first, and the names of the others.
func (s *SA) firstChild(names []string) (*policy.Child, []string) {
	if len(names) == 0 {
		if len(s.conn.Children) == 0 {
			return nil, nil
		}
		return s.conn.Children[0], nil
	}
	first, _ := s.conn.Child(names[0])
	return first, names[1:]
}

// refuseChildren tells that more children of one IKE SA cannot be made yet; those that are up need not.
func (s *SA) refuseChildren(names []string) {
	for _, name := range names {
		if !slices.ContainsFunc(s.children, func(c *child) bool { return c.sa.Name == name }) {
			s.childFailed(name, failure{cause: event.CauseUnsupported, by: byUs,
				reason: fmt.Sprintf("child %q needs CREATE_CHILD_SA, which is not supported yet: give it a connection of its own", name)})
		}
	}
}
