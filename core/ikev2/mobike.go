package ikev2

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// mobike is what RFC 4555 adds to an IKE SA. A rekeyed SA takes it over.
type mobike struct {
	on     bool // both sides can
	decide bool // we say which addresses are in use: the initiator of the first IKE SA does (RFC 4555 section 3.5)
	// ours and theirs are the addresses beside those in use.
	ours, theirs []netip.Addr
	moves        int    // counts changes of address, so that an answer to an earlier question is known as such
	asked        bool   // an UPDATE_SA_ADDRESSES waits for the window
	listing      bool   // a list of our addresses does
	listed       uint32 // message ID of the peer's last list of addresses
	updated      uint32 // and of its last UPDATE_SA_ADDRESSES: with a window, an older one may come later
	mapped       []byte // where the peer sees us: the last NAT_DETECTION_DESTINATION_IP
	spoiled      int    // updates in a row whose addresses something on the way has changed
}

const (
	// cookie2Len is within the 8 to 64 octets of RFC 4555 section 4.2.5; 128 bits cannot be guessed.
	cookie2Len = 16
	// maxAdditional bounds the addresses that we keep of a peer, or tell it: a host with more has no use for them all.
	maxAdditional = 16
	// tryElsewhere is after how many transmissions without an answer another address of the peer is tried: late enough for
	// a lost packet or two, early enough that a session survives (RFC 4555 section 3.5).
	tryElsewhere = 3
	// maxSpoiled is how often an update is asked anew whose addresses something on the way has changed: as often as a request is
	// usually repeated before a lossy path counts as dead (RFC 4555 section 3.9).
	maxSpoiled = 5
	// movePatience is the five minutes of RFC 4555 section 3.11.
	movePatience = 5 * time.Minute
)

// announceMOBIKE returns the notifies for our IKE_AUTH message: that we can, and where else we are (RFC 4555 sections 3.2
// and 3.4).
func (s *SA) announceMOBIKE() []wire2.Payload {
	if !s.conn.MOBIKE {
		return nil
	}
	s.mobike.ours = slices.DeleteFunc(slices.Clone(s.conn.Local.Additional), func(a netip.Addr) bool { return a == s.local.Addr() })
	ps := append([]wire2.Payload{wire2.Notify{Kind: wire2.MOBIKESupported}}, s.additional()...)
	if s.initiator {
		ps = append(ps, s.forbidNATs()...)
	}
	return ps
}

// agreeMOBIKE takes the peer's IKE_AUTH message. The data of MOBIKE_SUPPORTED is ignored (RFC 4555 section 4.2.1).
func (s *SA) agreeMOBIKE(p packet) {
	_, can := wire2.GetNotify(p.Payloads, wire2.MOBIKESupported)
	s.mobike.on, s.mobike.decide = can && s.conn.MOBIKE, s.initiator
	if s.mobike.on {
		s.learnAddresses(p)
	}
}

// additional lists where else we are, in the notifies of RFC 4555 section 4.2.2, or nothing.
func (s *SA) additional() (ps []wire2.Payload) {
	for _, a := range s.mobike.ours[:min(len(s.mobike.ours), maxAdditional)] {
		kind := wire2.AdditionalIP6Address
		if a.Is4() {
			kind = wire2.AdditionalIP4Address
		}
		ps = append(ps, wire2.Notify{Kind: kind, Data: a.AsSlice()})
	}
	return ps
}

// allAddresses is the complete list for an update: no additional address is told, too (RFC 4555 section 3.6).
func (s *SA) allAddresses() []wire2.Payload {
	if ps := s.additional(); len(ps) > 0 {
		return ps
	}
	return []wire2.Payload{wire2.Notify{Kind: wire2.NoAdditionalAddresses}}
}

// learnAddresses replaces what we know of the peer's other addresses, and reports whether the message had a list (RFC 4555
// section 3.6).
func (s *SA) learnAddresses(p packet) bool {
	var list []netip.Addr
	told := false
	for _, payload := range p.Payloads {
		n, _ := payload.(wire2.Notify)
		switch n.Kind {
		case wire2.NoAdditionalAddresses:
			told = true
		case wire2.AdditionalIP4Address, wire2.AdditionalIP6Address:
			told = true
			a, ok := netip.AddrFromSlice(n.Data)
			if ok && a.Is4() == (n.Kind == wire2.AdditionalIP4Address) && usableAddr(a) && len(list) < maxAdditional {
				list = append(list, a)
			}
		}
	}
	if told {
		s.mobike.theirs = list
	}
	return told
}

// usableAddr keeps a peer from sending us to where no peer is.
func usableAddr(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.Is4In6()
}

