package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/parley-ike/parley/core/policy"
)

func (l *loader) connections(all []*section) {
	checkNames(all)
	for _, s := range all {
		c := &policy.Connection{Name: s.label}
		l.connection(s, c)
		l.snapshot.Policy.Connections = append(l.snapshot.Policy.Connections, c)
	}
}

// connection reads what is there, applies the defaults, and then what may be zero on purpose.
func (l *loader) connection(s *section, c *policy.Connection) {
	before := len(l.diagnostics)
	s.version(c)
	local, remote := s.only("local"), s.only("remote")
	s.inner(c, local, remote)
	s.modeConfig(c)
	l.endpoint(local, &c.Local)
	l.endpoint(remote, &c.Remote)
	profile := s.profile(policy.ScopeIKE, &c.IKE, "default")
	s.ikev1Profile(c, profile)
	children := s.named("child")
	checkNames(children)
	for _, b := range children {
		child := b.child(profile)
		b.ikev1Child(c, child)
		c.Children = append(c.Children, child)
	}
	s.netns(c, children)
	s.retransmit(&c.Retransmit)
	s.duration("call_budget", &c.CallBudget, 10*time.Millisecond)
	s.boolean("force_encap", &c.ForceEncap)
	c.MOBIKE = true
	s.boolean("mobike", &c.MOBIKE)
	s.session(c)
	integer(s, "max_children", &c.MaxChildren, 1, maxChildren)
	messagesOff := s.messages(&c.Messages)
	c.HalfOpen = l.snapshot.Daemon.HalfOpenTimeout
	if c.Remote.Identity.IsAny() && c.Remote.Host != "" && !remote.has("identity") {
		c.Remote.Identity, _ = remote.identity(text{c.Remote.Host, remote.at})
	}
	c.ApplyDefaults()
	s.duration("liveness", &c.Liveness, 0)
	s.duration("nat_keepalive", &c.NATKeepalive, 0)
	messagesOff()
	s.lifetime(&c.Lifetime, false)
	for i, b := range children {
		b.replayWindow(&c.Children[i].ReplayWindow)
		b.lifetime(&c.Children[i].Lifetime, true)
		b.finish()
	}
	s.finish()
	if len(l.diagnostics) == before { // what follows would only repeat it
		l.check(s, c, local, remote, children)
	}
}

// endpoint reads local or remote.
func (l *loader) endpoint(s *section, e *policy.Endpoint) {
	if s == nil {
		return
	}
	isLocal := strings.HasSuffix(s.key, ".local")
	all, ok := s.texts("address")
	for _, t := range all {
		s.address(t, e, isLocal, len(all) > 1)
	}
	if ok && len(all) == 0 {
		s.fail(s.valueAt("address"), "address is empty: write one, or leave it out for any")
	}
	if t, ok := s.text("identity"); ok {
		e.Identity, _ = s.identity(t)
		if isLocal && (e.Identity.IsAny() || strings.HasPrefix(e.Identity.Data, "*")) {
			s.fail(t.at, "our own identity cannot be a pattern: write the one to send")
		}
	}
	if t, ok := s.text("auth"); ok {
		if e.Auth = t.value; !l.knownAuth(t.value) {
			s.fail(t.at, "unknown auth %q: %s", t.value, suggest(t.value, auths))
		}
	}
	s.users(e, isLocal)
	if isLocal {
		e.Additional = s.addresses("additional")
		s.sendCertificate(e)
	}
	s.finish()
}

// addresses reads a list of addresses.
func (s *section) addresses(name string) (all []netip.Addr) {
	for _, t := range must(s.texts(name)) {
		a, err := netip.ParseAddr(t.value)
		if err != nil || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
			s.fail(t.at, "%q is no address of a machine: write one such as \"192.0.2.1\" or \"2001:db8::1\"", t.value)
			continue
		}
		all = append(all, a.Unmap())
	}
	return all
}

// auths are the authenticators of the standard set.
var auths = []string{policy.DefaultAuth, policy.AuthSignature, policy.AuthRSAEncryption, policy.AuthRevisedRSAEncryption, policy.AuthXAUTH}

// knownAuth reports whether somebody may implement an authenticator: what plugins of others are called is theirs to say.
func (l *loader) knownAuth(name string) bool {
	other := slices.ContainsFunc(l.snapshot.Plugins, func(p Plugin) bool { return slices.Contains(p.Kinds, "auth") })
	return slices.Contains(auths, name) || other && name != "" && name == usableName(name)
}

// anyAddress leaves an address open.
const anyAddress = "%any"

