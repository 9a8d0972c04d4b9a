package policy

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// AuthXAUTH is the auth of a side that proves nothing before extended authentication, while the other signs: hybrid authentication of
// IKEv1 (draft-ietf-ipsec-isakmp-hybrid-auth-05).
const AuthXAUTH = "xauth"

// AnyUser stands for every user whose password is known.
const AnyUser = "%any"

// MaxUser bounds a user's name in octets: more than anyone types, and it ends in events.
const MaxUser = 256

// Extended reports whether the side has to prove in extended authentication that it is a user (draft-beaulieu-ike-xauth-02).
func (e *Endpoint) Extended() bool { return len(e.Users) > 0 }

// Extended reports whether there is extended authentication of either side.
func (c *Connection) Extended() bool { return c.Local.Extended() || c.Remote.Extended() }

// Hybrid reports whether one side signs, and the other proves nothing but who its user is.
func (c *Connection) Hybrid() bool {
	return c.Local.Auth == AuthXAUTH && c.Remote.Signs() || c.Remote.Auth == AuthXAUTH && c.Local.Signs()
}

// AdmitsUser reports whether the side may be a user.
func (e *Endpoint) AdmitsUser(name string) bool {
	return slices.Contains(e.Users, name) || slices.Contains(e.Users, AnyUser)
}

// ValidUser reports whether a name is one that a user may have: printable, and not longer than MaxUser.
func ValidUser(name string) bool {
	if name == "" || len(name) > MaxUser || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
