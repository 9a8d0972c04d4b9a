package control

import (
	"regexp"

	"github.com/parley-ike/parley/bus/event"
)

// This file is what IKEv1 makes different. Its main mode has no word for a wrong pre-shared key: keys follow from it, so that the two
// sides cannot read each other (RFC 2409 section 5.4), and who cannot read falls silent.

func (t *tale) ikev1() bool { return t.a != nil && t.a.ike.Version == 1 }

// ofIKEv2 are references that say nothing about IKEv1.
var ofIKEv2 = regexp.MustCompile(` \(RFC (7296|4555) section [0-9.]+\)`)

// unreadable: the peer cannot read us, or we cannot read it, before it could say who it is.
func (t *tale) unreadable() {
	t.verdict("wrong_key", "the peer's messages cannot be read: its %s and ours differ", t.keyWord())
	t.sameKey()
	t.note("in IKEv1 the keys of the IKE SA follow from the pre-shared key, so that another one shows in this way (RFC 2409 section 5.4)")
}

func (t *tale) keyWord() string {
	if t.psk() {
		return "pre-shared key"
	}
	return "keys"
}

// silentInPhase1: the peer answered, and then no more. It goes to UDP 4500 for its proof when a NAT is on the way.
func (t *tale) silentInPhase1(gone event.RetransmitTimedOut, sent string) {
	remote := gone.Remote.Addr()
	t.verdict("silent_after_answer", "%v answered at first and then fell silent: we sent %s; the pre-shared keys may differ, or it does not know our identity", remote, sent)
	t.sameKey()
	t.remedy(t.setting("local.identity"), "or have the peer expect us as %s, or change our local identity", orDash(t.a.ike.LocalID))
	if gone.Remote.Port() == portNAT {
		t.remedy("", "or let UDP 4500 pass both ways between %v and %v", t.a.ike.Local.Addr(), remote)
	}
	t.note("a peer of IKEv1 that cannot read our proof need not answer; its log knows why (RFC 2409 section 5.4)")
}

// typicalPhase1 goes with a refusal that does not say what the peer wants.
const typicalPhase1 = `typical lists: "aes256-sha256-modp2048" (most firewalls and clouds), "aes256-sha1-modp1024" (older routers as they come; weak)`
