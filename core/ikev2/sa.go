package ikev2

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
)

var _ machine.Machine = (*SA)(nil)

// SA is one IKE SA. Make it with NewInitiator or NewResponder.
type SA struct {
	env       *Env
	limits    Limits
	initiator bool // of the exchange that made the SA: the original initiator of RFC 7296 section 2.2
	uid       event.UID
	rand      *rand.ChaCha8

	state    State
	deadline time.Time // of the state; zero: another wait bounds it
	created  time.Time
	opened   time.Time // when the SA was established
	stopping string    // why the SA is to be deleted as soon as it is established

	spii, spir    uint64
	local, remote netip.AddrPort
	nat           nat
	mobike        mobike

	conn       *policy.Connection   // in force; a responder's is provisional until IKE_AUTH
	named      bool                 // conn is sure enough to be named in events
	candidates []*policy.Connection // responder: those that permit the suite

	suite             suite.Suite
	ni, nr            []byte
	keys              suite.IKEKeys
	in, out           *suite.Protection
	ownInit, peerInit []byte // the IKE_SA_INIT messages that AUTH covers; nil once established
	localID, remoteID policy.Identity
	init              *initX // initiator's IKE_SA_INIT, nil when it is over
	auth              *authI // initiator's IKE_AUTH, nil when it is over
	children          []*child
	todo              []task   // CREATE_CHILD_SA exchanges of ours that wait
	create            *createI // the one at work
	serving           *createR // that of the peer
	life              span
	rekeying          *rekeyI   // our exchange that replaces the IKE SA
	servingIKE        *rekeyR   // that of the peer
	rival             *rival    // what came of it while ours is out
	rekeyed           bool      // it took the place of another
	origin            *origin   // what it has to do first because of that
	busy              time.Time // since when the peer has been putting us off; zero: it has not
	calls             machine.Calls
	early             []uint32 // SPIs that the peer deleted before we knew of their children
	own               ownWindow
	peer              peerWindow
	fragments         fragmentation
	partial           []*assembly // messages of which fragments have come
	heard             bool        // the peer ever answered
	lastHeard         time.Time   // fresh authentic message
	lastSent          time.Time
	forged            forgeries
	session           session
	inner             inner
	next              *policy.Connection // to go on with when the SA is established; nil: there is nothing new
	goodbye           event.Event        // IKEDeleted, told when the children are gone
	lingerTill        time.Time
	reason            string // of Done
	now               time.Time
	fx                *machine.Effects // of the step at hand
}

// NewInitiator returns an SA that waits for the command Initiate. spi is ours, not zero and not in use; seed is secret and
// never used twice.
func NewInitiator(env *Env, spi uint64, seed [32]byte, conn *policy.Connection, local, remote netip.AddrPort) *SA {
	s := newSA(env, seed, local, remote)
	s.initiator, s.spii, s.conn, s.named = true, spi, s.requesting(conn), true
	return s
}

// NewResponder returns an SA that waits for the IKE_SA_INIT request as its first Datagram; the cookie, where one is due,
// has been checked. spi and seed are as for NewInitiator.
func NewResponder(env *Env, spi uint64, seed [32]byte, local, remote netip.AddrPort) *SA {
	s := newSA(env, seed, local, remote)
	s.spir = spi
	return s
}

func newSA(env *Env, seed [32]byte, local, remote netip.AddrPort) *SA {
	s := &SA{env: env, limits: env.Limits.withDefaults(), rand: rand.NewChaCha8(seed), local: local, remote: remote}
	s.calls = machine.NewCalls(caller{s})
	return s
}

// Step consumes one input and appends what is to be done to fx. It implements machine.Machine.
func (s *SA) Step(now time.Time, in machine.Input, fx *machine.Effects) {
	if s.state == Closed {
		return
	}
	s.now, s.fx = now, fx
	if s.created.IsZero() {
		s.created, s.uid = now, s.newUID()
	}
	if s.origin != nil && s.state != Pending {
		s.originate()
	}
	switch in := in.(type) {
	case machine.Datagram:
		s.receive(in)
	case machine.Reply:
		s.calls.Resume(in)
	case machine.Tick:
		s.tick()
	case machine.Decided:
		s.decided()
	case machine.Initiate:
		s.noteInitiate(in)
		s.askAgain(in.Wants)
		s.initiate(in.Children)
	case machine.Terminate:
		s.terminate(in)
	case machine.Probe:
		s.probe()
	case machine.Rekey:
		s.rekey(in)
	case machine.ChildExpired:
		s.childExpired(in)
	case machine.Replaced:
		s.replaced(in)
	case machine.ChildLost:
		s.childLost(in)
	case machine.ChildPlaced:
		s.childPlaced(in)
	case machine.ChildMoved:
		s.childSeen(in)
	case machine.Migrate:
		s.migrate(in)
	case machine.Reauthenticate:
		s.reauthenticate()
	case machine.Redirect:
		s.redirectClient(in.To)
	case machine.Path:
		s.path(in)
	case machine.Reconfigure:
		s.reconfigure(in)
	}
	s.adoptNext()
	s.serveNext()
	s.work()
	s.checkReplaced()
}

