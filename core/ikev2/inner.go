package ikev2

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

// inner is what an SA and its peer gave each other of inner addresses (RFC 7296 section 2.19). They last as long as the SA
// and those that replace it by rekeying (section 3.15.1), which take them over.
type inner struct {
	holder    event.UID          // the SA that asked first
	conf      *policy.Connection // as configured: nothing in it is assigned
	leased    bool               // the pools may have given something, which Release gives back
	releasing bool
	given     []netip.Addr // of our pools, to the peer
	assigned  []netip.Addr // to us, by the peer
}

// key orders the calls about a lease. Its first bit is set by the variant of a UUID, so that it is no SPI.
func (i *inner) key() uint64 { return binary.BigEndian.Uint64(i.holder[8:]) }

// inherit takes over from an SA that s replaces, which has nothing to give back then.
func (i *inner) inherit(from *inner) { *i, *from = *from, inner{} }

func (i *inner) describe() machine.Inner {
	return machine.Inner{Holder: i.holder, Given: i.given, Assigned: i.assigned}
}

// withdraw gives back what the SA has, when it ends.
func (s *SA) withdraw() {
	if len(s.inner.assigned) > 0 {
		s.emit(event.AddressWithdrawn{Holder: s.inner.holder, Addresses: s.inner.assigned})
		s.inner.assigned = nil
	}
	if s.inner.leased && !s.inner.releasing {
		s.inner.releasing = true
		ask(s, machine.Release{Holder: s.inner.holder}, s.inner.key(), s.released)
	}
}

// released forgets the lease, whether or not the pools answered: reconciliation finds what they still count as held.
func (s *SA) released(machine.Released, *machine.CallError) {
	if len(s.inner.given) > 0 {
		s.emit(event.PoolReleased{Holder: s.inner.holder, Addresses: s.inner.given})
	}
	s.inner.leased, s.inner.given = false, nil
	s.settle()
}

// unaddressed says why a child cannot be proposed whose selectors are to be assigned: we have no address yet, or the peer has
// none. nil: it can.
func (s *SA) unaddressed(conf *policy.Child) *failure {
	f := failure{cause: event.CauseNoAddress, by: byUs}
	switch {
	case conf.LocalAssigned && s.state >= Established && len(s.inner.assigned) == 0:
		f.reason = fmt.Sprintf("child %q is for the address that the peer gives us, and it gave none", conf.Name)
	case conf.RemoteAssigned && len(conf.RemoteTS) == 0:
		f.reason = fmt.Sprintf("child %q is for the address that we give the peer, which has not asked for one: it must begin", conf.Name)
	default:
		return nil
	}
	return &f
}
