package ikev1

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// forgeries counts messages that were not authentic.
type forgeries struct {
	count uint64 // since the last event
	told  time.Time
}

// receive takes a datagram. Whatever is not ours, not due or not authentic ends here without a trace but a counter.
func (s *SA) receive(d machine.Datagram) {
	h, err := wire.ParseHeader(d.Bytes)
	if err == nil && s.concerns(h, d) {
		if h, d, ok := s.unfold(h, d); ok {
			s.dispatch(h, d)
		}
	}
	if s.state == Idle && !s.initiator { // not a message that could begin an SA: nothing will follow
		s.shutdown("the first packet began no phase 1", 0)
	}
}

// knownFlags are Encryption, Commit and Authentication Only (RFC 2408 section 3.1).
const knownFlags = wire1.FlagEncryption | wire1.FlagCommit | wire1.FlagAuthOnly

// concerns reports whether a header is one that our peer would send on this SA (RFC2408-5.2-2, RFC2408-5.1-2): cookies, version,
// flags and length.
func (s *SA) concerns(h wire.Header, d machine.Datagram) bool {
	switch {
	case h.Major != 1 || h.Minor != 0 || h.Flags&^knownFlags != 0 || uint64(h.Length) != uint64(len(d.Bytes)) || h.InitiatorSPI == 0:
		return false
	case s.state == Idle:
		return !s.initiator && h.ResponderSPI == 0
	case h.InitiatorSPI != s.cookieI:
		return false
	case s.cookieR == 0: // an initiator that has no answer yet
		return h.ResponderSPI != 0 || h.Exchange == wire1.Informational
	case h.ResponderSPI == 0: // the first message again
		return !s.initiator && h.MessageID == 0
	}
	return h.ResponderSPI == s.cookieR
}

// dispatch hands a message to its exchange (RFC 2409 section 4). Modes of phase 1 have the message ID 0, all others have not.
func (s *SA) dispatch(h wire.Header, d machine.Datagram) {
	phase2 := h.MessageID != 0 && h.Flags&wire1.FlagEncryption != 0
	switch h.Exchange {
	case wire1.MainMode, wire1.Aggressive:
		if h.MessageID == 0 {
			s.receivePhase1(h, d)
		}
	case wire1.Informational:
		s.receiveInformational(h, d, phase2)
	case wire1.QuickMode, wire1.Transaction, wire1.NewGroupMode:
		if phase2 {
			s.receivePhase2(h, d)
		}
	}
}

// receivePhase1 takes a message of main or aggressive mode.
func (s *SA) receivePhase1(h wire.Header, d machine.Datagram) {
	if s.state == Idle && !s.begin(h) || s.phase1 == nil || h.Exchange != s.phase1.kind { // RFC2409-5-5
		return
	}
	x := s.phase1
	if s.repeated(&x.exchange, d) || x.busy || s.state.secured() {
		return
	}
	p, err := s.open(&x.exchange, h, d)
	if err != nil {
		x.unreadable(d, err)
		return
	}
	row := x.match(p)
	if row == nil {
		s.suspect(failure{cause: event.CauseMalformed, by: byPeer, reason: fmt.Sprintf(
			"a message of %s lacks payloads, has some that do not belong there, or comes out of turn", wire1.ExchangeName(h.Exchange))})
		return
	}
	s.fresh(p)
	x.take(p)
	x.hope()
	_, asks := wire1.Get[wire1.CertReq](p.Payloads)
	x.certAsked = x.certAsked || asks
	row.do(x, p)
}

// hope forgets a sign of failure, because the peer goes on.
func (x *phase1) hope() {
	if s := x.s; x.suspicion != nil && !s.initiator {
		s.deadline = s.now.Add(s.conn.HalfOpen)
	}
	x.suspicion = nil
}

