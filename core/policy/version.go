package policy

import (
	"slices"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// AnyVersion as Connection.Version: we initiate IKEv2 and answer both versions.
const AnyVersion = 3

// Speaks reports whether the connection may come up by a major version of IKE, 1 or 2.
func (c *Connection) Speaks(version uint8) bool {
	return c.Version == AnyVersion && version == 1 || c.Initiates() == version
}

// Initiates returns the major version that we begin with, 1 or 2.
func (c *Connection) Initiates() uint8 {
	if c.Version == 1 {
		return 1
	}
	return 2
}

// Speaking returns the part of the policy that a major version of IKE works by: the connections that may come up by it. IKEv1 is off
// where there is none.
func (s *Snapshot) Speaking(version uint8) *Snapshot {
	part := *s
	part.Connections = nil
	for _, c := range s.Connections {
		if c.Speaks(version) {
			part.Connections = append(part.Connections, c)
		}
	}
	return &part
}

// BeyondIKEv1 returns the transforms of a proposal that IKEv1 has no numbers for: combined-mode ciphers for the ISAKMP SA, KEMs,
// ChaCha20-Poly1305.
func (p Proposal) BeyondIKEv1(scope Scope) (list []Transform) {
	for _, t := range p {
		if !sayable(scope, t) {
			list = append(list, t)
		}
	}
	return list
}

func sayable(scope Scope, t Transform) (ok bool) {
	switch {
	case t.Type == wire2.TransformENCR && scope == ScopeIKE:
		_, ok = suite.EncrID(t.ID).IKEv1()
	case t.Type == wire2.TransformENCR:
		_, ok = suite.EncrID(t.ID).ESP()
	case t.Type == wire2.TransformPRF:
		_, ok = suite.PRFID(t.ID).IKEv1()
	case t.Type == wire2.TransformINTEG && suite.IntegID(t.ID) != suite.IntegNone:
		_, ok = suite.IntegID(t.ID).ESP() // of the same hashes in phase 1
	case t.Type == wire2.TransformKE && suite.KEID(t.ID) != suite.KENone:
		_, ok = suite.KEID(t.ID).IKEv1()
	default:
		ok = true
	}
	return ok
}

// FirstGroup returns the first key exchange method of proposals as they are written, 0 when there is none: what an initiator of IKEv1
// takes where it cannot negotiate (RFC 2409 sections 5 and 5.5).
func FirstGroup(all []Proposal) uint16 {
	for _, p := range all {
		for _, t := range named(p, wire2.TransformKE) {
			if t.ID != uint16(suite.KENone) {
				return t.ID
			}
		}
	}
	return 0
}

// PrefersNoKE reports whether a child is to have no key exchange of its own where it may choose: NONE stands first in its first
// proposal.
func PrefersNoKE(configured []Proposal) bool {
	return len(configured) > 0 && configured[0].of(ScopeESP, wire2.TransformKE)[0].ID == uint16(suite.KENone)
}

// NoKEFirst returns proposals with NONE before the key exchange methods where both are permitted.
func NoKEFirst(configured []Proposal) (out []Proposal) {
	for _, p := range configured {
		p = slices.Clone(p)
		slices.SortStableFunc(p, func(a, b Transform) int { return noKERank(a) - noKERank(b) })
		out = append(out, p)
	}
	return out
}

// noKERank is lower for NONE than for all else.
func noKERank(t Transform) int {
	if t.Type == wire2.TransformKE && t.ID == uint16(suite.KENone) {
		return 0
	}
	return 1
}
