package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/hashicorp/hcl/v2"

	"github.com/parley-ike/parley/core/policy"
)

func (l *loader) credentials(s *section) {
	for _, b := range s.named("psk") {
		l.psk(b)
	}
	for _, b := range s.named("password") {
		l.password(b)
	}
	l.keys(s)
	s.finish()
}

// inline are settings with which somebody may try to write a secret down.
var inline = []string{"secret", "key", "psk", "password", "value"}

func (l *loader) psk(s *section) {
	p := PSK{}
	remote, ok := s.identity(text{s.label, s.at})
	if p.RemoteID, p.Remote = remote, remote.String(); ok {
		s.snapshot.where["credentials.psk."+p.Remote] = s.file.where(s.at)
	}
	if t, set := s.text("local"); set {
		local, valid := s.identity(t)
		p.LocalID, p.Local, ok = local, local.String(), ok && valid
	}
	ok = s.notInline("NAME.psk") && ok
	s.secretFile("file", &p.File)
	if ok && !s.has("file") {
		s.fail(s.at, "it has no key: add file = \"NAME.psk\"")
	}
	s.finish()
	l.addPSK(s, p)
}

// notInline reports a secret that somebody has written down, and otherwise true.
func (s *section) notInline(file string) bool {
	ok := true
	for _, name := range inline {
		if attr, there := s.body.Attributes[name]; there {
			s.fail(attr.NameRange, "a secret does not belong into the configuration, which is copied, diffed and shown in errors: write it into a file of its own, chmod 600 it, and name it with file = %q", file)
			delete(s.body.Attributes, name)
			s.attrs["file"], ok = true, false
		}
	}
	return ok
}

func (l *loader) addPSK(s *section, p PSK) {
	for _, other := range l.snapshot.Credentials {
		if other.Remote == p.Remote && other.Local == p.Local {
			s.fail(s.at, "there is a key for this identity already, %s: leave one out, or tell them apart with local = \"IDENTITY\"", other.File)
			return
		}
	}
	l.snapshot.Credentials = append(l.snapshot.Credentials, p)
}

// identity reads an identity.
func (s *section) identity(t text) (policy.Identity, bool) {
	id, err := policy.ParseIdentity(t.value)
	if err != nil {
		s.fail(t.at, "%s", reason(err))
		return id, false
	}
	return id, true
}

// reason returns what an error of the policy says, without the package that says it.
func reason(err error) string {
	var id *policy.IdentityError
	var proposal *policy.ProposalError
	var selector *policy.SelectorError
	var addresses *policy.RangeError
	switch {
	case errors.As(err, &id):
		return fmt.Sprintf("identity %q: %s", id.Identity, id.Reason)
	case errors.As(err, &proposal):
		return fmt.Sprintf("%v proposal %q: %s", proposal.Scope, proposal.Proposal, proposal.Reason)
	case errors.As(err, &addresses):
		return fmt.Sprintf("addresses %q: %s", addresses.Range, addresses.Reason)
	case errors.As(err, &selector):
		return fmt.Sprintf("traffic selector %q: %s", selector.Selector, selector.Reason)
	}
	return err.Error()
}

// secretFile sets dst to the path of a file that only its owner may read. The file is not opened.
func (s *section) secretFile(name string, dst *string) {
	s.filePath(name, dst)
	if *dst == "" || !s.has(name) {
		return
	}
	at := s.valueAt(name)
	info, err := os.Stat(*dst)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.fail(at, "%s does not exist: create it, readable by the daemon only (chmod 600)", *dst)
	case err != nil:
		s.fail(at, "%s cannot be examined (%v): let the daemon reach it", *dst, cause(err))
	case !info.Mode().IsRegular():
		s.fail(at, "%s is no regular file: name the file with the secret", *dst)
	case info.Mode().Perm()&othersMayRead != 0:
		s.fail(at, "%s can be read or written by others (mode %04o): chmod 600 %s", *dst, info.Mode().Perm(), *dst)
	case info.Size() == 0:
		s.fail(at, "%s is empty: write the secret into it", *dst)
	}
}

// othersMayRead are the permissions of group and world, none of which a secret's file may have.
const othersMayRead = 0o077

func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// hasPSK reports whether there is a key for a connection, and reports it when there is none. A connection that is open to
// several identities needs one for any of them.
func (l *loader) hasPSK(s *section, c *policy.Connection, at hcl.Range) {
	for _, p := range l.snapshot.Credentials {
		if overlap(p.RemoteID, c.Remote.Identity) && (p.Local == "" || overlap(p.LocalID, c.Local.Identity)) {
			return
		}
	}
	name := c.Remote.Identity.String()
	s.fail(at, "there is no pre-shared key for the peer %s: add credentials { psk %q { file = %q } }", name, name, s.label+".psk")
}

// overlap reports whether two patterns may stand for one identity.
func overlap(a, b policy.Identity) bool { return a == b || a.Matches(b) || b.Matches(a) }