// begin notes the first message of a responder's SA.
func (s *SA) begin(h wire.Header) bool {
	if h.MessageID != 0 || h.Flags != 0 {
		return false
	}
	s.cookieI = h.InitiatorSPI
	s.phase1 = newPhase1(s, h.Exchange)
	return true
}

// unreadable notes a message of phase 1 that is malformed, or that our keys do not open. With pre-shared keys that is how different
// keys show (RFC 2409 section 5.4): SKEYID_e follows from the key.
func (x *phase1) unreadable(d machine.Datagram, err error) {
	s := x.s
	if s.state == Idle {
		s.cookieI = 0
		return
	}
	s.countForgery(d)
	f := failure{cause: event.CauseMalformed, by: byPeer, reason: "a message of the peer is malformed: " + err.Error()}
	if errors.Is(err, errNotOpened) {
		x.undeciphered()
		return
	}
	s.suspect(f)
}

// undeciphered notes that our keys did not open a message.
func (x *phase1) undeciphered() {
	s := x.s
	f := failure{cause: event.CauseAuthentication, by: byUs, reason: fmt.Sprintf(
		"a message of %v cannot be decrypted: %s, or it was forged", s.remote, s.otherKeys())}
	if x.suspicion == nil {
		s.authFailed(f)
	}
	s.suspect(f)
}

// receivePhase2 takes a message of quick mode, a transaction exchange or new group mode. Such a message may overtake the last one of
// phase 1, or of a transaction that has to come before, and then waits for it.
func (s *SA) receivePhase2(h wire.Header, d machine.Datagram) {
	switch {
	case in(HalfOpen, Identifying, Verifying).has(s.state), !s.ready(h.Exchange) && in(Authenticating, Configuring).has(s.state):
		s.overtaken(h, d)
	case !s.ready(h.Exchange):
	case h.Exchange == wire1.Transaction:
		s.receiveTransaction(h, d)
	case h.Exchange == wire1.QuickMode:
		s.receiveQuick(h, d)
	case h.Exchange == wire1.NewGroupMode:
		s.receiveNewGroup(h, d)
	}
}

// ready reports whether messages of an exchange may come: transactions when phase 1 is over, all others when the SA is established.
func (s *SA) ready(exch wire.ExchangeType) bool {
	if exch == wire1.Transaction {
		return s.state.secured() && s.state < Closing
	}
	return s.state == Established || s.state == Rekeyed
}

// overtaken keeps a message for when phase 1 is over. That it came shows a responder in aggressive mode that the third message was
// lost: the second one again brings it again.
func (s *SA) overtaken(h wire.Header, d machine.Datagram) {
	if x := s.phase1; s.state == HalfOpen && x.kind == wire1.Aggressive && h.Flags&wire1.FlagEncryption != 0 && x.last != nil {
		s.send(s.local, s.remote, x.last)
	}
	if len(s.early) < maxEarly {
		s.early = append(s.early, d)
	}
}

// receiveEarly takes what came too early, as soon as it may come.
func (s *SA) receiveEarly() {
	for {
		i := slices.IndexFunc(s.early, func(d machine.Datagram) bool {
			h, err := wire.ParseHeader(d.Bytes)
			return err == nil && s.ready(h.Exchange)
		})
		if i < 0 {
			return
		}
		d := s.early[i]
		s.early = slices.Delete(s.early, i, i+1)
		s.receive(d)
	}
}

// countForgery tells of messages that are not authentic, now and then.
func (s *SA) countForgery(d machine.Datagram) {
	s.forged.count++
	if !s.forged.told.IsZero() && s.now.Sub(s.forged.told) < integrityPause {
		return
	}
	s.emit(event.IntegrityFailed{Remote: d.Remote, Count: s.forged.count})
	s.forged = forgeries{told: s.now}
}

// fresh notes a new message from the peer; one that only the peer can have made shows that it lives.
func (s *SA) fresh(p packet) {
	s.heard = true
	if p.sealed {
		s.lastHeard = s.now
		s.follow(p.Datagram)
	}
}
