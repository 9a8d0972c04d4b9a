package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// This file chooses from IKEv1's proposals by reading each of their transforms as a proposal of IKEv2 with one transform of each
// kind. Preferences and explanations are those of IKEv2 then.

// Terms is the outcome of a negotiation by IKEv1.
type Terms struct {
	Suite     suite.Suite
	Method    wire1.AuthMethod // phase 1
	Mode      uint16           // phase 2: encapsulation mode
	Seconds   uint64           // lifetime that was offered; 0: none
	Kilobytes uint64
	Answer    wire1.SA // what a responder sends; in phase 2 its SPI is still the peer's, for the caller to replace
	PeerSPI   []byte   // phase 2
}

// Transport reports whether a child is in transport mode.
func (t Terms) Transport() bool {
	return t.Mode == wire1.EncapsulationTransport || t.Mode == wire1.EncapsulationUDPTransport || t.Mode == wire1.EncapsulationUDPTransportDraft
}

// Encapsulated reports whether a child goes in UDP.
func (t Terms) Encapsulated() bool {
	return t.Mode != wire1.EncapsulationTunnel && t.Mode != wire1.EncapsulationTransport
}

// Bound returns the shorter of a lifetime and what was agreed (RFC 2407 section 4.5.4).
func (t Terms) Bound(l Lifetime) Lifetime {
	if seconds := time.Duration(min(t.Seconds, maxSeconds)) * time.Second; seconds > 0 && (l.Time == 0 || seconds < l.Time) {
		l.Time, l.Margin, l.Jitter = seconds, min(l.Margin, seconds/2), min(l.Jitter, seconds/4)
	}
	if t.Kilobytes > 0 && t.Kilobytes < maxKilobytes && (l.Bytes == 0 || t.Kilobytes*kilobyte < l.Bytes) {
		l.Bytes = t.Kilobytes * kilobyte
	}
	return l
}

const (
	// maxSeconds is a hundred years: no lifetime of an SA is longer, and no duration overflows.
	maxSeconds = 100 * 365 * 24 * 3600
	// maxKilobytes is where octets leave 64 bits; more is no limit.
	maxKilobytes = 1 << 54
)

// spelled is one transform of an offer, read as far as it can be.
type spelled struct {
	Terms
	proposal wire1.Proposal
	index    int // of the transform in its proposal
	known    bool
}

// reader says what to look for in an offer.
type reader struct {
	scope   Scope
	methods []wire1.AuthMethod // phase 1
	modes   []uint16           // phase 2
}

// maxSpelled bounds how many transforms of an offer are looked at: the number of a proposal of IKEv2 has 8 bits.
const maxSpelled = 255

// spell reads the transforms of an offer. Proposals that are to be taken together with another, such as ESP with AH, and those for
// other protocols, are not ours (RFC 2408 section 4.2).
func (r reader) spell(offer wire1.SA) (list []spelled) {
	for _, p := range offer.Proposals {
		for i, t := range p.Transforms {
			if len(list) == maxSpelled {
				return list
			}
			s := spelled{proposal: p, index: i, known: !together(offer, p)}
			if r.scope == ScopeIKE {
				s.known = s.known && p.Protocol == wire1.ProtoISAKMP && t.ID == wire1.KeyIKE
				s.readPhase1(t)
			} else {
				s.known = s.known && p.Protocol == wire1.ProtoESP
				s.readPhase2(t)
			}
			list = append(list, s)
		}
	}
	return list
}

// together reports whether another proposal has the same number.
func together(offer wire1.SA, p wire1.Proposal) bool {
	n := 0
	for _, other := range offer.Proposals {
		if other.Number == p.Number {
			n++
		}
	}
	return n > 1
}

// readPhase1 reads a transform of phase 1 (RFC 2409 appendix A).
func (s *spelled) readPhase1(t wire1.Transform) {
	var ok bool
	s.Suite, ok = phase1Suite(t.Attributes)
	method, there := wire1.FindNumber(t.Attributes, wire1.AttrAuthMethod)
	s.Method = wire1.AuthMethod(method)
	s.known = s.known && ok && there && s.readLifetime(t.Attributes, wire1.AttrLifeType, wire1.AttrLifeDuration)
}

