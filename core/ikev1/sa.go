package ikev1

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
	"github.com/parley-ike/parley/core/wire/wire1"
)

var _ machine.Machine = (*SA)(nil)

// SA is one ISAKMP SA with the IPsec SAs that were made by it. Make it with NewInitiator or NewResponder.
type SA struct {
	env       *Env
	limits    Limits
	initiator bool // of phase 1
	uid       event.UID
	rand      *rand.ChaCha8

	state    State
	deadline time.Time // of the state; zero: another wait bounds it
	created  time.Time
	opened   time.Time // when the SA was established

	cookieI, cookieR uint64
	local, remote    netip.AddrPort
	nat              nat
	dpd              dpd

	conn       *policy.Connection   // in force; a responder's is provisional until the peer is known
	named      bool                 // conn is sure enough to be named in events
	candidates []*policy.Connection // responder: those that permit the suite

	suite             suite.Suite
	method            wire1.AuthMethod
	keys              suite.ISAKMPKeys
	cipher            *suite.ISAKMPCipher // nil before there are keys
	lastIV            suite.IV            // of phase 1, from which those of phase 2 follow
	localID, remoteID policy.Identity
	mode              wire.ExchangeType // of phase 1
	user              string            // the peer's, proved by extended authentication
	xauth             xauth
	xauthAble         bool    // the peer sent the vendor ID of XAUTH
	phase1            *phase1 // nil when it is over and its last message need not be repeated any more
	phase2            []*exchange
	used              []uint32 // message IDs of the peer's quick modes, sorted: they never come again
	unity             bool     // the peer takes attributes of Cisco's Unity clients
	inner             inner
	early             []machine.Datagram
	peerFragments     bool        // the peer takes fragments
	partial           []*assembly // messages of which fragments are missing, or were
	children          []*child
	todo              []task // quick modes of ours that wait
	life              span
	calls             machine.Calls
	heard             bool      // the peer ever answered
	lastHeard         time.Time // fresh authentic message
	lastSent          time.Time
	forged            forgeries
	session           session
	next              *policy.Connection // to go on with when the SA is established; nil: there is nothing new
	goodbye           event.Event        // IKEDeleted, told when the children are gone
	lingerTill        time.Time
	reason            string // of Done
	now               time.Time
	fx                *machine.Effects // of the step at hand
}

// NewInitiator returns an SA that waits for the command Initiate. cookie is ours, not zero and not in use; seed is secret and
// never used twice.
func NewInitiator(env *Env, cookie uint64, seed [32]byte, conn *policy.Connection, local, remote netip.AddrPort) *SA {
	s := newSA(env, seed, local, remote)
	s.initiator, s.cookieI, s.conn, s.named = true, cookie, conn, true
	return s
}

// NewResponder returns an SA that waits for the first message of phase 1 as its first Datagram. cookie and seed are as for
// NewInitiator.
func NewResponder(env *Env, cookie uint64, seed [32]byte, local, remote netip.AddrPort) *SA {
	s := newSA(env, seed, local, remote)
	s.cookieR = cookie
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
	switch in := in.(type) {
	case machine.Datagram:
		s.receive(in)
	case machine.Reply:
		s.calls.Resume(in)
	case machine.Tick:
		s.tick()
	default:
		s.command(in)
	}
	s.receiveEarly()
	s.adoptNext()
	s.work()
}

// command does what an operator, the driver or an SA backend asks for. What IKEv1 has no word for (machine.Migrate,
// machine.Redirect) is ignored.
func (s *SA) command(in machine.Input) {
	switch in := in.(type) {
	case machine.Initiate:
		s.initiate(in)
	case machine.Terminate:
		s.terminate(in)
	case machine.Probe:
		s.probe()
	case machine.Rekey:
		s.rekey(in)
	case machine.Reauthenticate:
		s.rekeyISAKMP()
	case machine.Replaced:
		s.replaced(in)
	case machine.Inherit:
		s.inherit(in)
	case machine.ChildExpired:
		s.childExpired(in)
	case machine.ChildLost:
		s.childLost(in)
	case machine.ChildPlaced:
		s.childPlaced(in)
	case machine.ChildMoved:
		s.childSeen(in)
	case machine.Path:
		s.path(in)
	case machine.Reconfigure:
		s.reconfigure(in)
	}
}

// tick ends the waits that are over. Calls come first, because a plugin's silence explains more than a deadline.
func (s *SA) tick() {
	s.calls.Expire()
	s.repeatAll()
	s.expireState()
	s.tendChildren()
	s.checkAge()
	s.keepAlive()
	s.tendPeer()
	s.tendXAuth()
	s.forgetFragments()
}

// Deadline is when the SA wants a Tick: the earliest of all that it waits for.
func (s *SA) Deadline() time.Time {
	if s.state == Closed {
		return never
	}
	at := s.deadline
	for _, due := range [...]time.Time{s.exchangesDue(), s.childrenDue(), s.ageDue(), s.workDue(), s.keepAliveDue(), s.peerDue(), s.xauthDue(), s.fragmentsDue()} {
		at = earliest(at, due)
	}
	at = earliest(at, s.calls.Due())
	return at
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

// Cookies returns both cookies, zero for one that is not known yet.
func (s *SA) Cookies() (initiator, responder uint64) { return s.cookieI, s.cookieR }

// State returns what the SA is doing.
func (s *SA) State() State { return s.state }

// Stale returns how many replies came too late to matter.
func (s *SA) Stale() uint64 { return s.calls.Stale() }

// Info implements machine.Machine.
func (s *SA) Info() machine.Info {
	info := machine.Info{UID: s.uid, Conn: s.connName(), State: s.state.String(), IKE: s.describe(), Created: s.created, Established: s.opened,
		Inner: s.inner.describe()}
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
// the peer, repetition ends the wait. A responder has one deadline for all of phase 1. What follows phase 1 has one of its own.
func (s *SA) enter(to State) {
	if s.state == to {
		return
	}
	s.emit(event.IKEStateChanged{From: s.state.String(), To: to.String()})
	s.state = to
	switch {
	case to == Established:
		s.deadline = never
	case s.initiator && in(Proposed, Exchanging, Identifying).has(to):
		s.deadline = never
	case to == Authenticating || to == Configuring || s.initiator && to < Authenticating:
		s.deadline = s.now.Add(s.conn.HalfOpen)
	}
}

// send sends a message, in fragments if need be.
func (s *SA) send(local, remote netip.AddrPort, b []byte) {
	s.lastSent = s.now
	for _, d := range s.datagrams(b) {
		s.fx.Add(machine.Send{Local: local, Remote: remote, Bytes: d})
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
