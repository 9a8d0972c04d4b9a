package ikev2

import (
	"fmt"
	"net/netip"
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
		s.lease(want, x.leased)
	case x.wanted && s.conn.NeedsRequest():
		x.refuseChild(s.unrequested())
	default:
		x.noLease()
	}
}

// lease asks the pools for inner addresses for the peer, and goes on when it has them, or knows why not.
func (s *SA) lease(want []netip.Addr, then func(machine.Leased, *failure)) {
	if !s.inner.leased {
		s.inner = inner{holder: s.uid, conf: s.conn, leased: true}
	}
	op := machine.Lease{Pools: s.conn.Pools, Holder: s.inner.holder, Identity: opIdentity(s.remoteID), From: s.remote.Addr(), Want: want,
		Succeeds: s.conn.Unique != policy.UniqueNever}
	ask(s, op, s.inner.key(), func(r machine.Leased, err *machine.CallError) {
		if err != nil {
			f := s.notLeased(err)
			then(r, &f)
			return
		}
		s.inner.given = r.Addresses
		s.conn = s.inner.conf.Assigned(nil, r.Addresses)
		s.emit(event.PoolLeased{Holder: s.inner.holder, Pools: r.Pools, Identity: idText(s.remoteID), Addresses: r.Addresses})
		then(r, nil)
	})
}

// unrequested says that a peer without an address gets no child, because it asked for none (RFC7296-2.19-6).
func (s *SA) unrequested() failure {
	return failure{cause: event.CauseNoAddress, notify: wire2.FailedCPRequired, by: byUs,
		reason: fmt.Sprintf("the peer asks for no inner address, which connection %q gives it from pool %s: let it request one (a virtual address)",
			s.conn.Name, strings.Join(s.conn.Pools, ", "))}
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
	x.lease.reply = x.s.told(x.packet, l)
}

// told returns what answers the CFG_REQUEST of a message.
func (s *SA) told(p packet, l machine.Leased) []wire2.Payload {
	request, asked := configuration(p.Payloads, wire2.CFGRequest)
	if !asked {
		return nil
	}
	if reply := cfgReply(s.conn, request, l); len(reply.Attributes) > 0 {
		return []wire2.Payload{reply}
	}
	return nil
}

func (x *authR) leased(r machine.Leased, f *failure) {
	if f != nil {
		x.refuseChild(*f)
		x.step()
		return
	}
	x.settleLease(r)
	x.choose()
	x.step()
}

// address gives a peer the inner addresses that it asks for before it gets its first child, if it had none in IKE_AUTH: it made no child
// there (RFC 6023), did not ask, or there were none left (RFC 7296 section 2.19 and appendix C.4). A peer that has some is told
// them again, and keeps them.
func (x *createR) address() {
	s := x.s
	request, _ := configuration(x.packet.Payloads, wire2.CFGRequest)
	want := wanted(request)
	switch {
	case x.old != nil || len(s.inner.given) > 0 || len(s.conn.Pools) == 0:
		x.reply = s.told(x.packet, machine.Leased{Addresses: s.inner.given})
		x.choose()
	case len(want) > 0:
		s.serving = x
		s.lease(want, x.leased)
	case s.conn.NeedsRequest():
		x.refuse(s.unrequested())
	default:
		x.reply = s.told(x.packet, machine.Leased{})
		x.choose()
	}
}

func (x *createR) leased(r machine.Leased, f *failure) {
	s := x.s
	s.serving = nil
	switch {
	case f != nil:
		x.refuse(*f)
	case s.state != Established:
		x.refuse(failure{notify: wire2.TemporaryFailure})
	default:
		x.reply = s.told(x.packet, r)
		x.choose()
	}
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