// address reads one address, prefix or name of an endpoint.
func (s *section) address(t text, e *policy.Endpoint, isLocal, several bool) {
	if t.value == anyAddress && !several {
		return
	}
	if a, err := netip.ParseAddr(t.value); err == nil {
		s.addAddress(t, a.Unmap(), e, several)
		return
	}
	p, err := netip.ParsePrefix(t.value)
	switch {
	case isLocal:
		s.fail(t.at, "%q is no address of ours: write one such as \"192.0.2.1\", or leave it out for any", t.value)
	case err == nil && p.Masked() != p:
		s.fail(t.at, "in %q bits are set behind the prefix length: did you mean %q?", t.value, p.Masked())
	case err == nil:
		e.Prefixes = append(e.Prefixes, p)
	case several || !isHost(t.value):
		s.fail(t.at, "%q is no address: write one such as \"192.0.2.2\", a prefix such as \"192.0.2.0/24\", a DNS name (alone), or \"%%any\"", t.value)
	default:
		e.Host = t.value
	}
}

func (s *section) addAddress(t text, a netip.Addr, e *policy.Endpoint, several bool) {
	switch {
	case a.IsUnspecified() || a.IsMulticast():
		s.fail(t.at, "%v is not the address of one host: write such a one, or \"%%any\"", a)
	case several:
		e.Prefixes = append(e.Prefixes, netip.PrefixFrom(a.WithZone(""), a.BitLen()))
	default:
		e.Addr = a
	}
}

// isHost reports whether a name can be looked up: what the policy takes for an FQDN, and no slip in an address.
func isHost(name string) bool {
	id, err := policy.ParseIdentity("fqdn:" + name)
	digits := strings.Trim(name, "0123456789.") == ""
	return err == nil && !digits && !strings.HasPrefix(id.Data, "*")
}

// profile reads proposals or profile, sets dst, and returns the profile in force for what is inside.
func (s *section) profile(scope policy.Scope, dst *[]policy.Proposal, outer string) string {
	profile := outer
	s.choice("profile", &profile, "default", "compatible")
	if s.has("proposals") && s.has("profile") {
		s.fail(s.valueAt("profile"), "proposals and profile are both there: leave one out")
	}
	all, ok := s.texts("proposals")
	if ok && len(all) == 0 {
		s.fail(s.valueAt("proposals"), "proposals is empty: name one or leave it out for the default")
	}
	if len(all) > maxProposals {
		s.fail(s.valueAt("proposals"), "there are %d proposals: use at most %d, a proposal may list several algorithms of a kind", len(all), maxProposals)
		return profile
	}
	for _, t := range all {
		p, err := policy.ParseProposal(scope, t.value)
		if err != nil {
			s.fail(t.at, "%s", reason(err))
			continue
		}
		*dst = append(*dst, p)
	}
	if !s.has("proposals") && profile == "compatible" {
		*dst = compatible(scope)
		if s.has("profile") {
			s.warn(s.valueAt("profile"), "profile \"compatible\" accepts SHA-1 and the 1024-bit MODP group, which are weak: use it for peers that know no better")
		}
	}
	return profile
}

// maxChildren is the most child SAs of one IKE SA that can be allowed: with a kilobyte or two each, some megabytes for a peer.
const maxChildren = 4096

// maxProposals keeps the first message far from fragmentation, whatever the proposals hold.
const maxProposals = 16

func compatible(scope policy.Scope) []policy.Proposal {
	if scope == policy.ScopeIKE {
		return policy.CompatibleIKE()
	}
	return policy.CompatibleESP()
}

func (s *section) retransmit(r *policy.Retransmit) {
	b := s.only("retransmit")
	if b == nil {
		return
	}
	b.duration("initial", &r.Initial, 50*time.Millisecond)
	b.duration("max", &r.Max, 50*time.Millisecond)
	if f, ok := b.number("factor", 1, 10); ok {
		r.Factor, _ = f.Float64()
	}
	integer(b, "tries", &r.Tries, 1, 100)
	b.finish()
}

func (s *section) child(profile string) *policy.Child {
	c := &policy.Child{Name: s.label}
	c.LocalTS, c.LocalAssigned = s.selectors("local_ts")
	c.RemoteTS, c.RemoteAssigned = s.selectors("remote_ts")
	s.profile(policy.ScopeESP, &c.ESP, profile)
	start := "none"
	s.modes(c)
	s.choice("start", &start, "none", "up", "trap")
	c.Start = map[string]policy.Start{"none": policy.StartNone, "up": policy.StartUp, "trap": policy.StartTrap}[start]
	s.onDead(c)
	if t, ok := s.text("backend"); ok {
		if c.Backend = t.value; t.value == "" || t.value != usableName(t.value) {
			s.fail(t.at, "%q is no backend: write a name such as \"xfrm\" or \"userspace\", or leave it out for the best there is", t.value)
		}
	}
	s.handling(c)
	return c
}

// Bounds of the replay window in packets; RFC 4303 section 3.4.3 asks for 32 at least.
const (
	minReplayWindow = 32
	maxReplayWindow = 1 << 15
)

