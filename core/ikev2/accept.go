package ikev2

import (
	"errors"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// proposed is a child as we proposed it to the peer.
type proposed struct {
	conf          *policy.Child
	sa            wire2.SA
	local, remote []policy.Selector
	transport     bool
}

// payloads returns a proposal as it stands in a request: notifies, SA, what else belongs to the exchange, TSi, TSr (RFC 7296
// appendix C).
func (o proposed) payloads(others ...wire2.Payload) []wire2.Payload {
	ps := append(traits{transport: o.transport}.notifies(), o.sa)
	ps = append(ps, others...)
	return append(ps, wire2.TSi{Selectors: policy.SelectorsToWire(o.local)}, wire2.TSr{Selectors: policy.SelectorsToWire(o.remote)})
}

// espOffer returns an SA payload for a child.
func espOffer(proposals []policy.Proposal, spi uint32) wire2.SA {
	var sa wire2.SA
	for i, p := range proposals {
		sa.Proposals = append(sa.Proposals, p.Wire(uint8(i+1), wire2.ProtoESP, spiBytes(spi)))
	}
	return sa
}

// acceptChild checks the child part of a response: it must be what we offered, or less (RFC 7296 sections 2.9 and 3.3.6).
func (s *SA) acceptChild(o proposed, p packet) (*agreement, *failure) {
	answer, agreed := wire2.Get[wire2.SA](p.Payloads)
	if !agreed {
		return nil, s.childRefused(o, p)
	}
	choice, err := policy.Accept(policy.ScopeESP, o.sa, answer)
	if err == nil && !validSPI(choice.PeerSPI) {
		err = errReservedSPI
	}
	if err != nil {
		return nil, &failure{cause: event.CauseNoProposal, by: byUs,
			reason: fmt.Sprintf("the peer's answer for child %q is not what we offered: %v", o.conf.Name, err)}
	}
	local, remote, f := s.acceptSelectors(o, p)
	if f != nil {
		return nil, f
	}
	t, f := o.takeTraits(p)
	if f != nil {
		return nil, f
	}
	return &agreement{conf: o.conf, choice: choice, local: local, remote: remote, traits: t, initiator: true}, nil
}

var errReservedSPI = errors.New("ikev2: its SPI is one of 0 to 255, which are reserved (RFC 4303 section 2.1)")

// acceptSelectors returns the selectors of a response, which must lie within ours, all of them.
func (s *SA) acceptSelectors(o proposed, p packet) (local, remote []policy.Selector, f *failure) {
	tsi, _ := wire2.Get[wire2.TSi](p.Payloads)
	tsr, _ := wire2.Get[wire2.TSr](p.Payloads)
	local, remote = policy.SelectorsFromWire(tsi.Selectors), policy.SelectorsFromWire(tsr.Selectors)
	readable := len(local) == len(tsi.Selectors) && len(remote) == len(tsr.Selectors)
	if readable && within(o.local, local) && within(o.remote, remote) {
		return local, remote, nil
	}
	s.emit(event.ChildTSMismatch{Name: o.conf.Name, OurLocal: selectorStrings(o.local), OurRemote: selectorStrings(o.remote),
		OfferedLocal: selectorStrings(local), OfferedRemote: selectorStrings(remote)})
	return nil, nil, &failure{cause: event.CauseNoSelectors, by: byUs,
		reason: fmt.Sprintf("the peer's answer for child %q has traffic selectors that we did not offer", o.conf.Name)}
}

// childRefused tells why the peer made no child.
func (s *SA) childRefused(o proposed, p packet) *failure {
	n, ok := firstError(p.Payloads)
	if !ok {
		return &failure{cause: event.CauseMalformed, by: byUs, reason: "the peer's response has neither a child SA nor an error"}
	}
	f := refusalOf(n.Kind, fmt.Sprintf("child %q", o.conf.Name))
	switch n.Kind {
	case wire2.NoProposalChosen:
		offered := offerStrings(o.sa)
		s.emit(event.ProposalMismatch{Scope: scopeChild, By: byPeer, Offered: offered, Configured: offered})
	case wire2.TSUnacceptable:
		s.emit(event.ChildTSMismatch{Name: o.conf.Name, OurLocal: selectorStrings(o.local), OurRemote: selectorStrings(o.remote)})
	}
	return &f
}

// within reports whether all of got lie in ours, and there are any.
func within(ours, got []policy.Selector) bool {
	for _, g := range got {
		if !slices.ContainsFunc(ours, func(o policy.Selector) bool { return o.Contains(g) }) {
			return false
		}
	}
	return len(got) > 0
}