// readPhase2 reads an ESP transform (RFC 2407 sections 4.4.4 and 4.5).
func (s *spelled) readPhase2(t wire1.Transform) {
	var ok bool
	s.Suite, ok = phase2Suite(t)
	mode, there := wire1.FindNumber(t.Attributes, wire1.AttrEncapsulation)
	if s.Mode = uint16(mode); !there { // "host-dependent" in RFC 2407 section 4.5; what peers mean by leaving it out is this
		s.Mode = wire1.EncapsulationTransport
	}
	s.PeerSPI = s.proposal.SPI
	s.known = s.known && ok && s.readLifetime(t.Attributes, wire1.AttrSALifeType, wire1.AttrSALifeDuration)
}

// readLifetime reads pairs of type and duration. A lifetime of zero, or of a unit or size that we do not know, makes the transform
// unacceptable.
func (s *spelled) readLifetime(as []wire1.Attribute, kind, duration uint16) bool {
	unit := uint64(0)
	for _, a := range as {
		v, ok := a.Number()
		switch {
		case a.Type == kind && (!ok || v != wire1.LifeSeconds && v != wire1.LifeKilobytes):
			return false
		case a.Type == kind:
			unit = v
		case a.Type != duration:
		case !ok || v == 0 || unit == 0:
			return false
		case unit == wire1.LifeSeconds:
			s.Seconds = v
		default:
			s.Kilobytes = v
		}
	}
	return true
}

// permits reports whether what IKEv2 has no transform for is acceptable.
func (r reader) permits(s spelled) bool {
	if r.scope == ScopeIKE {
		return slices.Contains(r.methods, s.Method)
	}
	return slices.Contains(r.modes, s.Mode)
}

// translate returns an offer in the words of IKEv2: proposal n is the n-th transform that was read.
func (r reader) translate(list []spelled) wire2.SA {
	var sa wire2.SA
	for i, s := range list {
		p := wire2.Proposal{Number: uint8(i + 1), Protocol: r.scope.protocol(), Transforms: transformsOf(r.scope, s.Suite)}
		if r.scope == ScopeESP {
			p.SPI = s.PeerSPI
		}
		if !s.known || !r.permits(s) {
			p.Transforms = append(p.Transforms, wire2.Transform{Type: unknownType, ID: uint16(s.Method) + s.Mode})
		}
		sa.Proposals = append(sa.Proposals, p)
	}
	return sa
}

// unknownType makes a proposal unacceptable: there is something in it that we do not understand, or do not permit.
const unknownType wire2.TransformType = 241

// transformsOf returns a suite as transforms of IKEv2. The hash of phase 1 is PRF and integrity algorithm at once.
func transformsOf(scope Scope, s suite.Suite) (list []wire2.Transform) {
	add := func(t Transform) { list = append(list, toWire(t)) }
	if s.Encr != suite.EncrNone {
		add(Transform{Type: wire2.TransformENCR, ID: uint16(s.Encr), KeyBits: s.KeyBits})
	}
	if s.PRF != suite.PRFNone {
		add(Transform{Type: wire2.TransformPRF, ID: uint16(s.PRF)})
		s.Integ = hashes[s.PRF]
	}
	if s.Integ != suite.IntegNone {
		add(Transform{Type: wire2.TransformINTEG, ID: uint16(s.Integ)})
	}
	if s.KE != suite.KENone {
		add(Transform{Type: wire2.TransformKE, ID: uint16(s.KE)})
	}
	if scope == ScopeESP {
		add(Transform{Type: wire2.TransformESN})
	}
	return list
}

func (r reader) pick(configured []Proposal, offer wire1.SA) (Terms, bool) {
	if offer.DOI != wire1.DOIIPsec || offer.Situation != wire1.SituationIdentityOnly {
		return Terms{}, false
	}
	list := r.spell(offer)
	choice, ok := Pick(r.scope, configured, r.translate(list), 0)
	if !ok {
		return Terms{}, false
	}
	return list[choice.Number-1].terms(offer), true
}

