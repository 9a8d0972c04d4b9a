package ikev2

import (
	"fmt"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// offer is what a peer proposes for a child SA.
type offer struct {
	sa            wire2.SA
	local, remote []policy.Selector // for our side (TSr), and for its own (TSi)
	method        uint16            // of the KE payload, 0 without one
	packet        packet
	hosts         hosts
	exchangesKeys bool // whether a key exchange may be agreed on: not in IKE_AUTH (RFC 7296 section 1.2)
}

// childOffer reads the child part of a request.
func (s *SA) childOffer(p packet) offer {
	sa, _ := wire2.Get[wire2.SA](p.Payloads)
	tsi, _ := wire2.Get[wire2.TSi](p.Payloads)
	tsr, _ := wire2.Get[wire2.TSr](p.Payloads)
	ke, _ := wire2.Get[wire2.KE](p.Payloads)
	return offer{sa: sa, local: policy.SelectorsFromWire(tsr.Selectors), remote: policy.SelectorsFromWire(tsi.Selectors),
		method: ke.Method, packet: p, hosts: s.hostsOf(p), exchangesKeys: p.Header.Exchange == wire2.CreateChildSA}
}

// configured returns our proposals that an offer is held against.
func (o *offer) configured(conf *policy.Child) []policy.Proposal {
	if o.exchangesKeys {
		return conf.ESP
	}
	return policy.WithoutKE(conf.ESP)
}

// pick chooses child, suite and selectors from a peer's offer: the first of the children whose selectors overlap and whose
// proposals fit (RFC 7296 sections 2.7 and 2.9), nil for none. Children that take the peer's first selectors, which may be of
// the very packet that it wants to send, come before the others.
func (o *offer) pick(children []*policy.Child) *agreement {
	for _, conf := range o.byFirstSelectors(children) {
		local, remote := o.narrow(conf)
		if local == nil || remote == nil {
			continue
		}
		if choice, ok := policy.Pick(policy.ScopeESP, o.configured(conf), o.sa, o.method); ok && validSPI(choice.PeerSPI) {
			return &agreement{conf: conf, choice: choice, local: local, remote: remote, traits: o.traitsFor(conf)}
		}
	}
	return nil
}

// byFirstSelectors returns our children, those first that select all of the peer's first selectors: what we answer must
// include these when policy allows (RFC 7296 section 2.9).
func (o *offer) byFirstSelectors(children []*policy.Child) []*policy.Child {
	if len(o.local) == 0 || len(o.remote) == 0 {
		return nil
	}
	takes := func(c *policy.Child) int {
		if within(c.LocalTS, o.local[:1]) && within(c.RemoteTS, o.remote[:1]) {
			return o.hosts.rank(c)
		}
		return o.hosts.rank(c) + 1
	}
	return slices.SortedStableFunc(slices.Values(children), func(a, b *policy.Child) int { return takes(a) - takes(b) })
}

// narrow returns what we accept of the offered selectors, nil for nothing.
func (o *offer) narrow(conf *policy.Child) (local, remote []policy.Selector) {
	switch {
	case o.hosts.bars(conf):
		return nil, nil
	case conf.Mode == policy.Transport:
		return o.narrowHosts(conf)
	}
	return policy.Narrow(conf.LocalTS, o.local), policy.Narrow(conf.RemoteTS, o.remote)
}

// unpicked tells why pick found nothing: the first mismatch of proposals among the children whose selectors overlap, else
// that none overlaps.
func (s *SA) unpicked(o offer, children []*policy.Child) *failure {
	for _, conf := range o.byFirstSelectors(children) {
		if local, remote := o.narrow(conf); local != nil && remote != nil {
			return s.childMismatch(o, conf)
		}
	}
	if f := s.modeMismatch(o, children); f != nil {
		return f
	}
	return s.selectorMismatch(o, children)
}

// childMismatch tells that the proposals for a child have nothing in common.
func (s *SA) childMismatch(o offer, conf *policy.Child) *failure {
	f := &failure{cause: event.CauseNoProposal, notify: wire2.NoProposalChosen, by: byUs}
	_, why := policy.Choose(policy.ScopeESP, o.configured(conf), o.sa, o.method)
	if why == nil {
		f.reason = fmt.Sprintf("the peer offers child %q with a reserved SPI", conf.Name)
		return f
	}
	f.reason = fmt.Sprintf("the peer's ESP proposals and those of child %q have nothing in common", conf.Name) + closest(why)
	s.emit(mismatchEvent(scopeChild, why, o.sa, conf.ESP))
	return f
}

// selectorMismatch tells that no child of ours overlaps with the offered selectors.
func (s *SA) selectorMismatch(o offer, children []*policy.Child) *failure {
	e := event.ChildTSMismatch{OfferedLocal: selectorStrings(o.local), OfferedRemote: selectorStrings(o.remote)}
	if len(children) > 0 {
		conf := children[0]
		e.Name, e.OurLocal, e.OurRemote = conf.Name, selectorStrings(conf.LocalTS), selectorStrings(conf.RemoteTS)
	}
	s.emit(e)
	return &failure{cause: event.CauseNoSelectors, notify: wire2.TSUnacceptable, by: byUs,
		reason: fmt.Sprintf("the peer's traffic selectors overlap with no child of connection %q", s.conn.Name)}
}

// answer returns the payloads that answer an offer; ours are those of the exchange in front of the selectors (RFC 7296 sections
// 1.2 and 1.3.1).
func (a *agreement) answer(ours ...wire2.Payload) []wire2.Payload {
	chosen := a.choice.Answer
	chosen.SPI = spiBytes(a.spi)
	ps := append(a.notifies(), wire2.SA{Proposals: []wire2.Proposal{chosen}})
	ps = append(ps, ours...)
	return append(ps, wire2.TSi{Selectors: policy.SelectorsToWire(shown(a.remote, a.toRemote))},
		wire2.TSr{Selectors: policy.SelectorsToWire(shown(a.local, a.toLocal))})
}