func (s *section) replayWindow(dst *uint32) {
	integer(s, "replay_window", dst, 0, maxReplayWindow)
	if *dst != 0 && *dst < minReplayWindow {
		s.fail(s.valueAt("replay_window"), "a replay window of %d packets is too small: write %d to %d, or 0 for none", *dst, minReplayWindow, maxReplayWindow)
	}
}

// maxSelectors is what a TS payload can count (RFC 7296 section 3.13).
const maxSelectors = 255

// selectors reads traffic selectors; the word "assigned" among them stands for addresses to come.
func (s *section) selectors(name string) (sels []policy.Selector, assigned bool) {
	all, ok := s.texts(name)
	if ok && (len(all) == 0 || len(all) > maxSelectors) {
		s.fail(s.valueAt(name), "%s has %d selectors: write 1 to %d, or leave it out for the host itself", name, len(all), maxSelectors)
		return nil, false
	}
	for _, t := range all {
		sel, err := policy.ParseSelector(t.value)
		switch {
		case t.value == assignedWord:
			assigned = true
		case err != nil:
			s.fail(t.at, "%s", reason(err))
		case slices.Contains(sels, sel):
			s.fail(t.at, "%s has %v twice: leave one out", name, sel)
		default:
			sels = append(sels, sel)
		}
	}
	return sels, assigned
}

// check judges a connection as a whole, with its defaults.
func (l *loader) check(s *section, c *policy.Connection, local, remote *section, children []*section) {
	if remote == nil {
		s.fail(s.at, "it does not say who the peer is: add remote { address = \"192.0.2.2\" }, or remote { identity = \"NAME\" }")
		return
	}
	if c.Local.Identity.IsAny() {
		orSelf(local, s).fail(orSelf(local, s).at, "we have no identity to send: add identity = \"NAME\", or address, which is then the identity (in local { ... })")
	}
	if l, r := c.Local.Addr, c.Remote.Addr; l.IsValid() && r.IsValid() && l.Is4() != r.Is4() {
		remote.fail(remote.valueAt("address"), "%v and our %v are of different address families: use two of one", r, l)
	}
	if c.Retransmit.Max < c.Retransmit.Initial {
		b := s.only("retransmit")
		b.fail(b.at, "max (%v) is less than initial (%v): exchange them", c.Retransmit.Max, c.Retransmit.Initial)
	}
	if c.Local.Auth == policy.DefaultAuth || c.Remote.Auth == policy.DefaultAuth {
		l.hasPSK(s, c, remote.valueAt("identity"))
	}
	l.hasKeys(c, orSelf(local, s), remote)
	l.checkVersion(s, c, remote, children)
	for i, b := range children {
		l.checkChild(b, c, c.Children[i])
	}
}

func orSelf(sub, s *section) *section {
	if sub != nil {
		return sub
	}
	return s
}

func (l *loader) checkChild(s *section, c *policy.Connection, child *policy.Child) {
	known := c.Remote.Addr.IsValid() || c.Remote.Host != ""
	switch {
	case len(child.LocalTS) == 0 && !child.LocalAssigned:
		s.fail(s.at, "it does not say which traffic of ours it protects: add local_ts = [\"10.1.0.0/16\"], or an address in local, which is then all")
	case len(child.RemoteTS) == 0 && !child.RemoteAssigned:
		s.fail(s.at, "it does not say which traffic of the peer it protects: add remote_ts = [\"10.2.0.0/16\"], or an address in remote, which is then all")
	default:
		local, remote := l.possible(c, child)
		checkFamilies(s, "local_ts", child.LocalTS, "remote_ts", remote)
		checkFamilies(s, "remote_ts", child.RemoteTS, "local_ts", local)
		checkAssigned(s, c, child)
	}
	if child.Start != policy.StartNone && !known {
		s.fail(s.valueAt("start"), "start = \"%v\" needs a peer to call: write its address or DNS name into remote, or leave start out", child.Start)
	}
	checkDead(s, child, known || child.Start != policy.StartNone)
}

// checkFamilies reports a selector to which there is none of its family at the other side: no packet can match it.
func checkFamilies(s *section, name string, all []policy.Selector, otherName string, others []policy.Selector) {
	for _, sel := range all {
		is4 := sel.Start.Is4()
		if slices.ContainsFunc(others, func(o policy.Selector) bool { return o.Start.Is4() == is4 }) {
			continue
		}
		family := "IPv6"
		if is4 {
			family = "IPv4"
		}
		s.fail(s.tsRange(name, otherName), "%s has %v and %s has no %s: no packet can be both, add one to %s", name, sel, otherName, family, otherName)
		return
	}
}

func (s *section) tsRange(name, otherName string) hcl.Range {
	if s.has(name) {
		return s.valueAt(name)
	}
	return s.valueAt(otherName)
}
