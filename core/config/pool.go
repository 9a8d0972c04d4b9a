package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/parley-ike/parley/core/policy"
)

// maxTold bounds the ranges, DNS servers, subnets and domains, each, of a pool: peers are told all but the first in one message.
const maxTold = 64

// pools reads the address pools.
func (l *loader) pools(all []*section) {
	checkNames(all)
	var taken []claim
	for _, s := range all {
		p := policy.Pool{Name: s.label, Keep: policy.DefaultKeep}
		for _, t := range s.several("addresses") {
			r, err := policy.ParseRange(t.value)
			if err != nil {
				s.fail(t.at, "%s", reason(err))
				continue
			}
			p.Ranges = append(p.Ranges, r)
			taken = append(taken, claim{r, s, t})
		}
		if !s.has("addresses") {
			s.fail(s.at, "it has no addresses: add addresses = [\"10.9.0.0/24\"]")
		}
		s.told(&p)
		s.duration("keep", &p.Keep, 0)
		s.finish()
		l.snapshot.Pools = append(l.snapshot.Pools, p)
	}
	overlaps(taken)
}

// told reads what peers are told with an address.
func (s *section) told(p *policy.Pool) {
	for _, t := range s.several("dns") {
		a, err := netip.ParseAddr(t.value)
		if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() {
			s.fail(t.at, "%q is no address of a DNS server: write one such as \"10.9.0.1\"", t.value)
			continue
		}
		p.DNS = append(p.DNS, a)
	}
	for _, t := range s.several("subnets") {
		n, err := netip.ParsePrefix(t.value)
		switch {
		case err != nil || n.Addr().Is4In6():
			s.fail(t.at, "%q is no subnet: write a prefix such as \"10.0.0.0/8\"", t.value)
		case n.Masked() != n:
			s.fail(t.at, "in %q bits are set behind the prefix length: did you mean %q?", t.value, n.Masked())
		default:
			p.Subnets = append(p.Subnets, n)
		}
	}
	for _, t := range s.several("domains") {
		name := strings.ToLower(strings.TrimSuffix(t.value, "."))
		if !isHost(name) {
			s.fail(t.at, "%q is no domain: write one such as \"corp.example\", in its ASCII form", t.value)
			continue
		}
		p.Domains = append(p.Domains, name)
	}
	if t, ok := s.text("banner"); ok {
		printable := !strings.ContainsFunc(t.value, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f })
		if p.Banner = t.value; t.value == "" || len(t.value) > maxBanner || !printable {
			s.fail(t.at, "this is no banner: write 1 to %d octets of text, or leave it out for none", maxBanner)
		}
	}
	if len(p.Domains) > 0 && len(p.DNS) == 0 { // RFC 8598 section 3.2
		s.fail(s.valueAt("domains"), "domains say what the DNS servers of the pool resolve, and it has none: add dns = [\"10.9.0.1\"]")
	}
}

// maxBanner is what Cisco's clients show of a text for the user, in octets.
const maxBanner = 510

// several returns a list of strings that is neither empty nor too long, none twice.
func (s *section) several(name string) (list []text) {
	all, ok := s.texts(name)
	if ok && (len(all) == 0 || len(all) > maxTold) {
		s.fail(s.valueAt(name), "%s has %d elements: write 1 to %d, or leave it out", name, len(all), maxTold)
		return nil
	}
	for _, t := range all {
		if slices.ContainsFunc(list, func(o text) bool { return o.value == t.value }) {
			s.fail(t.at, "%s has %q twice: leave one out", name, t.value)
			continue
		}
		list = append(list, t)
	}
	return list
}

// claim is a range and where it stands.
type claim struct {
	policy.Range
	s *section
	t text
}

// overlaps reports addresses that stand in two places: two peers would get one address.
func overlaps(all []claim) {
	for i, c := range all {
		for _, before := range all[:i] {
			if c.Overlaps(before.Range) {
				c.s.fail(c.t.at, "%s overlaps with %s in %s (%s): give every address to one pool, once", c.t.value, before.t.value, before.s.title,
					before.s.file.where(before.t.at))
				break
			}
		}
	}
}

// inner reads which inner addresses a connection gives or asks for.
func (s *section) inner(c *policy.Connection, local, remote *section) {
	if local != nil {
		local.virtual(c)
	}
	if remote != nil {
		remote.pool(c)
	}
	if t, ok := s.text("application_version"); ok {
		printable := !strings.ContainsFunc(t.value, func(r rune) bool { return r < ' ' || r > '~' }) // RFC 7296 section 3.15.1
		if c.ApplicationVersion = t.value; t.value == "" || len(t.value) > maxVersion || !printable {
			s.fail(t.at, "%q is no version: write 1 to %d printable ASCII characters, or leave it out to tell none", t.value, maxVersion)
		}
	}
}

