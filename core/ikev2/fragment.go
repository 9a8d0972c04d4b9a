package ikev2

import (
	"slices"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// This file sends messages in fragments (RFC 7383); reassembly.go receives them. IKE_SA_INIT has no encrypted payload and is
// never fragmented (section 2.2).

// fragmentation says whether and how an SA splits what it sends.
type fragmentation struct {
	on   bool // both sides announced it
	size int  // the largest IP datagram to send, in octets: as configured, or what was found to arrive
}

const (
	// probeTries is how often a request is sent in one size of fragments before a smaller one is tried: "a few retries
	// within several seconds" (RFC 7383 section 2.5.2) are 3 in the 3 s of the default retransmission.
	probeTries = 3

	// Sizes of IP datagrams in octets that RFC 7383 section 2.5.1 recommends: what IPv6 carries on every path, and what is
	// safe for IPv4 nearly everywhere.
	safeSize6, safeSize4 = 1280, 576

	// Octets in front of an IKE message: IP header, UDP header and the non-ESP marker, which may or may not be there.
	overhead4, overhead6 = 20 + 8 + 4, 40 + 8 + 4
)

// fragmentationNotify announces that we fragment, if the connection wants it (RFC 7383 section 2.3).
func (s *SA) fragmentationNotify() []wire2.Payload {
	if s.conn.FragmentSize == 0 {
		return nil
	}
	return []wire2.Payload{wire2.Notify{Kind: wire2.IKEv2FragmentationSupport}}
}

// agreeFragmentation turns fragmentation on when the peer announced it, too (RFC 7383 section 2.4).
func (s *SA) agreeFragmentation(peer packet) {
	_, theirs := wire2.GetNotify(peer.Payloads, wire2.IKEv2FragmentationSupport)
	s.fragments = fragmentation{on: theirs && s.conn.FragmentSize != 0, size: s.conn.FragmentSize}
}

// datagramSize returns the size of the IP datagram that carried d, or somewhat more.
func datagramSize(d machine.Datagram) int {
	return len(d.Bytes) + overhead(d.Remote.Addr().Unmap().Is4())
}

func overhead(is4 bool) int {
	if is4 {
		return overhead4
	}
	return overhead6
}

// limit returns the size of an IKE message in a datagram of a size.
func (s *SA) limit(size int) int { return size - overhead(s.remote.Addr().Unmap().Is4()) }

// seal protects a message and returns the datagrams that carry it: one, or fragments when it is longer than the size in use,
// or when it answers fragments (RFC 7383 section 2.4).
func (s *SA) seal(h wire.Header, ps []wire2.Payload, fragmented bool) ([][]byte, error) {
	b, err := s.out.Seal(h, ps, s.rand)
	if err != nil || !s.fragments.on || !fragmented && len(b) <= s.limit(s.fragments.size) {
		return [][]byte{b}, err
	}
	return s.split(h, wire2.FirstType(ps), wire2.AppendPayloads(nil, ps), s.room(s.fragments.size))
}

// room returns how many octets a fragment in an IP datagram of a size can carry.
func (s *SA) room(size int) int { return s.out.FragmentRoom(s.limit(size)) }

// split returns the fragments of a message, with at most length octets in each (RFC 7383 section 2.5).
func (s *SA) split(h wire.Header, first wire.PayloadType, inner []byte, length int) ([][]byte, error) {
	pieces := slices.Collect(slices.Chunk(inner, length))
	if len(pieces) == 0 {
		pieces = [][]byte{nil}
	}
	datagrams := make([][]byte, len(pieces))
	for i, piece := range pieces {
		b, err := s.out.SealFragment(h, first, uint16(i+1), uint16(len(pieces)), piece, s.rand)
		if err != nil {
			return nil, err
		}
		datagrams[i] = b
	}
	return datagrams, nil
}

// smallest is the smallest size that is tried.
func (s *SA) smallest() int {
	if s.remote.Addr().Unmap().Is4() {
		return safeSize4
	}
	return safeSize6
}

// refragment makes the datagrams of a request smaller when it was not answered for some tries, which may be because large
// ones do not arrive (RFC 7383 section 2.5.2). The size stays for what is sent later. It returns the new size, 0 when
// nothing has changed: at the smallest size retransmission just goes on.
func (s *SA) refragment(o *outstanding) int {
	if o.tries < probeTries {
		return 0
	}
	size := min(s.smallest(), s.fragments.size)
	smaller := s.fitted(o.datagrams, size)
	if len(smaller) <= len(o.datagrams) {
		return 0
	}
	o.datagrams, o.tries = smaller, 0 // the timers start over
	s.shrink(size)
	return size
}

// shrink lowers the size in use.
func (s *SA) shrink(size int) {
	s.fragments.size = min(s.fragments.size, max(size, policy.MinFragmentSize))
}

// fitted returns a message of ours in datagrams of at most size octets: the same ones when those fit, else more than before. The
// number of fragments tells the peer one set from another, so that it must grow (RFC 7383 section 2.5.2).
func (s *SA) fitted(datagrams [][]byte, size int) [][]byte {
	if !s.fragments.on || s.out == nil || len(datagrams[0]) <= s.limit(size) {
		return datagrams
	}
	h, first, inner, err := s.reopen(datagrams)
	if err != nil {
		return datagrams
	}
	length := s.room(max(size, policy.MinFragmentSize))
	if before := len(datagrams); divUp(len(inner), length) <= before {
		length = max(divUp(len(inner), before+1), 1)
	}
	smaller, err := s.split(h, first, inner, length)
	if err != nil || len(smaller) <= len(datagrams) { // fewer octets than that
		return datagrams
	}
	return smaller
}

func divUp(n, by int) int { return (n + by - 1) / by }

// reopen returns what is inside of a message that we have sealed.
func (s *SA) reopen(datagrams [][]byte) (h wire.Header, first wire.PayloadType, inner []byte, err error) {
	if h, err = wire.ParseHeader(datagrams[0]); err != nil {
		return h, 0, nil, err
	}
	if h.NextPayload != wire2.TypeSKF {
		m, err := s.out.Open(datagrams[0])
		return h, wire2.FirstType(m.Payloads), wire2.AppendPayloads(nil, m.Payloads), err
	}
	for i, b := range datagrams {
		f, err := s.out.OpenFragment(b)
		if err != nil {
			return h, 0, nil, err
		}
		if i == 0 {
			first = f.First
		}
		inner = append(inner, f.Body...)
	}
	return h, first, inner, nil
}
