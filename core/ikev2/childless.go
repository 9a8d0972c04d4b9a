package ikev2

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// This file is about IKE SAs whose IKE_AUTH makes no child (RFC 6023).

// announces reports whether an IKE_SA_INIT message has a notify.
func announces(initMessage []byte, kind wire2.NotifyType) bool {
	m, err := wire2.Parse(initMessage)
	if err != nil {
		return false
	}
	_, ok := wire2.GetNotify(m.Payloads, kind)
	return ok
}

// planChildren returns the child to make in IKE_AUTH, nil for none, and the names of those to make after it.
func (s *SA) planChildren(names []string) (*policy.Child, []string, *failure) {
	first, others := s.firstChild(names)
	switch {
	case len(s.conn.Children) == 0 && s.conn.Childless != policy.ChildlessNever:
		return nil, nil, nil
	case first == nil:
		return nil, nil, &failure{cause: event.CauseUnsupported, by: byUs, reason: fmt.Sprintf(
			"connection %q has no such child; without one IKE_AUTH must be permitted to make none (childless)", s.conn.Name)}
	case s.conn.Childless == policy.ChildlessForce:
		return nil, s.orFirst(names), nil
	}
	if _, f := s.propose(first); f != nil {
		return nil, nil, f
	}
	return first, others, nil
}

// settleChild decides, when the peer's IKE_SA_INIT response is there, whether IKE_AUTH makes a child. A peer that did not
// announce that it can do without must be asked for one (RFC 6023 section 3).
func (x *authI) settleChild() *failure {
	s := x.s
	supported := announces(s.peerInit, wire2.ChildlessIKEv2Supported)
	conf := x.child.conf
	switch {
	case conf == nil && !supported:
		return &failure{cause: event.CauseUnsupported, by: byUs, reason: fmt.Sprintf(
			"the peer cannot make an IKE SA without a child SA (RFC 6023), which connection %q asks for", s.conn.Name)}
	case conf != nil && s.conn.Childless == policy.ChildlessPrefer && supported:
		x.child.conf = nil
		s.todo = append([]task{{conf: conf}}, s.todo...)
	case conf != nil && s.conn.Childless == policy.ChildlessPrefer:
		x.allocate()
	}
	return nil
}

// childlessSupport returns the notify of an IKE_SA_INIT response that permits IKE_AUTH without a child, unless no connection
// that the peer may mean does.
func (s *SA) childlessSupport() []wire2.Payload {
	for _, c := range s.candidates {
		if c.Childless != policy.ChildlessNever {
			return []wire2.Payload{wire2.Notify{Kind: wire2.ChildlessIKEv2Supported}}
		}
	}
	return nil
}

// answerChildlessAuth takes an IKE_AUTH request without a child, if we had announced that we can do without.
func (s *SA) answerChildlessAuth(p packet) {
	if len(s.childlessSupport()) == 0 {
		s.refuse("an IKE_AUTH request lacks the payloads of a child SA", wire2.InvalidSyntax)
		return
	}
	s.answerAuth(p)
}

// noChild says why an IKE_AUTH request that asks for a child gets none.
func (x *authR) noChild() *failure {
	s := x.s
	if s.conn.Childless == policy.ChildlessForce {
		return &failure{cause: event.CauseUnsupported, notify: wire2.NoAdditionalSAs, by: byUs, reason: fmt.Sprintf(
			"connection %q makes no child SA in IKE_AUTH (childless = \"force\")", s.conn.Name)}
	}
	return s.unpicked(x.offer, s.conn.Children)
}
