package ikev1

import (
	"slices"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// clients returns the traffic that the client identities of a quick mode name, as seen from here: IDci is that of whoever initiates
// (RFC2409-5.5-4). Without identities it is that of the two hosts; one alone makes no sense.
func (s *SA) clients(ids []wire1.ID, ours bool) (local, remote policy.Selector, ok bool) {
	switch len(ids) {
	case 0:
		return policy.HostSelector(s.local.Addr()), policy.HostSelector(s.remote.Addr()), true
	case 2:
	default:
		return local, remote, false
	}
	ci, ok1 := policy.SelectorFromIKEv1(ids[0])
	cr, ok2 := policy.SelectorFromIKEv1(ids[1])
	if ours {
		return ci, cr, ok1 && ok2
	}
	return cr, ci, ok1 && ok2
}

// selectorsOf returns what a child of ours is for: in transport mode its part that is of the two hosts.
func (s *SA) selectorsOf(conf *policy.Child) (local, remote []policy.Selector) {
	if conf.Mode != policy.Transport {
		return conf.LocalTS, conf.RemoteTS
	}
	return policy.Narrow(conf.LocalTS, []policy.Selector{policy.HostSelector(s.local.Addr())}),
		policy.Narrow(conf.RemoteTS, []policy.Selector{policy.HostSelector(s.remote.Addr())})
}

// selects reports whether a child is for all of the traffic that the peer names.
func (s *SA) selects(conf *policy.Child, local, remote policy.Selector) bool {
	locals, remotes := s.selectorsOf(conf)
	contains := func(all []policy.Selector, one policy.Selector) bool {
		return slices.ContainsFunc(all, func(sel policy.Selector) bool { return sel.Contains(one) })
	}
	return conf.Barred == "" && contains(locals, local) && contains(remotes, remote)
}

// seen returns selectors by the addresses that we see. In transport mode through a NAT a peer names the two hosts by those that it
// sees (RFC 3947 section 5.2); ours take their place.
func (s *SA) seen(local, remote policy.Selector) (policy.Selector, policy.Selector) {
	if s.nat.local && local.Start == local.End {
		local.Start = s.local.Addr().Unmap()
		local.End = local.Start
	}
	if s.nat.remote && remote.Start == remote.End {
		remote.Start = s.remote.Addr().Unmap()
		remote.End = remote.Start
	}
	return local, remote
}

func selectorStrings(list []policy.Selector) []string {
	var out []string
	for _, ts := range list {
		out = append(out, ts.String())
	}
	return out
}

func machineSelectorStrings(list []machine.Selector) []string {
	var out []string
	for _, ts := range list {
		out = append(out, policy.Selector(ts).String())
	}
	return out
}
