package ikev2

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// This file is about other IKE SAs between the same identities (RFC 7296 section 2.4). Who asked and was admitted, or is
// established, is known to the driver; it tells an SA that has to give way.

// sole is what an SA in IKE_AUTH knows of the others.
type sole struct {
	settled bool // there is a place for it
	first   bool // there are no others
}

// notify returns INITIAL_CONTACT when it is true. It stands in the first IKE_AUTH request (RFC7296-2.4-2).
func (o sole) notify() []wire2.Payload {
	if !o.first {
		return nil
	}
	return []wire2.Payload{wire2.Notify{Kind: wire2.InitialContact}}
}

// admit asks whether there is a place for the SA. Where many may live side by side there always is, and nobody may say
// INITIAL_CONTACT, because whoever permits that may be one of several with the same identity (RFC7296-2.4-1).
func (s *SA) admit(then func(machine.Admitted, *machine.CallError)) {
	if s.conn.Unique == policy.UniqueNever {
		then(machine.Admitted{Others: 1}, nil)
		return
	}
	ask(s, machine.Admit{Conn: s.conn.Name, IKE: s.describe(), UID: s.uid, Begun: s.created, Keep: s.conn.Unique == policy.UniqueKeep,
		Contact: s.session.contact, Replaces: s.session.replaces}, 0, then)
}

// noteContact notes INITIAL_CONTACT of a peer that has proved itself.
func (s *SA) noteContact(p packet) {
	_, said := wire2.GetNotify(p.Payloads, wire2.InitialContact)
	s.session.contact = said && s.conn.Unique != policy.UniqueNever
}

func (x *authI) admitted(r machine.Admitted, err *machine.CallError) {
	s := x.s
	if f := s.notAdmitted(r, err); f != nil {
		s.fail(*f)
		return
	}
	x.alone = sole{settled: true, first: r.Others == 0}
	x.step()
}

func (x *authR) admitted(r machine.Admitted, err *machine.CallError) {
	s := x.s
	if f := s.notAdmitted(r, err); f != nil {
		f.notify = wire2.AuthenticationFailed
		s.respond(wire2.Notify{Kind: f.notify})
		s.failAndLinger(*f)
		return
	}
	x.alone = sole{settled: true, first: r.Others == 0}
	x.step()
}

// notAdmitted returns why there is no place for the SA, nil when there is one.
func (s *SA) notAdmitted(r machine.Admitted, err *machine.CallError) *failure {
	switch {
	case err != nil:
		f := pluginFailure("it could not be found out whether there are other IKE SAs of the peer", err)
		return &f
	case r.Instead == event.UID{}:
		return nil
	}
	s.emit(event.IKEUniqueness{IKE: s.describe(), Policy: policy.UniqueKeep.String(), Stays: r.Instead})
	return &failure{cause: event.CauseDuplicate, by: byUs, reason: fmt.Sprintf(
		"connection %q keeps the IKE SA that it has with %v (unique = \"keep\")", s.conn.Name, s.remoteID)}
}

// replaced gives way to another SA: at once, or when the peer does not delete this one by itself, unless that other one ends first.
func (s *SA) replaced(r machine.Replaced) {
	switch {
	case s.state != Established:
	case r.Cause == machine.ReplaceNot:
		if s.session.leave.By == r.By {
			s.session.leaveAt = never
		}
	case r.Grace > 0:
		s.session.leave, s.session.leaveAt = r, s.now.Add(r.Grace)
	default:
		s.giveWay(r)
	}
}

// giveWay ends the SA. A peer that said INITIAL_CONTACT does not know it, and is not told (RFC7296-2.4-9).
func (s *SA) giveWay(r machine.Replaced) {
	if r.Cause == machine.ReplaceContact {
		const reason = "the peer began anew and does not know this IKE SA (INITIAL_CONTACT)"
		s.emit(event.IKEUniqueness{IKE: s.describe(), Policy: "initial_contact", Stays: r.By})
		s.goodbyeFor(byReplaced, reason)
		s.shutdown(reason, 0)
		return
	}
	if r.Cause == machine.ReplaceRedirect {
		s.deleteIKE(byRedirect, "the peer was sent to another gateway")
		return
	}
	if r.Cause == machine.ReplaceReauth {
		s.deleteIKE(byReplaced, fmt.Sprintf("it was reauthenticated by IKE SA %v", r.By))
		return
	}
	s.emit(event.IKEUniqueness{IKE: s.describe(), Policy: policy.UniqueReplace.String(), Stays: r.By})
	s.deleteIKE(byReplaced, "another IKE SA of the peer took its place (unique = \"replace\")")
}
