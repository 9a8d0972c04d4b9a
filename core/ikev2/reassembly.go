package ikev2

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

const (
	// maxFragments bounds the fragments of one message: 64 KiB in datagrams of 576 octets are 137.
	maxFragments = 256
	// maxFragmentOctets bounds what is kept of incomplete messages of an SA, in octets; a message before fragmentation is
	// not longer (RFC 7383 section 5). maxStrangerOctets does before the peer is authenticated: room for a chain of
	// post-quantum certificates.
	maxFragmentOctets = wire2.MaxMessage
	maxStrangerOctets = 32 << 10
)

// assembly collects the fragments of one message (RFC 7383 section 2.6). Each was authenticated before it came here.
type assembly struct {
	response bool
	id       uint32
	exch     wire.ExchangeType
	total    uint16
	pieces   []piece // in the order in which they came
	octets   int     // in all pieces
	largest  int     // size of the largest IP datagram
	head     []byte  // the datagram with fragment 1
	until    time.Time
}

type piece struct {
	number uint16
	first  wire.PayloadType
	body   []byte
}

var (
	errIncomplete = errors.New("ikev2: not all fragments are there yet")
	errOdd        = errors.New("ikev2: a fragment that is not due")
)

// isFragment reports whether a message is one, by the payload at its end (RFC 7383 section 2.6).
func isFragment(h wire.Header, b []byte) bool {
	chain := wire.NewChain(h.NextPayload, b[wire.HeaderLen:], wire.HeaderLen)
	for p, ok := chain.Next(); ok && p.Type != wire2.TypeSK; p, ok = chain.Next() {
		if p.Type == wire2.TypeSKF {
			return true
		}
	}
	return false
}

// openFirst opens a fragment that has the number 1.
func (s *SA) openFirst(h wire.Header, d machine.Datagram) (wire2.SKF, bool) {
	if !s.fragments.on || s.in == nil || !isFragment(h, d.Bytes) {
		return wire2.SKF{}, false
	}
	f, err := s.in.OpenFragment(d.Bytes)
	return f, err == nil && f.Number == 1
}

// reassemble takes a fragment and returns the message when it is the last one missing (RFC 7383 section 2.6). That a
// fragment is authentic is found out first, before anything else is thought of it.
func (s *SA) reassemble(h wire.Header, d machine.Datagram) (packet, error) {
	if !s.fragments.on { // section 2.4
		return packet{}, errOdd
	}
	f, err := s.in.OpenFragment(d.Bytes)
	if err != nil {
		s.countForgery(d)
		return packet{}, err
	}
	a := s.assemblyOf(h)
	switch {
	case a == nil || f.Total > a.total: // smaller fragments than before: the others are of no use
		s.forgetAssembly(h)
		a = &assembly{response: h.Flags&wire.FlagResponse != 0, id: h.MessageID, exch: h.Exchange, total: f.Total}
	case f.Total < a.total || h.Exchange != a.exch || a.has(f.Number):
		return packet{}, errOdd
	}
	if err := s.fits(a, f); err != nil {
		return packet{}, err
	}
	s.keep(a, f, d)
	if len(a.pieces) < int(a.total) {
		return packet{}, errIncomplete
	}
	s.forgetAssembly(h)
	return a.message(h, d)
}

// assemblyOf returns what there is of a message, nil for nothing.
func (s *SA) assemblyOf(h wire.Header) *assembly {
	for _, a := range s.partial {
		if a.of(h) {
			return a
		}
	}
	return nil
}

func (a *assembly) of(h wire.Header) bool {
	return a.id == h.MessageID && a.response == (h.Flags&wire.FlagResponse != 0)
}

// forgetAssembly drops what there is of a message.
func (s *SA) forgetAssembly(h wire.Header) {
	s.partial = slices.DeleteFunc(s.partial, func(a *assembly) bool { return a.of(h) })
}

// fits bounds what fragments can cost. A message that can never fit ends the SA: its fragments are authentic, so the peer
// is broken or means harm (RFC 7383 section 5). What only has no room beside other messages is dropped; the peer repeats
// it.
func (s *SA) fits(a *assembly, f wire2.SKF) error {
	most, held := maxFragmentOctets, 0
	if s.state < Established {
		most = maxStrangerOctets
	}
	for _, other := range s.partial {
		held += other.octets
	}
	switch {
	case f.Total > maxFragments:
		return s.tooMuch(a, fmt.Sprintf("the peer sends a message in %d fragments; %d are the most", f.Total, maxFragments))
	case a.octets+len(f.Body) > most:
		return s.tooMuch(a, fmt.Sprintf("the peer sends a message of more than %d octets in fragments", most))
	case held+len(f.Body) > most:
		return errOdd
	}
	return nil
}

// tooMuch ends the SA because of a message that is too large.
func (s *SA) tooMuch(a *assembly, reason string) error {
	s.emit(event.FragmentFailed{Exchange: wire2.ExchangeName(a.exch), MessageID: a.id, Received: len(a.pieces), Total: int(a.total), Reason: reason})
	s.partial = nil
	switch {
	case a.response:
		s.rejectResponse(wire2.Notify{Kind: wire2.InvalidSyntax}, event.CauseMalformed, reason)
	case s.state == Established:
		s.deleteIKE(byError, reason)
	default:
		s.breakOff(failure{cause: event.CauseMalformed, by: byUs, reason: reason})
	}
	return errOdd
}

func (a *assembly) has(number uint16) bool {
	return slices.ContainsFunc(a.pieces, func(p piece) bool { return p.number == number })
}

// keep stores a fragment. The message may take as long as we would wait as the initiator of an exchange (RFC 7383 section
// 2.6).
func (s *SA) keep(a *assembly, f wire2.SKF, d machine.Datagram) {
	if len(a.pieces) == 0 {
		a.until = s.now.Add(s.conn.Retransmit.Total())
		s.partial = append(s.partial, a)
	}
	a.pieces = append(a.pieces, piece{f.Number, f.First, f.Body})
	a.octets += len(f.Body)
	a.largest = max(a.largest, datagramSize(d))
	if f.Number == 1 {
		a.head = d.Bytes
	}
}

// message returns the whole message. As the datagram that it came in counts the last one, but with the octets of fragment
// 1, by which a repetition is known (RFC 7383 section 2.6.1).
func (a *assembly) message(h wire.Header, d machine.Datagram) (packet, error) {
	slices.SortFunc(a.pieces, func(x, y piece) int { return cmp.Compare(x.number, y.number) })
	inner := make([]byte, 0, a.octets)
	for _, p := range a.pieces {
		inner = append(inner, p.body...)
	}
	d.Bytes = a.head
	ps, err := wire2.ParsePayloads(a.pieces[0].first, inner)
	return packet{Datagram: d, Message: wire2.Message{Header: h, Payloads: ps}, fragments: len(a.pieces), size: a.largest}, err
}

// assemblyDue is when a message that is not complete is given up.
func (s *SA) assemblyDue() (at time.Time) {
	for _, a := range s.partial {
		at = earliest(at, a.until)
	}
	return at
}

// expireAssemblies drops the messages that did not become complete in time, as if nothing of them had come (RFC 7383
// section 2.6).
func (s *SA) expireAssemblies() {
	s.partial = slices.DeleteFunc(s.partial, func(a *assembly) bool {
		if !s.due(a.until) {
			return false
		}
		s.emit(event.FragmentFailed{Exchange: wire2.ExchangeName(a.exch), MessageID: a.id, Received: len(a.pieces), Total: int(a.total),
			Reason: "the other fragments did not come in time"})
		return true
	})
}