// migrate moves the SA to other addresses of ours. Who decides tells the peer; who does not tells it where we are, and goes
// there at once if the old address is of no use any more (RFC 4555 sections 3.5 and 3.6).
func (s *SA) migrate(m machine.Migrate) {
	if s.state != Established || !s.mobike.on {
		return
	}
	local := netip.AddrPortFrom(m.Local.Addr(), s.local.Port())
	if !s.mobike.decide && slices.Contains(m.Additional, s.local.Addr()) {
		local = s.local
	}
	all := append([]netip.Addr{m.Local.Addr()}, m.Additional...)
	s.mobike.ours = slices.DeleteFunc(all, func(a netip.Addr) bool { return a == local.Addr() })
	remote, ok := s.reachableFrom(local.Addr())
	switch {
	case !ok: // nothing of the peer's is in that family: the old path may come back
	case s.mobike.decide && local != s.local:
		s.moveTo(local, remote)
	default:
		s.relocate(local, remote)
		s.moveChildren()
		s.listAddresses()
	}
}

// listAddresses tells the peer which addresses of ours there are (RFC 4555 section 3.6).
func (s *SA) listAddresses() {
	if s.mobike.listing {
		return
	}
	s.mobike.listing = true
	s.request(request{exch: wire2.Informational, build: func() []wire2.Payload {
		s.mobike.listing = false
		return append(s.allAddresses(), s.forbidNATs()...)
	}})
}

// reachableFrom returns an address of the peer in the family of one of ours, the one in use if possible.
func (s *SA) reachableFrom(local netip.Addr) (netip.AddrPort, bool) {
	if s.remote.Addr().Is4() == local.Is4() {
		return s.remote, true
	}
	i := slices.IndexFunc(s.mobike.theirs, func(a netip.Addr) bool { return a.Is4() == local.Is4() })
	if i < 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(s.mobike.theirs[i], s.remote.Port()), true
}

// relocate changes the addresses of the IKE SA. What is on its way is repeated over the new path (RFC 4555 section 3.5).
func (s *SA) relocate(local, remote netip.AddrPort) {
	if local == s.local && remote == s.remote {
		return
	}
	e := event.AddressChanged{OldLocal: s.local, NewLocal: local, OldRemote: s.remote, NewRemote: remote}
	if old := s.remote.Addr(); old != remote.Addr() { // it stays one of the peer's addresses
		s.mobike.theirs = slices.DeleteFunc(s.mobike.theirs, func(a netip.Addr) bool { return a == remote.Addr() || a == old })
		s.mobike.theirs = append(s.mobike.theirs, old)
	}
	s.local, s.remote = local, remote
	s.mobike.moves++
	s.emit(e)
	s.repeatNow()
}

// moveTo is the initiator's decision. The children follow at once when the peer's address is the one that was in use, else
// when the peer has answered from there: the return routability check of RFC 4555 section 3.7.
func (s *SA) moveTo(local, remote netip.AddrPort) {
	proven := remote == s.remote
	s.relocate(local, remote)
	if proven {
		s.moveChildren()
	}
	s.updateAddresses()
}

// updateAddresses sends UPDATE_SA_ADDRESSES as soon as the window allows, once for all changes until then (RFC 4555 section
// 3.5).
func (s *SA) updateAddresses() {
	if s.mobike.asked {
		return
	}
	s.mobike.asked = true
	var moves int
	cookie := s.random(cookie2Len)
	s.request(request{
		exch: wire2.Informational,
		build: func() []wire2.Payload {
			s.mobike.asked, moves = false, s.mobike.moves
			ps := []wire2.Payload{wire2.Notify{Kind: wire2.UpdateSAAddresses}}
			if s.nat.known {
				ps = append(ps, s.natDetection(s.spir, s.local, s.remote)...)
			}
			ps = append(append(ps, s.forbidNATs()...), wire2.Notify{Kind: wire2.Cookie2, Data: cookie})
			return append(ps, s.allAddresses()...)
		},
		answered: func(p packet) { s.addressesUpdated(p, moves, cookie) },
	})
}

// forbidNATs says between which addresses a message goes that can change them, for a peer that knows no NAT traversal (RFC
// 4555 sections 3.9 and 4.2.6): source, destination, and both ports.
func (s *SA) forbidNATs() []wire2.Payload {
	if s.nat.known {
		return nil
	}
	return []wire2.Payload{wire2.Notify{Kind: wire2.NoNATsAllowed, Data: pathOf(s.local, s.remote)}}
}

// forbidden reports whether a request came another way than the peer allows (RFC 4555 section 3.9).
func forbidden(p packet) bool {
	n, strict := wire2.GetNotify(p.Payloads, wire2.NoNATsAllowed)
	return strict && !bytes.Equal(n.Data, pathOf(p.Remote, p.Local))
}

func pathOf(from, to netip.AddrPort) []byte {
	b := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	return append(b, byte(from.Port()>>8), byte(from.Port()), byte(to.Port()>>8), byte(to.Port()))
}

