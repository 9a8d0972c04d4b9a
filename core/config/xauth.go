package config

import (
	"fmt"
	"slices"

	"github.com/parley-ike/parley/core/policy"
)

// maxUsers bounds the names of one connection; without a list, all with a password may come.
const maxUsers = 1000

// users reads who a side proves to be in extended authentication: of ours one, of the peer's any of some. Their inner addresses are
// leased to them by that name.
func (s *section) users(e *policy.Endpoint, isLocal bool) {
	all, ok := s.texts("user")
	if ok && (len(all) == 0 || len(all) > maxUsers) {
		s.fail(s.valueAt("user"), "user has %d names: write 1 to %d, or \"%%any\"", len(all), maxUsers)
		return
	}
	for _, t := range all {
		switch {
		case isLocal && (len(all) > 1 || t.value == policy.AnyUser):
			s.fail(t.at, "we can be one user only: write one name, such as \"alice\"")
			return
		case t.value == policy.AnyUser && len(all) > 1:
			s.fail(t.at, "\"%%any\" stands for every user with a password: leave the other names out")
			return
		case !policy.ValidUser(t.value):
			s.fail(t.at, "%q is no user: write a name of 1 to %d printable characters", t.value, policy.MaxUser)
		}
		e.Users = append(e.Users, t.value)
	}
}

// checkXAUTH judges what a connection says of extended and hybrid authentication, which IKEv1 alone has.
func (l *loader) checkXAUTH(c *policy.Connection, local, remote *section) {
	for _, side := range [...]struct {
		*section
		e, other *policy.Endpoint
		isLocal  bool
	}{{local, &c.Local, &c.Remote, true}, {remote, &c.Remote, &c.Local, false}} {
		s, e := side.section, side.e
		switch hybrid := e.Auth == policy.AuthXAUTH; {
		case !e.Extended() && !hybrid:
		case c.Version != 1 && e.Extended():
			s.fail(s.valueAt("user"), "user is about extended authentication (XAUTH), which IKEv2 does not have: write version = 1, or leave it out")
		case c.Version != 1:
			s.fail(s.valueAt("auth"), "IKEv2 has no hybrid authentication: write version = 1, or auth = %q", policy.AuthSignature)
		case !e.Extended():
			s.fail(s.valueAt("auth"), "auth = %q proves nothing but a user: add user = \"NAME\"", policy.AuthXAUTH)
		case hybrid && !side.other.Signs():
			s.fail(s.valueAt("auth"), "auth = %q needs an other side that signs (hybrid authentication): write auth = %q there, or \"psk\" on both sides", policy.AuthXAUTH, policy.AuthSignature)
		case side.other.Extended() && !side.isLocal:
			s.fail(s.valueAt("user"), "both sides have a user, and XAUTH authenticates one: leave it out in local or in remote")
		default:
			l.hasPasswords(s, e, side.isLocal)
		}
	}
}

// hasPasswords reports users of whom there is no password, unless a credential store of others may have it.
func (l *loader) hasPasswords(s *section, e *policy.Endpoint, own bool) {
	if slices.ContainsFunc(l.snapshot.Plugins, func(p Plugin) bool { return slices.Contains(p.Kinds, "cred") }) {
		return
	}
	ours := ""
	if own {
		ours = "  own = true"
	}
	for _, user := range e.Users {
		if slices.ContainsFunc(l.snapshot.Passwords, func(p Password) bool { return p.Own == own && (p.User == user || user == policy.AnyUser) }) {
			continue
		}
		who := fmt.Sprintf("user %q", user)
		if user == policy.AnyUser {
			who, user = "any user", "alice"
		}
		s.fail(s.valueAt("user"), "there is no password of %s: add credentials { password %q { file = %q%s } }", who, user, user+".pass", ours)
	}
}