// Who begins mode configuration (draft-dukes-ike-mode-cfg-02 section 2).
const (
	pullMode = "pull"
	pushMode = "push"
)

// modeConfig reads how IKEv1 gives addresses, and judges it together with them.
func (s *section) modeConfig(c *policy.Connection) {
	mode := pullMode
	s.choice("mode_config", &mode, pullMode, pushMode)
	c.Push = mode == pushMode
	switch addressed := len(c.Pools)+len(c.Virtual) > 0; {
	case s.has("mode_config") && !c.Speaks(1):
		s.fail(s.valueAt("mode_config"), "mode_config is about IKEv1, and in IKEv2 who wants an address asks for it: write version = 1 or \"any\", or leave it out")
	case s.has("mode_config") && !addressed:
		s.fail(s.valueAt("mode_config"), "mode_config is about inner addresses, and there are none: add virtual = [\"ipv4\"] to local { ... } to get one, or pool = [\"NAME\"] to remote { ... } to give some")
	case c.Version == 1 && len(c.Pools) > 0 && len(c.Virtual) > 0:
		s.fail(s.at, "with IKEv1 one side gives the other addresses: leave virtual out of local { ... }, or pool out of remote { ... }")
	}
}

// maxVersion is what peers are known to show of a version.
const maxVersion = 256

// virtual reads the addresses that we ask a peer for.
func (s *section) virtual(c *policy.Connection) {
	for _, t := range s.several("virtual") {
		a, err := netip.ParseAddr(t.value)
		switch {
		case t.value == "ipv4":
			a = netip.IPv4Unspecified()
		case t.value == "ipv6":
			a = netip.IPv6Unspecified()
		case err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback():
			s.fail(t.at, "%q is nothing to ask for: write \"ipv4\" or \"ipv6\" for any address of the family, or an address that you would like", t.value)
			continue
		}
		c.Virtual = append(c.Virtual, a)
	}
	if len(c.Virtual) > maxVirtual {
		s.fail(s.valueAt("virtual"), "virtual asks for %d addresses: ask for at most %d", len(c.Virtual), maxVirtual)
	}
}

// maxVirtual is what our own pools give to one peer.
const maxVirtual = 8

// pool reads which pools the peer's addresses come from.
func (s *section) pool(c *policy.Connection) {
	var names []string
	for _, p := range s.snapshot.Pools {
		names = append(names, p.Name)
	}
	for _, t := range s.several("pool") {
		if !slices.Contains(names, t.value) {
			remedy := suggest(t.value, names)
			if len(names) == 0 {
				remedy = "add pool \"" + usableName(t.value) + "\" { addresses = [\"10.9.0.0/24\"] }"
			}
			s.fail(t.at, "there is no pool %q: %s", t.value, remedy)
			continue
		}
		c.Pools = append(c.Pools, t.value)
	}
	s.boolean("require_request", &c.RequireRequest)
	if c.RequireRequest && len(c.Pools) == 0 && !s.has("pool") {
		s.fail(s.valueAt("require_request"), "require_request needs a pool to give addresses from: add pool = [\"NAME\"]")
	}
}

// assignedWord stands among selectors for the addresses that are assigned.
const assignedWord = "assigned"

// checkAssigned judges selectors that are to be assigned.
func checkAssigned(s *section, c *policy.Connection, child *policy.Child) {
	switch {
	case child.LocalAssigned && len(c.Virtual) == 0:
		s.fail(s.valueAt("local_ts"), "local_ts has %q, and we ask for no address: add virtual = [\"ipv4\"] to local { ... }", assignedWord)
	case child.RemoteAssigned && len(c.Pools) == 0:
		s.fail(s.valueAt("remote_ts"), "remote_ts has %q, and the peer gets no address: add pool = [\"NAME\"] to remote { ... }", assignedWord)
	case child.Start != policy.StartNone && child.RemoteAssigned && len(child.RemoteTS) == 0:
		s.fail(s.valueAt("start"), "start = \"%v\" needs to know where the peer's traffic is, which it does when the peer has come and got an address: leave start out", child.Start)
	case child.Start == policy.StartTrap && (child.LocalAssigned || child.RemoteAssigned):
		s.fail(s.valueAt("start"), "start = \"trap\" needs selectors that are known before: write them, or start = \"up\"")
	}
}

// possible returns the selectors of a child with all that may be assigned.
func (l *loader) possible(c *policy.Connection, child *policy.Child) (local, remote []policy.Selector) {
	local, remote = child.LocalTS, slices.Clone(child.RemoteTS)
	if all, ok := c.Requesting().Child(child.Name); ok {
		local = all.LocalTS
	}
	for _, p := range l.snapshot.Pools {
		for _, r := range p.Ranges {
			if child.RemoteAssigned && slices.Contains(c.Pools, p.Name) {
				remote = append(remote, policy.SelectorOf(netip.PrefixFrom(r.First, r.First.BitLen())))
			}
		}
	}
	return local, remote
}
