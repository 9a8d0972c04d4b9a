package config

import (
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/parley-ike/parley/core/policy"
)

// version reads by which major version of IKE a connection comes up, and what only IKEv1 has.
func (s *section) version(c *policy.Connection) {
	if attr, value, ok := s.attr("version"); ok {
		switch {
		case value.Type() == cty.Number && value.Equals(cty.NumberIntVal(1)).True():
			c.Version = 1
		case value.Type() == cty.Number && value.Equals(cty.NumberIntVal(2)).True():
			c.Version = 2
		case value.Type() == cty.String && value.AsString() == "any":
			c.Version = policy.AnyVersion
		default:
			s.fail(attr.Expr.Range(), "there is no such version: write 1, 2 or \"any\", which initiates IKEv2 and answers both")
		}
	}
	mode := mainMode
	s.choice("mode", &mode, mainMode, aggressiveMode)
	c.Aggressive = mode == aggressiveMode
	s.boolean("allow_aggressive_psk", &c.AllowAggressivePSK)
	s.rsaDeviation(c)
}

// ikev1Profile chooses what IKEv1 proposes where the configuration leaves it to us.
func (s *section) ikev1Profile(c *policy.Connection, profile string) {
	switch {
	case c.Version != 1 || s.has("proposals"):
	case profile == "compatible":
		c.IKE = policy.CompatibleIKEv1()
	default:
		c.IKE = policy.DefaultIKEv1()
	}
}

// ikev1Child chooses what quick mode proposes where the configuration leaves it to us: no perfect forward secrecy, because IKEv1 cannot
// negotiate it and peers that have it off refuse it. A peer that asks for it gets it.
func (s *section) ikev1Child(c *policy.Connection, child *policy.Child) {
	if c.Version != 1 || s.has("proposals") {
		return
	}
	if len(child.ESP) == 0 {
		child.ESP = policy.DefaultESP()
	}
	child.ESP = policy.NoKEFirst(child.ESP)
}

// Exchanges of phase 1 (RFC 2409 section 5).
const (
	mainMode       = "main"
	aggressiveMode = "aggressive"
)

// ikev2Settings are those of a connection that IKEv1 has nothing for.
var ikev2Settings = []string{"mobike", "childless", "follow_redirects", "redirect_grace", "window"}

// checkVersion judges what a connection says against what its version can do.
func (l *loader) checkVersion(s *section, c *policy.Connection, remote *section, children []*section) {
	s.checkModes(c)
	l.checkRSAEncryption(s, c, s.only("local"), remote)
	l.checkXAUTH(c, orSelf(s.only("local"), s), remote)
	if c.Version != 1 {
		return
	}
	s.warn(s.valueAt("version"), "version = 1 is IKEv1, which RFC 9395 retired: use it for peers that know no better")
	for _, name := range ikev2Settings {
		if s.has(name) && !(name == "mobike" && !c.MOBIKE) {
			s.fail(s.valueAt(name), "IKEv1 has no %s: leave it out, or write version = 2", name)
		}
	}
	c.MOBIKE = false
	if b := s.only("redirect"); b != nil {
		b.fail(b.at, "IKEv1 cannot redirect a peer: leave it out, or write version = 2")
	}
	if c.Local.Auth != c.Remote.Auth && c.Local.Auth != policy.AuthXAUTH && c.Remote.Auth != policy.AuthXAUTH {
		at := orSelf(remote, s)
		at.fail(at.valueAt("auth"), "IKEv1 authenticates both sides in one way, and these are %q and %q: make auth of local and remote equal", c.Local.Auth, c.Remote.Auth)
	}
	s.checkIKEv1Proposals(policy.ScopeIKE, c.IKE)
	for i, b := range children {
		b.checkIKEv1Child(c.Children[i])
	}
}

// checkModes judges the settings of phase 1.
func (s *section) checkModes(c *policy.Connection) {
	psk := c.Local.Auth == policy.DefaultAuth
	switch {
	case s.has("mode") && c.Initiates() != 1:
		s.fail(s.valueAt("mode"), "mode is about how we begin IKEv1, and the connection begins IKEv2: write version = 1, or leave mode out")
	case c.Aggressive && psk:
		s.warn(s.valueAt("mode"), "mode = \"aggressive\" with a pre-shared key lets who hears or answers us guess the key offline: use main mode, or a long random key")
	}
	switch {
	case c.AllowAggressivePSK && !c.Speaks(1):
		s.fail(s.valueAt("allow_aggressive_psk"), "allow_aggressive_psk is about IKEv1: write version = 1 or \"any\", or leave it out")
	case c.AllowAggressivePSK && psk:
		s.warn(s.valueAt("allow_aggressive_psk"), "allow_aggressive_psk hands a hash of the pre-shared key to everybody who asks, who can then guess the key offline: use a long random key")
	}
}

// checkIKEv1Child refuses what quick mode has no words for: more than one pair of selectors, ranges of ports (RFC 2407 section
// 4.6.2), extended sequence numbers and TFC padding.
func (s *section) checkIKEv1Child(c *policy.Child) {
	s.checkIKEv1Selectors("local_ts", c.LocalTS)
	s.checkIKEv1Selectors("remote_ts", c.RemoteTS)
	s.checkIKEv1Proposals(policy.ScopeESP, c.ESP)
	if slices.ContainsFunc(c.ESP, policy.Proposal.MayESN) {
		s.fail(s.valueAt("esn"), "IKEv1 has no extended sequence numbers here: leave esn out")
	}
	if c.TFC != 0 {
		s.fail(s.valueAt("tfc"), "a peer of IKEv1 cannot say that it takes TFC padding: leave tfc out")
	}
}

// checkIKEv1Proposals refuses algorithms that IKEv1 has no numbers for. Of those that are not configured they are left out.
func (s *section) checkIKEv1Proposals(scope policy.Scope, all []policy.Proposal) {
	if !s.has("proposals") {
		return
	}
	for _, p := range all {
		for _, t := range p.BeyondIKEv1(scope) {
			s.fail(s.valueAt("proposals"), "IKEv1 has no %v for this: leave it out of %q, or write version = 2", t, p)
			return
		}
	}
}

func (s *section) checkIKEv1Selectors(name string, all []policy.Selector) {
	if len(all) > 1 {
		s.fail(s.valueAt(name), "%s has %d selectors, and a child of IKEv1 has one on each side: make a child for each pair", name, len(all))
	}
	if slices.ContainsFunc(all, hasPortRange) {
		s.fail(s.valueAt(name), "%s has a range of ports, and IKEv1 knows one port or all: make a child for each port, or leave the ports out", name)
	}
}

func hasPortRange(sel policy.Selector) bool {
	return sel.StartPort != sel.EndPort && (sel.StartPort != 0 || sel.EndPort != 1<<16-1)
}
