package ikev2

import (
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// This file is how one IKE SA takes the place of another (RFC 7296 sections 2.8 and 2.18). The new SA is a machine of its own:
// the old one makes it, gives it the children and all else that outlives an IKE SA, and hands it over to the driver. Calls
// about children that plugins have not answered are given up by the old SA and made again by the new one, which orders them
// behind the first by their key. What is being removed or freed stays with the old SA until it is done.

// birth is what an exchange settles about a new IKE SA.
type birth struct {
	initiator bool // whether we began the exchange, and so are the original initiator of the new SA (RFC 7296 section 2.18)
	own, peer uint64
	suite     suite.Suite
	ni, nr    []byte
}

// rival is the SA that the peer has made while our own exchange is out. The peer may use it at once (RFC7296-2.8-6), so that the
// driver has it already; what becomes of it is written into its origin, which it reads when it is told so (machine.Decided).
type rival struct {
	uid    event.UID
	owner  machine.Owner
	origin *origin
	low    []byte // the lower nonce of its exchange
}

// origin is what a new SA has to do first: in its first step, or when it is decided.
type origin struct {
	task originTask
	prev event.UID
	by   string
	estate
}

// estate is what outlives an IKE SA.
type estate struct {
	conn, next    *policy.Connection
	local, remote netip.AddrPort
	nat           nat
	children      []*child
	todo          []task
	session       session
	mobike        mobike
	inner         inner
	update        []*child // whose updates the old SA did not see confirmed
	moved         bool     // the peer is still to be told of our address (RFC 4555)
	stop          ending   // why it is to end at once
}

// ending is who wants an SA ended and why; without a reason nobody does.
type ending struct{ by, reason string }

type originTask uint8

const (
	takeOver     originTask = iota + 1 // the children are its own
	deleteItself                       // it is redundant, and we began it
	awaitEnd                           // it is redundant, and the peer deletes it
	giveUp                             // the old SA has ended with all that it had
)

// successor makes the new SA, without children, and wipes the shared secret. SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr) with the
// PRF of the old SA (RFC 7296 section 2.18); message IDs begin at 0.
func (s *SA) successor(b birth, shared secret.Bytes) (*SA, error) {
	defer shared.Wipe()
	seed, err := suite.SKEYSEEDRekey(s.suite.PRF, s.keys.D, shared, b.ni, b.nr)
	if err != nil {
		return nil, err
	}
	defer seed.Wipe()
	n := newSA(s.env, [32]byte(s.random(32)), s.local, s.remote)
	n.limits, n.initiator, n.state, n.suite, n.ni, n.nr = s.limits, b.initiator, Established, b.suite, b.ni, b.nr
	n.now, n.created, n.opened, n.lastHeard, n.lastSent, n.heard, n.rekeyed = s.now, s.now, s.now, s.now, s.now, true, true
	n.spii, n.spir = b.own, b.peer
	if !b.initiator {
		n.spii, n.spir = b.peer, b.own
	}
	n.uid = n.newUID()
	n.conn, n.named, n.nat, n.localID, n.remoteID, n.fragments = s.conn, s.named, s.nat, s.localID, s.remoteID, s.fragments
	if n.keys, err = suite.DeriveIKE(b.suite, seed, b.ni, b.nr, n.spii, n.spir); err != nil {
		return nil, err
	}
	return n, n.protect()
}

// ownSPI returns our SPI, by which the driver knows the SA.
func (s *SA) ownSPI() uint64 {
	if s.initiator {
		return s.spii
	}
	return s.spir
}

// handOver gives a new SA all that outlives this one, and the new SA to the driver.
func (s *SA) handOver(n *SA, by string) {
	n.origin = s.bequest(by)
	n.inherit()
	s.spawn(n)
}

// bequest takes all that outlives this SA from it.
func (s *SA) bequest(by string) *origin {
	o := &origin{task: takeOver, prev: s.uid, by: by, estate: estate{conn: s.conn, next: s.next, local: s.local, remote: s.remote, nat: s.nat,
		todo: slices.DeleteFunc(s.todo, task.isIKE), session: s.session, mobike: s.mobike, moved: s.mobike.asked || s.mobike.listing, stop: s.ending()}}
	o.inner.inherit(&s.inner)
	o.session.looking, o.mobike.asked, o.mobike.listing, o.mobike.listed, o.mobike.updated = 0, false, false, 0, 0
	s.session, s.todo, s.next = session{}, nil, nil // what is to be done about the authentication is the new one's affair
	s.stopping, s.deadline = "", never
	staying := func(c *child) bool { return c.removing }
	for _, c := range s.children {
		if !staying(c) {
			o.children = append(o.children, c)
		}
	}
	s.children = slices.DeleteFunc(s.children, func(c *child) bool { return !staying(c) })
	s.giveUpCalls(&o.estate)
	return o
}

// inherit takes over what was left to it.
func (s *SA) inherit() {
	e := &s.origin.estate
	if s.conn = e.conn; e.next != nil {
		s.next = e.next
	}
	s.local, s.remote, s.nat = e.local, e.remote, e.nat
	s.children, s.todo, s.session, s.mobike, s.inner = e.children, e.todo, e.session, e.mobike, e.inner
}

// ending is what the new SA ends with, because this one was about to: whoever wanted that did not mean the name.
func (s *SA) ending() ending {
	if bye, told := s.goodbye.(event.IKEDeleted); told && s.state == Deleting {
		return ending{bye.By, bye.Reason}
	}
	return ending{byOperator, s.stopping}
}

// giveUpCalls leaves calls about children that have moved to the new SA.
func (s *SA) giveUpCalls(e *estate) {
	s.calls.Drop(func(op machine.Op) bool {
		switch op := op.(type) {
		case machine.UpdateChild:
			i := slices.IndexFunc(e.children, func(moved *child) bool { return moved.sa.UID == op.Child.UID })
			if i < 0 {
				return false
			}
			e.update = append(e.update, e.children[i])
			return true
		case machine.QueryUsage:
			return true
		}
		return false
	})
}

// spare hands over an SA of ours that is redundant.
func (s *SA) spare(n *SA) {
	n.origin = &origin{task: deleteItself, prev: s.uid}
	s.spawn(n)
}

// spawn hands an SA over to the driver, who ticks it at once.
func (s *SA) spawn(n *SA) {
	n.deadline = s.now
	s.export(n)
	s.fx.Add(machine.Spawn{Owner: machine.Owner(n.ownSPI()), Machine: n})
}

// suspend hands over an SA of the peer of which it is not known yet whether it takes the place of this one. This one decides when
// our own exchange ends, however it does: that is within retransmission, the wait for a peer that moves, and the calls after it.
func (s *SA) suspend(n *SA, low []byte) {
	n.origin, n.mobike.on = &origin{}, s.mobike.on
	s.rival = &rival{uid: n.uid, owner: machine.Owner(n.ownSPI()), origin: n.origin, low: low}
	s.spawn(n)
	n.state, n.deadline = Pending, s.now.Add(max(s.conn.Retransmit.Total(), movePatience)+s.limits.HoldWait)
}

// decide tells the rival what becomes of it.
func (s *SA) decide(o origin) {
	r := s.rival
	s.rival = nil
	*r.origin = o
	fx := machine.Decide{Owner: r.owner}
	for _, c := range o.children {
		fx.Children = append(fx.Children, bare(c.sa))
	}
	s.fx.Add(fx)
}

// decided is the first thing that a suspended SA does; then it serves what had to wait for it.
func (s *SA) decided() {
	if s.state != Pending {
		return
	}
	if s.origin.task == takeOver {
		s.inherit()
		s.enter(Established)
	}
	s.originate()
	if x := s.peer.work; x != nil {
		s.serve(x.packet, x.bad)
	}
}

// waits reports whether a request has to wait until it is known whose the children are. One that only asks whether we live has not.
func (s *SA) waits(p packet, bad *wire2.Error) bool {
	return s.state == Pending && (bad != nil || p.Header.Exchange != wire2.Informational || len(p.Payloads) > 0)
}

const (
	redundantReason = "it is redundant: both sides rekeyed the IKE SA at once"
	orphanedReason  = "the IKE SA whose place it was to take has ended"
)

// originate is the first step of a new SA, or of a suspended one when it is decided.
func (s *SA) originate() {
	o := s.origin
	s.origin, s.deadline, s.ni, s.nr = nil, never, nil, nil
	s.wipeTransport()
	switch o.task {
	case takeOver:
		s.life = s.spanOf(s.conn.Lifetime)
		s.emit(event.IKERekeyed{IKE: s.describe(), Prev: o.prev, By: o.by})
		s.announceWindow()
		s.resumeChildren(o.update)
		s.resumeMove(o.moved)
		if o.stop.reason != "" {
			s.deleteIKE(o.stop.by, o.stop.reason)
		}
	case deleteItself:
		s.deleteIKE(byRekey, redundantReason)
	case awaitEnd:
		s.awaitDelete(redundantReason)
	case giveUp:
		s.deleteIKE(byRekey, orphanedReason)
	}
}

// resumeMove asks or tells the peer what the old SA did not get an answer to (RFC 4555 sections 3.5 to 3.7).
func (s *SA) resumeMove(owed bool) {
	switch {
	case s.mobike.decide && (owed || s.strays()):
		s.updateAddresses()
	case s.strays():
		s.checkRoutability()
	}
	if owed && !s.mobike.decide {
		s.listAddresses()
	}
}

// resumeChildren goes on where the old SA stopped: Deletes that were not sent, and updates that were not confirmed.
func (s *SA) resumeChildren(update []*child) {
	for _, c := range update {
		if !c.removing {
			s.askUpdate(c, s.childMoved)
		}
	}
	for _, c := range s.children {
		if c.deleting && c.leaveAt.IsZero() {
			s.requestDelete(c.sa.SPIIn, func() { s.deleted(c) })
		}
	}
}

const replacedReason = "a new IKE SA took its place"

// leave deletes this SA after we have replaced it. The Delete is the last request on it (RFC 7296 section 2.8).
func (s *SA) leave() { s.deleteIKE(byRekey, replacedReason) }

// awaitDelete waits a while for the peer's Delete, which is for the peer to send.
func (s *SA) awaitDelete(reason string) {
	s.goodbyeFor(byRekey, reason)
	s.own.queue = nil
	s.enter(Rekeyed)
	s.reason, s.deadline = reason, s.now.Add(s.limits.HoldWait)
}

// yield leaves the children to the SA that the peer has made, and gives our own attempt up.
func (s *SA) yield() {
	if s.rekeying != nil {
		s.rekeying.end()
	}
	s.decide(*s.bequest(byPeer))
	s.awaitDelete(replacedReason)
}
