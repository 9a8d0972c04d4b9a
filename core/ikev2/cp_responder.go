package ikev2

import (
	"fmt"
	"strings"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// lease is the part of a responder's IKE_AUTH that gives the peer its inner addresses (RFC 7296 section 2.19).
type lease struct {
	begun, settled bool
	reply          []wire2.Payload // CP(CFG_REPLY), nothing without a request (RFC7296-2.19-5)
}

// addressed reports whether it is settled which addresses the peer gets. It asks the pools when the peer is authenticated and
// admitted.
func (x *authR) addressed() bool {
	if !x.lease.begun {
		x.lease.begun = true
		x.address()
	}
	return x.lease.settled
}

// address asks the pools for what the peer asks for.
func (x *authR) address() {
	s := x.s
	request, _ := configuration(x.packet.Payloads, wire2.CFGRequest)
	want := wanted(request)
	switch {
	case len(want) > 0:
		s.inner = inner{holder: s.uid, conf: s.conn, leased: true}
		ask(s, machine.Lease{Pools: s.conn.Pools, Holder: s.uid, Identity: opIdentity(s.remoteID), From: s.remote.Addr(), Want: want,
			Succeeds: s.conn.Unique != policy.UniqueNever}, s.inner.key(), x.leased)
	case x.wanted && s.conn.NeedsRequest():
		x.refuseChild(failure{cause: event.CauseNoAddress, notify: wire2.FailedCPRequired, by: byUs,
			reason: fmt.Sprintf("the peer asks for no inner address, which connection %q gives it from pool %s: let it request one (a virtual address)",
				s.conn.Name, strings.Join(s.conn.Pools, ", "))})
	default:
		x.noLease()
	}
}

// noLease goes on without addresses. A peer is told all the same what else it asks for.
func (x *authR) noLease() {
	x.settleLease(machine.Leased{})
	x.choose()
}

// refuseChild goes on without a child, for want of addresses.
func (x *authR) refuseChild(f failure) { x.lease.settled, x.childErr = true, &f }

// settleLease notes what the peer is told. There is no reply without a request, and none that has nothing to say.
func (x *authR) settleLease(l machine.Leased) {
	x.lease.begun, x.lease.settled = true, true
	if request, asked := configuration(x.packet.Payloads, wire2.CFGRequest); asked {
		if reply := cfgReply(x.s.conn, request, l); len(reply.Attributes) > 0 {
			x.lease.reply = []wire2.Payload{reply}
		}
	}
}

func (x *authR) leased(r machine.Leased, err *machine.CallError) {
	s := x.s
	if err != nil {
		x.refuseChild(s.notLeased(err))
		x.step()
		return
	}
	s.inner.given = r.Addresses
	s.conn = s.inner.conf.Assigned(nil, r.Addresses)
	s.emit(event.PoolLeased{Holder: s.inner.holder, Pools: r.Pools, Identity: idText(s.remoteID), Addresses: r.Addresses})
	x.settleLease(r)
	x.choose()
	x.step()
}

// notLeased tells why the peer gets no address. The IKE SA is made all the same (RFC 7296 section 3.15.4).
func (s *SA) notLeased(err *machine.CallError) failure {
	if err.Kind == machine.Exhausted {
		s.inner = inner{}
		s.emit(event.PoolExhausted{Pools: s.conn.Pools, Identity: idText(s.remoteID), Reason: err.Text})
	}
	return failure{cause: event.CauseNoAddress, notify: wire2.InternalAddressFailure, by: byUs,
		reason: fmt.Sprintf("there is no inner address for %v: %s", s.remoteID, err.Text)}
}