// addressesUpdated takes the answer to UPDATE_SA_ADDRESSES. When the addresses have changed again meanwhile it says nothing.
func (s *SA) addressesUpdated(p packet, moves int, cookie []byte) {
	if s.state != Established || !s.sameCookie(p, cookie) || moves != s.mobike.moves {
		return
	}
	if _, no := wire2.GetNotify(p.Payloads, wire2.UnacceptableAddresses); no {
		s.deleteIKE(byPeer, "the peer does not accept our new address "+s.local.Addr().String())
		return
	}
	if _, changed := wire2.GetNotify(p.Payloads, wire2.UnexpectedNATDetected); changed {
		s.updateSpoiled()
		return
	}
	s.mobike.spoiled = 0
	s.detectNAT(p)
	s.moveChildren()
}

// updateSpoiled asks anew, a few times, so that whoever can change single packets does not make a path useless (RFC 4555 section
// 3.9).
func (s *SA) updateSpoiled() {
	if s.mobike.spoiled++; s.mobike.spoiled <= maxSpoiled {
		s.updateAddresses()
		return
	}
	s.mobike.spoiled = 0
	s.emit(event.RoutabilityFailed{Remote: s.remote, Reason: "something between us changes addresses, and the peer knows no NAT traversal"})
}

// showsLife reports whether ESP of the peer shows that it lives. SA backends do not tell from which addresses it comes, so that
// after a move it does not show that the peer knows of that (RFC 4555 section 3.12): the peer is asked.
func (s *SA) showsLife() bool { return !s.mobike.on || s.mobike.moves == 0 }

// sameCookie checks that the peer answered what we asked where we asked it; else the SA must end (RFC 4555 section 3.7).
func (s *SA) sameCookie(p packet, cookie []byte) bool {
	n, _ := wire2.GetNotify(p.Payloads, wire2.Cookie2)
	if secret.Bytes(n.Data).Equal(cookie) {
		return true
	}
	const reason = "the peer's answer has not the COOKIE2 that it was asked with"
	s.emit(event.RoutabilityFailed{Remote: s.remote, Reason: reason})
	s.goodbyeFor(byError, reason)
	s.shutdown(reason, 0)
	return false
}

// moveChildren gives all children the addresses of the IKE SA (RFC 4555 section 3.5).
func (s *SA) moveChildren() {
	for _, c := range slices.Clone(s.children) {
		s.updateChild(c, s.onPath(c.sa))
	}
}

// onPath returns a child with the addresses and ports of the IKE SA.
func (s *SA) onPath(sa machine.ChildSA) machine.ChildSA {
	sa.Local, sa.Remote, sa.Encap, sa.LocalPort, sa.RemotePort = s.local.Addr(), s.remote.Addr(), false, 0, 0
	if s.encapsulates() {
		sa.Encap, sa.LocalPort, sa.RemotePort = true, s.local.Port(), s.remote.Port()
	}
	return sa
}

// strays reports whether children have not followed the IKE SA: the answer that they were to wait for has not come.
func (s *SA) strays() bool {
	return s.mobike.on && slices.ContainsFunc(s.children, func(c *child) bool { return !c.removing && !samePath(s.onPath(c.sa), c.sa) })
}

// updateChild has a backend bring a child to another path, if it is another one.
func (s *SA) updateChild(c *child, sa machine.ChildSA) {
	if c.removing || samePath(sa, c.sa) {
		return
	}
	if c.sa = sa; !c.installing {
		s.askUpdate(c, s.childMoved)
	}
}

func samePath(a, b machine.ChildSA) bool {
	return a.Local == b.Local && a.Remote == b.Remote && a.Encap == b.Encap && a.LocalPort == b.LocalPort && a.RemotePort == b.RemotePort
}

// childMoved deletes a child that its backend could not move: it would carry nothing.
func (s *SA) childMoved(c *child, err *machine.CallError) {
	if err == nil || c.removing || c.deleting {
		return
	}
	s.emit(event.ChildInstallFailed{Name: c.sa.Name, Backend: c.sa.Backend, Reason: err.Error()})
	s.deleteChild(c, byError, "the SA backend could not move it to the new addresses: "+err.Error())
}

