package ikev2

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// requesting prepares a connection that asks its peer for inner addresses: until they are known, it offers all (RFC 7296 section
// 2.19).
func (s *SA) requesting(conn *policy.Connection) *policy.Connection {
	if len(conn.Virtual) == 0 {
		return conn
	}
	s.inner = inner{conf: conn}
	return conn.Requesting()
}

// askAgain has an SA ask for addresses that the SA has whose place it takes, where any would do: make before break is of little
// use with another address.
func (s *SA) askAgain(had []netip.Addr) {
	if s.state != Idle || s.inner.conf == nil {
		return
	}
	had = slices.Clone(had)
	s.conn.Virtual = slices.Clone(s.conn.Virtual)
	for i, want := range s.conn.Virtual {
		j := slices.IndexFunc(had, func(a netip.Addr) bool { return a.Is4() == want.Is4() })
		if want.IsUnspecified() && j >= 0 {
			s.conn.Virtual[i] = had[j]
			had = slices.Delete(had, j, j+1)
		}
	}
}

// takeAddresses takes the inner addresses that the peer assigned, and returns why there will be no child without them. A
// peer that made no child anyway says itself why.
func (x *authI) takeAddresses() *failure {
	s := x.s
	if len(s.conn.Virtual) == 0 {
		return nil
	}
	reply, _ := configuration(x.packet.Payloads, wire2.CFGReply)
	e := assignment(s.conn, reply)
	if _, made := wire2.Get[wire2.SA](x.packet.Payloads); len(e.Addresses) == 0 && made {
		return &failure{cause: event.CauseNoAddress, by: byUs, reason: fmt.Sprintf(
			"the peer gave us no inner address, for which connection %q asks (virtual): give it a pool there, or leave virtual out", s.conn.Name)}
	}
	if len(e.Addresses) == 0 {
		return nil
	}
	e.Holder = s.uid
	s.inner.holder, s.inner.assigned = s.uid, e.Addresses
	s.conn = s.inner.conf.Assigned(e.Addresses, nil)
	s.emit(e)
	return nil
}

// endWithoutAddress ends an IKE SA in which no child can ever be made, because each is for an address of the peer's and it gave none:
// addresses are asked for in IKE_AUTH. Who wants the connection begins anew, later (RFC 7296 section 3.15.4).
func (s *SA) endWithoutAddress() {
	able := func(c *policy.Child) bool { return !c.LocalAssigned }
	if s.state != Established || len(s.conn.Virtual) == 0 || len(s.inner.assigned) > 0 || slices.ContainsFunc(s.conn.Children, able) {
		return
	}
	const reason = "the peer gave us no inner address, without which there can be no child SA"
	for _, c := range s.conn.Children {
		s.unwant(c.Name, failure{cause: event.CauseNoAddress, by: byUs, reason: reason})
	}
	s.deleteIKE(byError, reason)
}

// onlyAssigned narrows our selectors of a response to the addresses that the peer assigned, should it not have done so.
func (s *SA) onlyAssigned(a *agreement) *failure {
	conf, ok := s.conn.Child(a.conf.Name)
	if !ok || !conf.LocalAssigned || len(s.inner.assigned) == 0 {
		return nil
	}
	answered := a.local
	a.conf = conf
	if a.local = policy.Narrow(conf.LocalTS, answered); a.local != nil {
		return nil
	}
	return &failure{cause: event.CauseNoSelectors, by: byUs, reason: fmt.Sprintf(
		"the peer's answer for child %q has traffic selectors %v for us, and the addresses that it gave us are %v", conf.Name, selectorStrings(answered), s.inner.assigned)}
}
