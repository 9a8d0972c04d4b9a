package ikev1

import (
	"bytes"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file puts fragments together. Nothing in a fragment is authentic: whoever knows both cookies can send some, so that no set of them
// ends an SA, and what they cost is bounded. A message that becomes whole is taken as if it had come in one datagram.

const (
	// maxAssemblies bounds the messages of an SA that are put together at once: some quick modes of a peer whose fragments overtake
	// each other. Many peers have one ID for all.
	maxAssemblies = 4
	// maxFragmentOctets bounds what an SA keeps of fragments, in octets. maxStrangerOctets does before phase 1 is over: room for a
	// message with a chain of certificates. How many half-open SAs there are, in all and of one source, the engine bounds.
	maxFragmentOctets = wire1.MaxMessage
	maxStrangerOctets = 16 << 10
)

// assembly collects the fragments of one message. When the message is whole they are kept for a while without being there, by which
// late ones are known, and a repetition of them all brings the message again.
type assembly struct {
	id     uint16
	exch   wire.ExchangeType
	pieces []piece // in the order in which they came first
	last   int     // how many there are, 0 while nobody knows
	whole  bool    // the message was whole once
	until  time.Time
}

type piece struct {
	number int
	data   []byte
	there  bool
}

// pieceCost is what a fragment costs beside its data, in octets.
const pieceCost = 64

// unfold returns the message that a datagram brings: itself, or what the fragment in it completes. It fails as long as others are missing.
func (s *SA) unfold(h wire.Header, d machine.Datagram) (wire.Header, machine.Datagram, bool) {
	if h.NextPayload != wire1.TypeFragment {
		return h, d, true
	}
	m, err := wire1.Parse(d.Bytes)
	if err != nil || !s.announcesFragments() || s.state == Idle || s.state >= Closing {
		return h, d, false
	}
	f, _ := wire1.Get[wire1.Fragment](m.Payloads)
	a := s.assemblyOf(h, f)
	if !s.makeRoom(a, f) || !a.add(f) {
		return h, d, false
	}
	d.Bytes = a.message()
	a.until = s.now.Add(s.limits.Linger)
	inner, err := wire.ParseHeader(d.Bytes)
	same := inner.InitiatorSPI == h.InitiatorSPI && inner.ResponderSPI == h.ResponderSPI && inner.NextPayload != wire1.TypeFragment
	return inner, d, err == nil && same && s.concerns(inner, d)
}

// assemblyOf returns where a fragment belongs. One that contradicts the others of its ID begins anew: it is of the next message, or one of
// them is forged and a repetition will tell.
func (s *SA) assemblyOf(h wire.Header, f wire1.Fragment) *assembly {
	i := slices.IndexFunc(s.partial, func(a *assembly) bool { return a.id == f.ID })
	if i >= 0 && !s.partial[i].contradicts(f) {
		return s.partial[i]
	}
	if i < 0 && len(s.partial) == maxAssemblies {
		i = 0 // the oldest
	}
	if i >= 0 {
		s.partial = slices.Delete(s.partial, i, i+1)
	}
	a := &assembly{id: f.ID, exch: h.Exchange, until: s.now.Add(s.conn.Retransmit.Total())}
	s.partial = append(s.partial, a)
	return a
}

// contradicts reports whether a fragment cannot be of the same message as the others.
func (a *assembly) contradicts(f wire1.Fragment) bool {
	n := int(f.Number)
	switch known := a.piece(n); {
	case known != nil && !bytes.Equal(known.data, f.Data):
		return true
	case f.Last:
		return a.last != 0 && a.last != n || a.highest() > n
	}
	return a.last != 0 && n >= a.last
}

// piece returns the fragment with a number, nil when it never came.
func (a *assembly) piece(n int) *piece {
	i := slices.IndexFunc(a.pieces, func(p piece) bool { return p.number == n })
	if i < 0 {
		return nil
	}
	return &a.pieces[i]
}

// highest is the highest number seen.
func (a *assembly) highest() (n int) {
	for _, p := range a.pieces {
		n = max(n, p.number)
	}
	return n
}

// octets is what the fragments cost.
func (a *assembly) octets() (n int) {
	for _, p := range a.pieces {
		n += len(p.data) + pieceCost
	}
	return n
}

// makeRoom reports whether a fragment may be kept, for which other messages are given up, the oldest first.
func (s *SA) makeRoom(a *assembly, f wire1.Fragment) bool {
	most, cost := maxStrangerOctets, len(f.Data)+pieceCost
	if s.state >= Established {
		most = maxFragmentOctets
	}
	if a.piece(int(f.Number)) != nil {
		return true
	}
	if a.octets()+cost > most {
		s.tellDropped(a, "the message is too long")
		s.partial = slices.DeleteFunc(s.partial, func(other *assembly) bool { return other == a })
		return false
	}
	for s.heldOctets()+cost > most {
		oldest := slices.IndexFunc(s.partial, func(other *assembly) bool { return other != a })
		s.partial = slices.Delete(s.partial, oldest, oldest+1)
	}
	return true
}

func (s *SA) heldOctets() (n int) {
	for _, a := range s.partial {
		n += a.octets()
	}
	return n
}

// add takes a fragment and reports whether the message is whole. Numbers begin with 1 (package wire1).
func (a *assembly) add(f wire1.Fragment) bool {
	n := int(f.Number)
	if a.piece(n) == nil {
		a.pieces = append(a.pieces, piece{number: n, data: f.Data})
	}
	a.piece(n).there = true
	if f.Last {
		a.last = n
	}
	return a.last == len(a.pieces) && !slices.ContainsFunc(a.pieces, func(p piece) bool { return !p.there })
}

// message returns the octets of a message that is whole.
func (a *assembly) message() (b []byte) {
	for n := range a.last {
		p := a.piece(n + 1)
		b, p.there = append(b, p.data...), false
	}
	a.whole = true
	return b
}

// fragmentsDue is when the fragments of a message are to be forgotten.
func (s *SA) fragmentsDue() (at time.Time) {
	for _, a := range s.partial {
		at = earliest(at, a.until)
	}
	return at
}

// forgetFragments drops what did not become whole in the time in which a message is repeated.
func (s *SA) forgetFragments() {
	s.partial = slices.DeleteFunc(s.partial, func(a *assembly) bool {
		if !s.due(a.until) {
			return false
		}
		s.tellDropped(a, "the other fragments did not come in time")
		return true
	})
}

// tellDropped tells that a message is given up that never was whole.
func (s *SA) tellDropped(a *assembly, reason string) {
	if !a.whole {
		s.emit(event.FragmentFailed{Exchange: wire1.ExchangeName(a.exch), Received: len(a.pieces), Total: a.highest(), Reason: reason})
	}
}