// answerMOBIKE serves what an INFORMATIONAL request has of RFC 4555. It returns what belongs into the response, and what is to be
// done when that is out.
func (s *SA) answerMOBIKE(p packet) (ps []wire2.Payload, then func()) {
	then = func() {}
	if !s.mobike.on {
		return nil, then
	}
	if n, asks := wire2.GetNotify(p.Payloads, wire2.Cookie2); asks { // unchanged (section 3.7)
		ps = append(ps, wire2.Notify{Kind: wire2.Cookie2, Data: n.Data})
	}
	if forbidden(p) {
		return append(ps, wire2.Notify{Kind: wire2.UnexpectedNATDetected}), then // and nothing of it is used (section 3.9)
	}
	if _, told := natOf(p); told { // section 3.8
		ps = append(ps, s.natDetection(s.spir, p.Local, p.Remote)...)
	}
	if p.Header.MessageID >= s.mobike.listed && s.learnAddresses(p) {
		s.mobike.listed = p.Header.MessageID
		then = func() { s.followDecided(p) }
	}
	_, update := wire2.GetNotify(p.Payloads, wire2.UpdateSAAddresses)
	if update && !s.mobike.decide && p.Header.MessageID >= s.mobike.updated {
		s.mobike.updated = p.Header.MessageID
		if !s.acceptable(p) {
			return append(ps, wire2.Notify{Kind: wire2.UnacceptableAddresses}), func() {}
		}
		then = func() { s.peerMoved(p) }
	}
	return ps, then
}

// acceptable reports whether the peer may be where its message came from. An address alone says where it begins; prefixes say
// where it may be.
func (s *SA) acceptable(p packet) bool {
	within := func(n netip.Prefix) bool { return n.Contains(p.Remote.Addr()) }
	return len(s.conn.Remote.Prefixes) == 0 || slices.ContainsFunc(s.conn.Remote.Prefixes, within)
}

// peerMoved follows the initiator to where its request came from. Its children follow when it has answered from there
// (RFC 4555 sections 3.5 and 3.7).
func (s *SA) peerMoved(p packet) {
	s.detectNAT(p)
	if p.Local != s.local || p.Remote != s.remote {
		s.relocate(p.Local, p.Remote)
		s.checkRoutability()
		return
	}
	s.moveChildren() // a NAT may have come or gone
}

// checkRoutability asks the peer at its new address for a cookie, before any packet of the children goes there: a peer must not
// be able to flood a third party with them (RFC 4555 sections 3.7 and 5.3).
func (s *SA) checkRoutability() {
	moves, cookie := s.mobike.moves, s.random(cookie2Len)
	s.request(request{
		exch:     wire2.Informational,
		payloads: []wire2.Payload{wire2.Notify{Kind: wire2.Cookie2, Data: cookie}},
		answered: func(p packet) {
			if s.state == Established && s.sameCookie(p, cookie) && moves == s.mobike.moves {
				s.moveChildren()
			}
		},
	})
}

// followDecided is the initiator's answer to a responder that has moved: when the address in use is none of the responder's any
// more, the one that its list came from is (RFC 4555 section 3.5).
func (s *SA) followDecided(p packet) {
	if !s.mobike.decide || p.Remote.Addr() == s.remote.Addr() || slices.Contains(s.mobike.theirs, s.remote.Addr()) {
		return
	}
	s.moveTo(p.Local, p.Remote)
}

// tryOtherPath moves to another address of a peer that does not answer (RFC 4555 section 3.5). The children follow when it
// answers there.
func (s *SA) tryOtherPath(sent int) {
	if s.state != Established || !s.mobike.on || !s.mobike.decide || sent%tryElsewhere != 0 {
		return
	}
	i := slices.IndexFunc(s.mobike.theirs, func(a netip.Addr) bool { return a.Is4() == s.local.Addr().Is4() })
	if i >= 0 {
		s.moveTo(s.local, netip.AddrPortFrom(s.mobike.theirs[i], s.remote.Port()))
	}
}

// waitsForMove reports whether a peer that does not answer may be about to tell where it is now. Who does not decide on the
// addresses waits five minutes for that (RFC 4555 section 3.11), unless the connection has waits of its own.
func (s *SA) waitsForMove(o *outstanding) bool {
	return s.state == Established && s.mobike.on && !s.mobike.decide && s.conn.Retransmit == policy.DefaultRetransmit() &&
		s.now.Before(o.first.Add(movePatience))
}

// probeMapping asks whether the peer lives, and behind a NAT also where it sees us: a mapping that changed is told with
// UPDATE_SA_ADDRESSES (RFC 4555 section 3.8).
func (s *SA) probeMapping() request {
	r := request{exch: wire2.Informational}
	if s.mobike.on && s.mobike.decide && s.nat.local {
		r.build = func() []wire2.Payload { return s.natDetection(s.spir, s.local, s.remote) }
		r.answered = func(p packet) {
			if s.noteMapping(p) && s.state == Established {
				s.updateAddresses()
			}
		}
	}
	return r
}

// noteMapping keeps where the peer sees us, and reports whether that is another place than before.
func (s *SA) noteMapping(p packet) (changed bool) {
	n, told := wire2.GetNotify(p.Payloads, wire2.NATDetectionDestinationIP)
	if !told {
		return false
	}
	changed = s.mobike.mapped != nil && !bytes.Equal(n.Data, s.mobike.mapped)
	s.mobike.mapped = bytes.Clone(n.Data)
	return changed
}
