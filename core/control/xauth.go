package control

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
)

// This file explains extended authentication of IKEv1: whose password was wrong, or who is unknown. Passwords themselves are in no event.

// methodXAUTH is what package ikev1 calls it.
const methodXAUTH = "XAUTH"

func userSentence(e event.AuthFailed) string {
	if e.Side == "local" {
		return fmt.Sprintf("we are not authenticated as user %s: %s", orDash(e.User), e.Reason)
	}
	return fmt.Sprintf("the peer's user %s is not authenticated: %s", orDash(e.User), e.Reason)
}

// userFailed explains an attempt that failed because a user was not authenticated, and reports whether that was it.
func (t *tale) userFailed() bool {
	e, ok := last[event.AuthFailed](t.a)
	if !ok || e.Method != methodXAUTH {
		return false
	}
	user := orDash(e.User)
	switch {
	case e.Side == "local" && e.Cause == event.CauseNoCredential:
		t.verdict("no_password", "we have no password to prove that we are user %s", user)
		t.remedy("credentials", "add credentials { password %q { file = %q  own = true } }", user, user+".pass")
	case e.Side == "local" && e.Cause == event.CauseAuthentication:
		t.verdict("user_refused", "the peer does not accept user %s with our password", user)
		t.remedy("credentials.password."+e.User, "write the password that the peer has for user %s into our file", user)
		t.remedy(t.setting("local.user"), "set user to the name by which the peer knows us")
	case e.Side == "local":
		t.verdict("xauth_unsupported", "the peer asks for what we cannot answer in extended authentication")
		t.note("%s", e.Reason)
	case e.Cause == event.CauseNoCredential:
		t.verdict("unknown_user", "user %s is unknown: there is no password for that name", user)
		t.remedy("credentials", "add credentials { password %q { file = %q } }, or have the peer use another name", user, user+".pass")
	case e.Cause == event.CauseUnknownIdentity:
		t.verdict("user_not_admitted", "the connection does not admit user %s", user)
		t.remedy(t.setting("remote.user"), "add %q to user of remote, or \"%%any\"", user)
	case e.Cause == event.CauseAuthentication && e.User != "":
		t.verdict("wrong_password", "the password of user %s is wrong", user)
		t.remedy("credentials.password."+e.User, "have the peer send the password that is in our file for user %s, or write the peer's into it", user)
	case e.Cause == event.CauseAuthentication:
		t.verdict("no_user", "the peer does not say who its user is, and the connection asks for one")
		t.remedy(t.setting("remote.user"), "set a user and a password at the peer, or leave user out here")
	default:
		return false
	}
	t.note("extended authentication (XAUTH) follows phase 1, which was fine")
	return true
}
