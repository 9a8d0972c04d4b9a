package config

import "github.com/parley-ike/parley/core/policy"

// password reads where a user's password lies.
func (l *loader) password(s *section) {
	p := Password{User: s.label}
	ok := s.notInline("NAME.pass")
	s.secretFile("file", &p.File)
	s.boolean("own", &p.Own)
	switch {
	case !policy.ValidUser(p.User):
		s.fail(s.at, "%q is no user: write a name of 1 to %d printable characters in place of it", p.User, policy.MaxUser)
	case ok && !s.has("file"):
		s.fail(s.at, "it has no password: add file = \"NAME.pass\"")
	}
	s.finish()
	for _, other := range l.snapshot.Passwords {
		if other.User == p.User && other.Own == p.Own {
			s.fail(s.at, "there is a password of user %q already, %s: leave one out", p.User, other.File)
			return
		}
	}
	s.snapshot.where["credentials.password."+p.User] = s.file.where(s.at)
	l.snapshot.Passwords = append(l.snapshot.Passwords, p)
}