// terms returns what is agreed by taking a transform, unchanged (RFC2409-5-12, RFC2408-4.2-6).
func (s spelled) terms(offer wire1.SA) Terms {
	t, p := s.Terms, s.proposal
	p.Transforms = p.Transforms[s.index : s.index+1]
	p.SPI = slices.Clone(p.SPI)
	if p.Protocol == wire1.ProtoISAKMP {
		p.SPI = nil // ignored, and as good as none (RFC 2408 section 3.5)
	}
	t.Answer = wire1.SA{DOI: offer.DOI, Situation: offer.Situation, Proposals: []wire1.Proposal{p}}
	return t
}

func (r reader) explain(configured []Proposal, offer wire1.SA) *Mismatch {
	return explain(r.scope, configured, r.translate(r.spell(offer)))
}

// PickPhase1 picks from an offer as responder of phase 1, with one of some authentication methods, as Pick does for IKEv2 (RFC 2409
// section 5).
func PickPhase1(configured []Proposal, methods []wire1.AuthMethod, offer wire1.SA) (Terms, bool) {
	return reader{scope: ScopeIKE, methods: methods}.pick(configured, offer)
}

// ExplainPhase1 says why PickPhase1 found nothing. The numbers of proposals in it count the peer's transforms.
func ExplainPhase1(configured []Proposal, methods []wire1.AuthMethod, offer wire1.SA) *Mismatch {
	m := reader{scope: ScopeIKE, methods: methods}.explain(configured, offer)
	if other := otherMethods(methods, offer); other != "" {
		m.Closest = other
	}
	return m
}

// otherMethods says that the peer wants to authenticate otherwise, "" when that is not what is wrong.
func otherMethods(methods []wire1.AuthMethod, offer wire1.SA) string {
	var offered []string
	for _, s := range (reader{scope: ScopeIKE}).spell(offer) {
		if slices.Contains(methods, s.Method) {
			return ""
		}
		if name := s.Method.String(); !slices.Contains(offered, name) {
			offered = append(offered, name)
		}
	}
	if len(offered) == 0 || len(methods) == 0 {
		return ""
	}
	return fmt.Sprintf("the peer wants to authenticate by %s, and the connection has %s: set auth, or mend the peer's", either(offered), methods[0])
}

// PickPhase2 picks from an offer as responder of quick mode, with one of some encapsulation modes.
func PickPhase2(configured []Proposal, modes []uint16, offer wire1.SA) (Terms, bool) {
	return reader{scope: ScopeESP, modes: modes}.pick(configured, offer)
}

// ExplainPhase2 says why PickPhase2 found nothing.
func ExplainPhase2(configured []Proposal, modes []uint16, offer wire1.SA) *Mismatch {
	r := reader{scope: ScopeESP, modes: modes}
	m := r.explain(configured, offer)
	list := r.spell(offer)
	if len(list) > 0 && !slices.ContainsFunc(list, r.permits) && len(modes) > 0 {
		m.Closest = fmt.Sprintf("the peer wants encapsulation %s, and the child is %s: set mode to that of the peer, or look whether there is a NAT that one side does not see",
			wire1.EncapsulationName(list[0].Mode), wire1.EncapsulationName(modes[0]))
	}
	return m
}

// AcceptPhase1 checks as initiator that an answer is one of the transforms that we offered, its attributes unchanged but for their
// encoding (RFC2409-5-13), and returns what was agreed. Every error wraps ErrAnswer.
func AcceptPhase1(offered, answer wire1.SA) (Terms, error) { return accept(ScopeIKE, offered, answer) }

// AcceptPhase2 is AcceptPhase1 for quick mode.
func AcceptPhase2(offered, answer wire1.SA) (Terms, error) { return accept(ScopeESP, offered, answer) }

