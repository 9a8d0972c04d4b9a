package ikev1

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is about other ISAKMP SAs between the same identities. Who asked and was admitted, or is established, is known to the
// driver; it tells an SA that has to give way.

// admit asks whether there is a place for the SA. Where many may live side by side there always is, and nobody may say
// INITIAL-CONTACT.
func (s *SA) admit(then func(machine.Admitted, *machine.CallError)) {
	if s.conn.Unique == policy.UniqueNever {
		then(machine.Admitted{Others: 1}, nil)
		return
	}
	ask(s, machine.Admit{Conn: s.conn.Name, IKE: s.describe(), UID: s.uid, Begun: s.created, Keep: s.conn.Unique == policy.UniqueKeep,
		Contact: s.toldContact(), Replaces: s.session.replaces}, 0, then)
}

// notAdmitted returns why there is no place for the SA, nil when there is one.
func (s *SA) notAdmitted(r machine.Admitted, err *machine.CallError) *failure {
	switch {
	case err != nil:
		f := pluginFailure("it could not be found out whether there are other ISAKMP SAs of the peer", err)
		return &f
	case r.Instead == event.UID{}:
		return nil
	}
	s.emit(event.IKEUniqueness{IKE: s.describe(), Policy: policy.UniqueKeep.String(), Stays: r.Instead})
	return &failure{cause: event.CauseDuplicate, by: byUs, reason: fmt.Sprintf(
		"connection %q keeps the ISAKMP SA that it has with %v (unique = \"keep\")", s.conn.Name, s.remoteID)}
}

// noteNotifies takes what a peer says beside its proof: INITIAL-CONTACT (RFC 2407 section 4.6.3.3).
func (x *phase1) noteNotifies(p packet) {
	_, said := wire1.GetNotify(p.Payloads, wire1.InitialContact)
	x.contact = said && x.s.conn.Unique != policy.UniqueNever
	x.s.noticeAll(p)
}

// toldContact reports whether the peer said INITIAL-CONTACT.
func (s *SA) toldContact() bool {
	if s.state.secured() {
		return s.session.contact
	}
	return s.phase1.contact
}

// contactNotify returns INITIAL-CONTACT when it is true. It goes with our proof, as the installed base does it: RFC 2407 section
// 4.6.3.3 wants it protected, and so it is.
func (s *SA) contactNotify(x *phase1) []wire1.Payload {
	if !x.alone || s.session.replaces != (event.UID{}) {
		return nil
	}
	return []wire1.Payload{s.notify(wire1.InitialContact)}
}

// disown ends the SAs that the peer had before this one, and does not know: so it says after aggressive mode (RFC 2407 section 4.6.3).
func (s *SA) disown() {
	if s.conn.Unique != policy.UniqueNever {
		ask(s, machine.Admit{Conn: s.conn.Name, IKE: s.describe(), UID: s.uid, Contact: true}, 0, func(machine.Admitted, *machine.CallError) {})
	}
}

// replaced gives way to another SA.
func (s *SA) replaced(r machine.Replaced) {
	switch {
	case s.state != Established || r.Cause == machine.ReplaceNot:
	case r.Cause == machine.ReplaceContact:
		const reason = "the peer began anew and does not know this ISAKMP SA (INITIAL-CONTACT)"
		s.emit(event.IKEUniqueness{IKE: s.describe(), Policy: "initial_contact", Stays: r.By})
		s.goodbyeFor(byReplaced, reason)
		s.shutdown(reason, 0)
	default:
		if r.Cause == machine.ReplaceUnique {
			s.emit(event.IKEUniqueness{IKE: s.describe(), Policy: policy.UniqueReplace.String(), Stays: r.By})
		}
		s.giveWayTo(r)
	}
}