// tick ends the waits that are over. Calls come first, because a plugin's silence explains more than a deadline.
func (s *SA) tick() {
	s.calls.Expire()
	s.retransmit()
	s.expireAssemblies()
	s.expireState()
	s.tendChildren()
	s.checkAge()
	s.keepAlive()
	s.checkLiveness()
	s.tickSession()
}

// Deadline is when the SA wants a Tick: the earliest of all that it waits for.
func (s *SA) Deadline() time.Time {
	if s.state == Closed {
		return time.Time{}
	}
	at := earliest(s.deadline, s.own.due())
	for _, due := range [...]time.Time{s.sessionDue(), s.assemblyDue(), s.workDue(), s.childrenDue(), s.ageDue()} {
		at = earliest(at, due)
	}
	at = earliest(at, s.calls.Due())
	return earliest(at, earliest(s.keepAliveDue(), s.livenessDue()))
}

// earliest returns the earlier of two instants, of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// due reports whether an instant, if any, has come.
func (s *SA) due(t time.Time) bool { return !t.IsZero() && !s.now.Before(t) }

// SPIs returns both SPIs, zero for one that is not known yet.
func (s *SA) SPIs() (initiator, responder uint64) { return s.spii, s.spir }

// State returns what the SA is doing.
func (s *SA) State() State { return s.state }

// Stale returns how many replies came too late to matter.
func (s *SA) Stale() uint64 { return s.calls.Stale() }

// Info implements machine.Machine.
func (s *SA) Info() machine.Info {
	info := machine.Info{UID: s.uid, Conn: s.connName(), State: s.state.String(), IKE: s.describe(),
		Created: s.created, Established: s.opened, Inner: s.inner.describe()}
	for _, c := range s.children {
		if c.up && !c.replaced() {
			info.Children = append(info.Children, c.describe())
		}
	}
	return info
}

// Installed implements machine.Machine. It leaves out children whose removal is under way: a reconciliation that found one
// missing would install it again. The result carries copies of the keys.
func (s *SA) Installed() []machine.ChildSA {
	var list []machine.ChildSA
	for _, c := range s.children {
		if !c.removing {
			list = append(list, c.sa.Clone())
		}
	}
	return list
}

// enter goes to another state. Where an initiator waits for plugins it gets the half-open time anew; where it waits for
// the peer, retransmission ends the wait. A responder has one deadline for all until it is established.
func (s *SA) enter(to State) {
	if s.state == to {
		return
	}
	s.emit(event.IKEStateChanged{From: s.state.String(), To: to.String()})
	s.state = to
	switch {
	case s.stopping != "" && to < Established: // the deadline of the operator stands
	case to == Established:
		s.deadline = time.Time{}
	case s.initiator && in(InitSent, AuthSent).has(to):
		s.deadline = time.Time{}
	case s.initiator && to < Established:
		s.deadline = s.now.Add(s.conn.HalfOpen)
	}
}

// header returns the header of a message of ours (RFC 7296 section 3.1).
func (s *SA) header(exch wire.ExchangeType, id uint32, flags wire.Flags) wire.Header {
	if s.initiator {
		flags |= wire.FlagInitiator
	}
	return wire.Header{InitiatorSPI: s.spii, ResponderSPI: s.spir, Major: 2, Exchange: exch, Flags: flags, MessageID: id}
}

func (s *SA) send(local, remote netip.AddrPort, datagrams ...[]byte) {
	s.lastSent = s.now
	for _, b := range datagrams {
		s.fx.Add(machine.Send{Local: local, Remote: remote, Bytes: b})
	}
}

func (s *SA) emit(e event.Event) {
	s.fx.Add(machine.Emit{Subject: event.Subject{IKE: s.uid, Conn: s.connName()}, Event: e})
}

func (s *SA) nonce() []byte { return s.random(nonceLen) }

func (s *SA) random(n int) []byte {
	b := make([]byte, n)
	_, _ = s.rand.Read(b) // never fails
	return b
}

// newUID returns a UUIDv7: 48 bits of Unix milliseconds, then random bits (RFC 9562 section 5.7).
func (s *SA) newUID() event.UID {
	var u event.UID
	copy(u[:], s.random(len(u)))
	ms := uint64(s.now.UnixMilli())
	binary.BigEndian.PutUint16(u[:], uint16(ms>>32))
	binary.BigEndian.PutUint32(u[2:], uint32(ms))
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return u
}
