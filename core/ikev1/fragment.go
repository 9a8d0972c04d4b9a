package ikev1

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file sends messages in fragments, as Microsoft and Cisco do it ([MS-IKEE] section 2.2.6); reassembly.go receives them. A fragment
// is a part of the octets of a message as it would have been sent, header included, in a message of its own in clear.

const (
	// maxFragments bounds the fragments of one message: what the octet of their number counts to.
	maxFragments = 255
	// fragmentOverhead is what a fragment has around its data, in octets: a header, a generic header, and its ID, number and flags.
	fragmentOverhead = wire.HeaderLen + wire.PayloadHeaderLen + 4
	// Octets in front of an IKE message: IP header, UDP header and the non-ESP marker, which may or may not be there.
	overhead4, overhead6 = 20 + 8 + 4, 40 + 8 + 4
)

// announcesFragments reports whether our vendor IDs say that we take fragments. What the peer says decides only what we send.
func (s *SA) announcesFragments() bool { return s.conn != nil && s.conn.FragmentSize != 0 }

// fragments reports whether both sides know fragments.
func (s *SA) fragments() bool { return s.peerFragments && s.announcesFragments() }

// datagrams returns the datagrams that carry a message: one, or fragments when it is longer than the connection wants it and the
// peer knows them. They have the message ID 0 and an exchange type of phase 1, whatever the message has: so does the installed base.
func (s *SA) datagrams(b []byte) [][]byte {
	if !s.fragments() || len(b) <= s.room()+fragmentOverhead || len(b) > s.room()*maxFragments {
		return [][]byte{b}
	}
	h, err := wire.ParseHeader(b)
	if err != nil {
		return [][]byte{b}
	}
	if h.MessageID, h.Flags = 0, 0; h.Exchange != wire1.Aggressive {
		h.Exchange = wire1.MainMode
	}
	id := fragmentID(b)
	pieces := slices.Collect(slices.Chunk(b, s.room()))
	list := make([][]byte, len(pieces))
	for i, piece := range pieces {
		f := wire1.Fragment{ID: id, Number: uint8(i + 1), Last: i+1 == len(pieces), Data: piece}
		list[i] = wire1.Message{Header: h, Payloads: []wire1.Payload{f}}.Append(nil)
	}
	return list
}

// room is how many octets of a message a fragment carries.
func (s *SA) room() int {
	front := overhead6
	if s.remote.Addr().Unmap().Is4() {
		front = overhead4
	}
	return s.conn.FragmentSize - front - fragmentOverhead
}

// fragmentID tells the fragments of one message from those of another. It follows from the message, so that a repetition brings what was
// lost of the first time.
func fragmentID(b []byte) uint16 {
	hash := sha256.Sum256(b)
	return max(binary.BigEndian.Uint16(hash[:]), 1)
}
