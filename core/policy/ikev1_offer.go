package policy

import (
	"math"
	"slices"
	"time"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// Bounds of what we offer by IKEv1, which spells out each combination of algorithms. The preferred ones come first.
const (
	// maxPhase1Transforms keeps the first message below 1280 octets, so that it is not fragmented on its way: a transform takes 36.
	maxPhase1Transforms = 30
	// maxPhase2Transforms does the same for quick mode, for all proposals of a child together.
	maxPhase2Transforms = 32
)

// OfferPhase1 returns the SA payload of an initiator for phase 1: one proposal with a transform for each combination that IKEv1 has
// (RFC 2409 section 5), most preferred first. Where we have nothing to offer there is no proposal in it. A lifetime of zero is not
// offered.
func OfferPhase1(configured []Proposal, method wire1.AuthMethod, life time.Duration) wire1.SA {
	sa := wire1.SA{DOI: wire1.DOIIPsec, Situation: wire1.SituationIdentityOnly}
	p := wire1.Proposal{Number: 1, Protocol: wire1.ProtoISAKMP}
	for _, s := range phase1Suites(configured) {
		if len(p.Transforms) == maxPhase1Transforms {
			break
		}
		as, _ := phase1Attributes(s)
		as = append(as, wire1.NumberAttribute(wire1.AttrAuthMethod, uint64(method)))
		as = append(as, lifetimeAttributes(wire1.AttrLifeType, wire1.AttrLifeDuration, Lifetime{Time: life})...)
		p.Transforms = append(p.Transforms, wire1.Transform{Number: uint8(len(p.Transforms) + 1), ID: wire1.KeyIKE, Attributes: as})
	}
	if len(p.Transforms) > 0 {
		sa.Proposals = []wire1.Proposal{p}
	}
	return sa
}

// phase1Suites spells out what proposals for an IKE SA mean to IKEv1: encryption without authentication, a hash that serves as PRF,
// and a group. The hash must be permitted as PRF and, where integrity algorithms are named, by one of these.
func phase1Suites(configured []Proposal) (list []suite.Suite) {
	for _, p := range configured {
		for _, e := range named(p, wire2.TransformENCR) {
			for _, h := range named(p, wire2.TransformPRF) {
				for _, k := range named(p, wire2.TransformKE) {
					s := suite.Suite{Encr: suite.EncrID(e.ID), KeyBits: e.KeyBits, PRF: suite.PRFID(h.ID), KE: suite.KEID(k.ID)}
					if _, ok := phase1Attributes(s); ok && p.permitsHash(h) && !slices.Contains(list, s) {
						list = append(list, s)
					}
				}
			}
		}
	}
	return list
}

// permitsHash reports whether a PRF is made of a hash that the proposal names as an integrity algorithm, too.
func (p Proposal) permitsHash(prf Transform) bool {
	all := named(p, wire2.TransformINTEG)
	return len(all) == 0 || slices.ContainsFunc(all, func(i Transform) bool {
		return hashes[suite.PRFID(prf.ID)] == suite.IntegID(i.ID)
	})
}

// OfferPhase2 returns the SA payload of an initiator for quick mode: one proposal for each of ours, in order of preference. group,
// if it is not KENone, stands in each transform (RFC2409-5.5-6); mode is the encapsulation mode; spi is ours.
func OfferPhase2(configured []Proposal, group suite.KEID, mode uint16, life Lifetime, spi []byte) wire1.SA {
	sa := wire1.SA{DOI: wire1.DOIIPsec, Situation: wire1.SituationIdentityOnly}
	room := maxPhase2Transforms
	for _, p := range configured {
		if !permits(p, group) {
			continue
		}
		w := wire1.Proposal{Number: uint8(len(sa.Proposals) + 1), Protocol: wire1.ProtoESP, SPI: spi}
		for _, s := range phase2Suites(p) {
			if s.KE = group; room == 0 {
				break
			}
			id, as, _ := phase2Transform(s)
			as = append(as, wire1.NumberAttribute(wire1.AttrEncapsulation, uint64(mode)))
			as = append(as, lifetimeAttributes(wire1.AttrSALifeType, wire1.AttrSALifeDuration, life)...)
			w.Transforms = append(w.Transforms, wire1.Transform{Number: uint8(len(w.Transforms) + 1), ID: id, Attributes: as})
			room--
		}
		if len(w.Transforms) > 0 && len(sa.Proposals) < math.MaxUint8 {
			sa.Proposals = append(sa.Proposals, w)
		}
	}
	return sa
}

// phase2Suites spells out a proposal for a child SA, without its groups.
func phase2Suites(p Proposal) (list []suite.Suite) {
	for _, e := range named(p, wire2.TransformENCR) {
		for _, i := range p.of(ScopeESP, wire2.TransformINTEG) {
			s := suite.Suite{Encr: suite.EncrID(e.ID), KeyBits: e.KeyBits, Integ: suite.IntegID(i.ID)}
			if _, _, ok := phase2Transform(s); ok && !slices.Contains(list, s) {
				list = append(list, s)
			}
		}
	}
	return list
}

// lifetimeAttributes returns the lifetimes that there are: in seconds, and of a child in kilobytes.
func lifetimeAttributes(kind, duration uint16, l Lifetime) (as []wire1.Attribute) {
	add := func(unit, v uint64) {
		as = append(as, wire1.NumberAttribute(kind, unit), wire1.NumberAttribute(duration, v))
	}
	if seconds := uint64(l.Time / time.Second); seconds > 0 {
		add(wire1.LifeSeconds, min(seconds, math.MaxUint32))
	}
	if kilobytes := l.Bytes / kilobyte; kilobytes > 0 {
		add(wire1.LifeKilobytes, min(kilobytes, math.MaxUint32))
	}
	return as
}

// kilobyte is 1024 octets (RFC 2407 section 4.5).
const kilobyte = 1024

// PermitsKE reports whether one of the proposals names a key exchange method, or goes without one for 0.
func PermitsKE(configured []Proposal, method uint16) bool {
	return slices.ContainsFunc(configured, func(p Proposal) bool { return permits(p, suite.KEID(method)) })
}

func permits(p Proposal, method suite.KEID) bool {
	return slices.ContainsFunc(p.of(ScopeESP, wire2.TransformKE), func(t Transform) bool { return t.ID == uint16(method) })
}

// OnlyKE returns the proposals with one key exchange method only; those that do not have it are left out. Aggressive mode cannot
// negotiate it (RFC 2409 section 5).
func OnlyKE(configured []Proposal, method uint16) (out []Proposal) {
	for _, p := range configured {
		if permits(p, suite.KEID(method)) {
			out = append(out, slices.DeleteFunc(slices.Clone(p), func(t Transform) bool { return t.Type == wire2.TransformKE && t.ID != method }))
		}
	}
	return out
}
