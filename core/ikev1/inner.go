package ikev1

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// inner is what an SA and its peer gave each other of inner addresses. They last as long as the SA
// (draft-dukes-ike-mode-cfg-02 section 3.4) and those that take its place: children that move there go on to use them.
type inner struct {
	holder   event.UID          // of what the pools gave: the SA that asked first
	conf     *policy.Connection // as configured: nothing in it is assigned
	leased   bool               // the pools may have given something, which Release gives back
	given    []netip.Addr       // of our pools, to the peer
	assigned []netip.Addr       // to us, by the peer
	had      []netip.Addr       // that the peer assigned to the SA whose place this one takes
}

// leaseKey orders the calls about a lease. Its first bit is set by the variant of a UUID, so that it is no SPI.
func leaseKey(holder event.UID) uint64 { return binary.BigEndian.Uint64(holder[8:]) }

func (i *inner) describe() machine.Inner {
	return machine.Inner{Holder: i.holder, Given: i.given, Assigned: i.assigned}
}

// configured returns the connection as it is configured: without addresses that were assigned.
func (s *SA) configured() *policy.Connection {
	if s.inner.conf != nil {
		return s.inner.conf
	}
	return s.conn
}

// address brings the connection in force to a configuration, or to other addresses.
func (s *SA) address(conf *policy.Connection) {
	s.inner.conf = conf
	s.conn = conf.Assigned(s.inner.assigned, s.inner.given)
}

// lease asks the pools for inner addresses for the peer, and goes on when it has them, or knows why not. Who has some is given them again.
func (s *SA) lease(want []netip.Addr, then func(machine.Leased, *failure)) {
	if !s.inner.leased {
		s.inner.holder, s.inner.leased = s.uid, true
	}
	op := machine.Lease{Pools: s.conn.Pools, Holder: s.inner.holder, Identity: s.leaseIdentity(), From: s.remote.Addr(), Want: want,
		Succeeds: s.conn.Unique != policy.UniqueNever}
	ask(s, op, leaseKey(s.inner.holder), func(r machine.Leased, err *machine.CallError) {
		if err != nil {
			f := s.notLeased(err)
			then(machine.Leased{}, &f)
			return
		}
		if !slices.Equal(s.inner.given, r.Addresses) {
			s.inner.given = r.Addresses
			s.address(s.inner.conf)
			s.emit(event.PoolLeased{Holder: s.inner.holder, Pools: r.Pools, Identity: idText(s.remoteID), Addresses: r.Addresses})
		}
		then(r, nil)
	})
}

// leaseIdentity is who has the lease: the user where there is one, because many users may have one identity in phase 1.
func (s *SA) leaseIdentity() machine.Identity {
	if s.user != "" {
		return machine.Identity{Type: uint8(wire1.IDKeyID), Data: []byte(s.user)}
	}
	return opIdentity(s.remoteID)
}

// notLeased tells why the peer gets no address.
func (s *SA) notLeased(err *machine.CallError) failure {
	if err.Kind == machine.Exhausted {
		if len(s.inner.given) == 0 {
			s.inner.leased = false
		}
		s.emit(event.PoolExhausted{Pools: s.conn.Pools, Identity: idText(s.remoteID), Reason: err.Text})
	}
	return failure{cause: event.CauseNoAddress, by: byUs, reason: fmt.Sprintf("there is no inner address for %v: %s", s.remoteID, err.Text)}
}

// withdraw gives back what the SA has, when it ends.
func (s *SA) withdraw() {
	if len(s.inner.assigned) > 0 {
		s.emit(event.AddressWithdrawn{Holder: s.uid, Addresses: s.inner.assigned})
		s.inner.assigned = nil
	}
	if s.inner.leased {
		s.inner.leased = false
		s.giveBack(s.inner.describe())
		s.inner.given = nil
	}
}

// giveBack returns a lease to the pools. It is over whether or not they answer: reconciliation finds what they still count as held.
func (s *SA) giveBack(l machine.Inner) {
	ask(s, machine.Release{Holder: l.Holder}, leaseKey(l.Holder), func(machine.Released, *machine.CallError) {
		if len(l.Given) > 0 {
			s.emit(event.PoolReleased{Holder: l.Holder, Addresses: l.Given})
		}
		s.settle()
	})
}

// bequeathLease takes the lease out of an SA whose children move to another.
func (s *SA) bequeathLease() (l machine.Inner) {
	if s.inner.leased {
		l = machine.Inner{Holder: s.inner.holder, Given: s.inner.given}
		s.inner.leased, s.inner.given = false, nil
	}
	return l
}

// inheritLease takes the lease of another SA over. Whose peer asked by itself has the same address by a lease of its own, or another by
// which it will go on.
func (s *SA) inheritLease(l machine.Inner) {
	switch {
	case l.Holder == event.UID{}:
	case s.state >= Closing || s.inner.leased || s.inner.conf == nil || len(s.conn.Pools) == 0:
		s.giveBack(l)
	default:
		s.inner.holder, s.inner.leased, s.inner.given = l.Holder, true, l.Given
		s.address(s.inner.conf)
	}
}

// remembered returns what we ask for: where any address of a family would do, one that we had.
func (i *inner) remembered() []netip.Addr {
	list, had := slices.Clone(i.conf.Virtual), slices.Clone(i.had)
	for k, want := range list {
		j := slices.IndexFunc(had, func(a netip.Addr) bool { return a.Is4() == want.Is4() })
		if want.IsUnspecified() && j >= 0 {
			list[k] = had[j]
			had = slices.Delete(had, j, j+1)
		}
	}
	return list
}

// unaddressed says why a child cannot be proposed whose selectors are to be assigned: we have no address, or the peer has none. nil:
// it can.
func (s *SA) unaddressed(conf *policy.Child) *failure {
	f := failure{cause: event.CauseNoAddress, by: byUs}
	switch {
	case conf.LocalAssigned && len(s.inner.assigned) == 0:
		f.reason = fmt.Sprintf("child %q is for the address that the peer gives us, and it gave none", conf.Name)
	case conf.RemoteAssigned && len(conf.RemoteTS) == 0:
		f.reason = fmt.Sprintf("child %q is for the address that we give the peer, which has none yet: it must begin", conf.Name)
	default:
		return nil
	}
	return &f
}
