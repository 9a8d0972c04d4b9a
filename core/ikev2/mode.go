package ikev2

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// This file is about what the notifies of a child SA settle: transport mode (RFC 7296 section 1.3.1) and padding for traffic flow
// confidentiality. IPComp is never accepted: its notify is ignored, and so is NON_FIRST_FRAGMENTS_ALSO.

// traits are what notifies settle about a child.
type traits struct {
	transport bool
	tfc       uint16
	// toLocal and toRemote are the addresses that a peer behind a NAT, or one to whom we are, uses for the two of us in transport
	// mode (RFC 7296 section 2.23.1); zero where they are the ones that we see.
	toLocal, toRemote netip.Addr
}

func (t traits) mode() machine.Mode {
	if t.transport {
		return machine.Transport
	}
	return machine.Tunnel
}

// notifies returns what stands in front of the SA payload.
func (t traits) notifies() []wire2.Payload {
	if !t.transport {
		return nil
	}
	return []wire2.Payload{wire2.Notify{Kind: wire2.UseTransportMode}}
}

// propose describes a child for a request. In transport mode its selectors are those of the two hosts (RFC 7296 section
// 2.23.1).
func (s *SA) propose(conf *policy.Child) (proposed, *failure) {
	o := proposed{conf: conf, local: conf.LocalTS, remote: conf.RemoteTS}
	if f := s.unaddressed(conf); f != nil {
		return o, f
	}
	if conf.Barred != "" {
		return o, &failure{cause: event.CauseUnsupported, by: byUs, reason: fmt.Sprintf("child %q cannot be made here: %s", conf.Name, conf.Barred)}
	}
	if conf.Mode != policy.Transport {
		return o, nil
	}
	o.transport = true
	o.local, o.remote = onlyHost(conf.LocalTS, s.local.Addr()), onlyHost(conf.RemoteTS, s.remote.Addr())
	if o.local == nil || o.remote == nil {
		return o, &failure{cause: event.CauseNoSelectors, by: byUs, reason: fmt.Sprintf(
			"child %q is in transport mode, and its selectors do not hold %v and %v, between which the IKE SA is", conf.Name, s.local.Addr(), s.remote.Addr())}
	}
	return o, nil
}

// onlyHost returns the part of selectors that is of one host, nil for none.
func onlyHost(all []policy.Selector, host netip.Addr) []policy.Selector {
	return policy.Narrow(all, []policy.Selector{policy.SelectorOf(netip.PrefixFrom(host.Unmap().WithZone(""), host.Unmap().BitLen()))})
}

// takeTraits settles an initiator's traits from the response.
func (o proposed) takeTraits(p packet) (traits, *failure) {
	_, transport := wire2.GetNotify(p.Payloads, wire2.UseTransportMode)
	if transport != o.transport { // it declined, or made up, transport mode: neither is acceptable (RFC 7296 section 1.3.1)
		return traits{}, &failure{cause: event.CauseMode, by: byPeer, reason: fmt.Sprintf(
			"child %q is to be in %v mode, and the peer made it in the other one", o.conf.Name, o.conf.Mode)}
	}
	return traits{transport: transport, tfc: padding(o.conf, transport, p)}, nil
}

// padding is the length to pad inner packets to, in tunnel mode and if the peer takes it (RFC 7296 section 1.3.1).
func padding(conf *policy.Child, transport bool, p packet) uint16 {
	if _, refused := wire2.GetNotify(p.Payloads, wire2.ESPTFCPaddingNotSupported); refused || transport {
		return 0
	}
	return conf.TFC
}

// hosts are the ends of a transport mode child as a responder sees them, and whether a NAT hides them from the peer.
type hosts struct {
	asked         bool // for transport mode
	local, remote netip.Addr
	nat           nat
}

func (s *SA) hostsOf(p packet) hosts {
	_, asked := wire2.GetNotify(p.Payloads, wire2.UseTransportMode)
	return hosts{asked, s.local.Addr().Unmap(), s.remote.Addr().Unmap(), s.nat}
}

// rank orders children for an offer: those of its mode come first. A child in tunnel mode may still serve one for transport
// mode, which it declines.
func (h hosts) rank(conf *policy.Child) int {
	if h.asked && conf.Mode != policy.Transport {
		return 2
	}
	return 0
}

// bars reports whether a child is out of the question for an offer.
func (h hosts) bars(conf *policy.Child) bool {
	return conf.Barred != "" || conf.Mode == policy.Transport && !h.asked
}

// narrowHosts narrows the selectors of an offer for a child in transport mode. Behind NATs a peer names the two of us by
// addresses that we do not see; ours take their place (RFC 7296 section 2.23.1).
func (o *offer) narrowHosts(conf *policy.Child) (local, remote []policy.Selector) {
	h := o.hosts
	ours, theirs := o.local, o.remote
	if h.nat.local {
		ours = readdress(ours, h.local)
	}
	if h.nat.remote {
		theirs = readdress(theirs, h.remote)
	}
	return policy.Narrow(onlyHost(conf.LocalTS, h.local), ours), policy.Narrow(onlyHost(conf.RemoteTS, h.remote), theirs)
}

// readdress gives selectors of one host another address.
func readdress(all []policy.Selector, to netip.Addr) []policy.Selector {
	all = slices.Clone(all)
	for i, sel := range all {
		if sel.Start == sel.End && sel.Start.BitLen() == to.BitLen() {
			all[i].Start, all[i].End = to, to
		}
	}
	return all
}

// traitsFor settles a responder's traits.
func (o *offer) traitsFor(conf *policy.Child) traits {
	t := traits{transport: o.hosts.asked && conf.Mode == policy.Transport}
	t.tfc = padding(conf, t.transport, o.packet)
	if t.transport && o.hosts.nat.local && len(o.local) > 0 {
		t.toLocal = o.local[0].Start
	}
	if t.transport && o.hosts.nat.remote && len(o.remote) > 0 {
		t.toRemote = o.remote[0].Start
	}
	return t
}

// shown returns selectors as the peer knows them.
func shown(all []policy.Selector, as netip.Addr) []policy.Selector {
	if !as.IsValid() {
		return all
	}
	return readdress(all, as)
}

// modeMismatch tells that a child is in transport mode only, for which the peer did not ask; nil when that is not the reason.
func (s *SA) modeMismatch(o offer, children []*policy.Child) *failure {
	for _, conf := range children {
		overlaps := policy.Narrow(conf.LocalTS, o.local) != nil && policy.Narrow(conf.RemoteTS, o.remote) != nil
		switch {
		case overlaps && conf.Barred != "":
			return &failure{cause: event.CauseUnsupported, notify: wire2.NoProposalChosen, by: byUs,
				reason: fmt.Sprintf("child %q cannot be made here: %s", conf.Name, conf.Barred)}
		case overlaps && o.hosts.bars(conf):
			return &failure{cause: event.CauseMode, notify: wire2.NoProposalChosen, by: byUs,
				reason: fmt.Sprintf("child %q is in transport mode, and the peer asks for tunnel mode", conf.Name)}
		}
	}
	return nil
}
