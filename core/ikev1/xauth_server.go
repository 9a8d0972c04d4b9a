package ikev1

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// maxXAuthPassword bounds a password in octets, as the credential stores do.
const maxXAuthPassword = 1024

// requestUser asks the peer who its user is. Every time there is as long to answer: somebody may have to type.
func (s *SA) requestUser() {
	x := &s.xauth
	x.tries++
	s.deadline = s.now.Add(s.conn.HalfOpen)
	attrs := []wire1.Attribute{{Type: wire1.XAuthUserName}, {Type: wire1.XAuthUserPassword}}
	if x.wrong != nil {
		attrs = append(attrs, wire1.Attribute{Type: wire1.XAuthMessage, Data: []byte("This user name or password is wrong.")})
	}
	s.transact(wire1.ConfigRequest, x.id, attrs, s.userAnswered, s.userFailed)
}

// userAnswered takes a REPLY: a name and a password, or that the peer does not take part.
func (s *SA) userAnswered(attrs []wire1.Attribute) {
	x := &s.xauth
	x.came = s.now
	if _, refused := wire1.FindAttribute(attrs, wire1.XAuthStatus); refused {
		s.userRefuses()
		return
	}
	user, f := s.claimedUser(attrs)
	if f != nil {
		s.wrongUser(user, *f)
		return
	}
	password, _ := textOf(attrs, wire1.XAuthUserPassword)
	x.password = password
	ask(s, machine.CheckPassword{User: user, Password: x.password}, 0, func(_ machine.PasswordChecked, err *machine.CallError) {
		x.wipe()
		s.userChecked(user, err)
	})
}

// userRefuses ends the SA, because a peer that answers with a status ends extended authentication (draft-beaulieu-ike-xauth-02 section 5),
// whatever the status is. After a wrong answer that was the reason.
func (s *SA) userRefuses() {
	f := s.xauth.wrong
	if f == nil {
		f = &failure{cause: event.CauseAuthentication, by: byPeer, reason: fmt.Sprintf(
			"the peer %v refuses to say who its user is: it has no user for us, or cannot do what we ask for", s.remoteID)}
		s.tellUserFailed("remote", "", *f)
	}
	s.userFailed(*f)
}

// claimedUser returns the user of a REPLY, or why it cannot be one.
func (s *SA) claimedUser(attrs []wire1.Attribute) (string, *failure) {
	name, named := textOf(attrs, wire1.XAuthUserName)
	password, proves := textOf(attrs, wire1.XAuthUserPassword)
	f := failure{cause: event.CauseAuthentication, by: byUs}
	switch user := string(name); {
	case !named || !proves:
		f.reason = "the peer's answer has no user name or no password"
	case len(password) > maxXAuthPassword:
		f.reason = fmt.Sprintf("the peer's password has %d octets, and %d are the most that is read", len(password), maxXAuthPassword)
	case !policy.ValidUser(user):
		f.reason = fmt.Sprintf("the peer's user name is none: %d octets, of which at most %d printable ones may be", len(name), policy.MaxUser)
	case !s.conn.Remote.AdmitsUser(user):
		f.cause = event.CauseUnknownIdentity
		f.reason = fmt.Sprintf("connection %q does not admit user %q: add the name to user of remote, if it is to", s.conn.Name, user)
		return user, &f
	default:
		return user, nil
	}
	return "", &f
}

// userChecked goes on with what the credential stores say.
func (s *SA) userChecked(user string, err *machine.CallError) {
	switch {
	case err == nil:
		s.userProved(user)
	case err.Kind == machine.Refused:
		s.wrongUser(user, failure{cause: event.CauseAuthentication, by: byUs, reason: fmt.Sprintf("the password of user %q is wrong", user)})
	case err.Kind == machine.NoCredential:
		s.wrongUser(user, failure{cause: event.CauseNoCredential, by: byUs, reason: fmt.Sprintf(
			"there is no password of user %q, who is unknown therefore: %v", user, err)})
	default:
		f := pluginFailure(fmt.Sprintf("the password of user %q could not be checked", user), err)
		s.tellUserFailed("remote", user, f)
		s.refuseUser(f)
	}
}

// wrongUser notes a wrong answer. To go on there is time after a pause.
func (s *SA) wrongUser(user string, f failure) {
	x := &s.xauth
	s.tellUserFailed("remote", user, f)
	x.wrong, x.resume = &f, x.came.Add(xauthPause)
}

// tendXAuth goes on after a wrong answer: with another question, or with the end (draft-beaulieu-ike-xauth-02 section 6).
func (s *SA) tendXAuth() {
	x := &s.xauth
	if !s.due(s.xauthDue()) {
		return
	}
	if x.resume = never; x.tries < maxXAuthTries {
		s.requestUser()
		return
	}
	s.refuseUser(*x.wrong)
}

// refuseUser tells the peer that its user is not authenticated, and ends the SA.
func (s *SA) refuseUser(f failure) {
	end := func() { s.userFailed(f) }
	s.transact(wire1.ConfigSet, s.xauth.id, []wire1.Attribute{status(wire1.XAuthFail)}, func([]wire1.Attribute) { end() }, func(failure) { end() })
}

// userProved finds out whether there is a place for the user, whom many may share an identity of phase 1 with, and tells the peer.
func (s *SA) userProved(user string) {
	s.user = user
	s.emit(event.AuthSucceeded{Method: methodXAUTH, RemoteID: s.remoteID.String(), User: user})
	s.admit(func(r machine.Admitted, err *machine.CallError) {
		if f := s.notAdmitted(r, err); f != nil {
			s.refuseUser(*f)
			return
		}
		s.transact(wire1.ConfigSet, s.xauth.id, []wire1.Attribute{status(wire1.XAuthOK)}, func([]wire1.Attribute) { s.extended() }, s.userFailed)
	})
}
