package ikev1

import (
	"errors"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is what a responder does before it spends state on a packet: it is stateless, and reads no more than it needs.

const (
	// minFirst is the least size of a first message in octets: a header (28), and an SA payload (12) with one proposal (8) and one
	// transform (8) of four attributes (4 each).
	minFirst = 72
	// maxFirst bounds it, because a half-open SA keeps the SA payload for its hashes. The longest offers seen have 10 KiB.
	maxFirst = 16384
	// maxFirstPayloads bounds how far InspectFirst walks.
	maxFirstPayloads = wire1.MaxPayloads
)

// ErrNotFirst is the cause when a packet cannot begin an ISAKMP SA.
var ErrNotFirst = errors.New("ikev1: not the first message of main or aggressive mode")

// First is what a responder needs to know of a first message before it decides to spend state on it.
type First struct {
	Cookie     uint64 // the initiator's
	Aggressive bool   // costs a key exchange and a proof at once
}

// InspectFirst reads the first message of phase 1 just far enough to see that it may be one: a message in clear with the ID 0, without
// a responder's cookie, whose first payload is an SA (RFC2409-5-6). What it does not need it steps over, so that a packet that passes may
// still be malformed. It allocates nothing and its errors are ErrNotFirst.
func InspectFirst(packet []byte) (First, error) {
	h, err := wire.ParseHeader(packet)
	if err != nil || !beginsSA(h) || uint64(h.Length) != uint64(len(packet)) || len(packet) < minFirst || len(packet) > maxFirst {
		return First{}, ErrNotFirst
	}
	first := First{Cookie: h.InitiatorSPI, Aggressive: h.Exchange == wire1.Aggressive}
	var have payloads
	chain := wire.NewChain(h.NextPayload, packet[wire.HeaderLen:], wire.HeaderLen)
	for range maxFirstPayloads {
		p, ok := chain.Next()
		if !ok {
			break
		}
		have |= payloadBit(p.Type)
	}
	need := pSA
	if first.Aggressive {
		need |= pKE | pNonce | pID
	}
	if have&need != need {
		return First{}, ErrNotFirst
	}
	return first, nil
}

// beginsSA reports whether a header is that of a first message (RFC 2408 section 4.1).
func beginsSA(h wire.Header) bool {
	return h.Major == wire1.Version && h.Minor == 0 && (h.Exchange == wire1.MainMode || h.Exchange == wire1.Aggressive) && h.Flags == 0 &&
		h.InitiatorSPI != 0 && h.ResponderSPI == 0 && h.MessageID == 0 && h.NextPayload == wire1.TypeSA
}