var errShape = errors.New("not exactly one proposal with one transform")

func accept(scope Scope, offered, answer wire1.SA) (Terms, error) {
	if len(answer.Proposals) != 1 || len(answer.Proposals[0].Transforms) != 1 || answer.DOI != offered.DOI {
		return Terms{}, fmt.Errorf("%w: %w", ErrAnswer, errShape)
	}
	got := answer.Proposals[0]
	for _, p := range offered.Proposals {
		for _, t := range p.Transforms {
			if p.Protocol != got.Protocol || !sameTransform(t, got.Transforms[0]) {
				continue
			}
			list := reader{scope: scope}.spell(answer)
			if list[0].known {
				return list[0].terms(answer), nil
			}
		}
	}
	return Terms{}, fmt.Errorf("%w: its attributes are those of no transform of ours", ErrAnswer)
}

// sameTransform compares attributes in any order. Numbers may be encoded otherwise, and those of transforms are not looked at: some
// peers count them anew.
func sameTransform(a, b wire1.Transform) bool {
	return a.ID == b.ID && includes(a.Attributes, b.Attributes) && includes(b.Attributes, a.Attributes)
}

func includes(all, some []wire1.Attribute) bool {
	for _, s := range some {
		want, ok := s.Number()
		if !ok || !slices.ContainsFunc(all, func(a wire1.Attribute) bool {
			got, ok := a.Number()
			return ok && a.Type == s.Type && got == want
		}) {
			return false
		}
	}
	return true
}

// Phase1Strings renders an offer of phase 1 in the words of the configuration, Phase2Strings one of quick mode.
func Phase1Strings(offer wire1.SA) []string { return reader{scope: ScopeIKE}.strings(offer) }

// Phase2Strings is Phase1Strings for quick mode.
func Phase2Strings(offer wire1.SA) []string { return reader{scope: ScopeESP}.strings(offer) }

func (r reader) strings(offer wire1.SA) (list []string) {
	for _, s := range r.spell(offer) {
		if len(list) == maxWords {
			return list
		}
		var p Proposal
		for _, w := range transformsOf(r.scope, s.Suite) {
			if t, ok := fromWire(w); ok && !(t.Type == wire2.TransformINTEG && r.scope == ScopeIKE) {
				p = append(p, t)
			}
		}
		if word := p.String(); !slices.Contains(list, word) {
			list = append(list, word)
		}
	}
	return list
}

// NotifiedLifetime reads the lifetimes of a RESPONDER-LIFETIME notify (RFC 2407 section 4.6.3.1).
func NotifiedLifetime(n wire1.Notify) (Terms, bool) {
	as, ok := n.Attributes()
	kind, duration := wire1.AttrSALifeType, wire1.AttrSALifeDuration
	if n.Protocol == wire1.ProtoISAKMP {
		kind, duration = wire1.AttrLifeType, wire1.AttrLifeDuration
	}
	var s spelled
	return s.Terms, ok && s.readLifetime(as, kind, duration)
}

// ResponderLifetime returns the data of a RESPONDER-LIFETIME notify that tells those of a responder's lifetimes which are shorter than
// what was offered, nil when none is (RFC 2407 sections 4.5.4 and 4.6.3.1).
func ResponderLifetime(protocol wire1.ProtocolID, offered Terms, l Lifetime) []byte {
	seconds, kilobytes := uint64(l.Time/time.Second), l.Bytes/kilobyte
	if offered.Seconds != 0 && offered.Seconds <= seconds {
		l.Time = 0
	}
	if offered.Kilobytes != 0 && offered.Kilobytes <= kilobytes {
		l.Bytes = 0
	}
	as := lifetimeAttributes(wire1.AttrSALifeType, wire1.AttrSALifeDuration, l)
	if protocol == wire1.ProtoISAKMP {
		as = lifetimeAttributes(wire1.AttrLifeType, wire1.AttrLifeDuration, Lifetime{Time: l.Time})
	}
	if len(as) == 0 {
		return nil
	}
	return wire1.AttributeData(as)
}
