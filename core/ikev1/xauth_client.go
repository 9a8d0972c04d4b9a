package ikev1

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// requested takes a REQUEST: who is our user? It may come again while the SA lives (draft-beaulieu-ike-xauth-02 section 6).
func (s *SA) requested(a *asked) {
	x := &s.xauth
	x.tries++
	s.showMessage(a.Attributes)
	if f := s.unanswerable(a.Attributes); f != nil {
		s.refuseRequest(a, *f)
		return
	}
	if !asksPassword(a.Attributes) {
		a.reply(s.answers(a.Attributes))
		return
	}
	ask(s, machine.OwnPassword{User: s.userName()}, 0, func(r machine.OwnPasswordFound, err *machine.CallError) {
		if err != nil {
			f := pluginFailure(fmt.Sprintf("our password as user %q is not to be had", s.userName()), err)
			if err.Kind == machine.NoCredential {
				f.cause = event.CauseNoCredential
			}
			s.refuseRequest(a, f)
			return
		}
		x.password, x.told = r.Password, true
		if s.state == Authenticating {
			s.deadline = s.now.Add(s.conn.HalfOpen)
		}
		a.reply(s.answers(a.Attributes))
		x.wipe()
	})
}

// unanswerable returns why a REQUEST cannot be answered, nil when it can. A password that was told already is not told again: the peer
// did not take it, and counts. The domain is left out, which the peer has to bear (section 6.2: its meaning is the server's).
func (s *SA) unanswerable(attrs []wire1.Attribute) *failure {
	kind, _ := wire1.FindNumber(attrs, wire1.XAuthType)
	_, answer := textOf(attrs, wire1.XAuthAnswer)
	_, pin := textOf(attrs, wire1.XAuthNextPin)
	f := failure{cause: event.CauseUnsupported, by: byUs}
	switch x := &s.xauth; {
	case kind != wire1.XAuthGeneric:
		f.reason = fmt.Sprintf("the peer asks for extended authentication of type %d, and we know the generic one, type %d, alone", kind, wire1.XAuthGeneric)
	case answer || pin:
		f.reason = "the peer asks for more than a user name and a password, and there is nobody to answer"
	case x.tries > maxXAuthRequests:
		f.reason = fmt.Sprintf("the peer asked who we are for the %dth time", x.tries)
	case x.told && asksPassword(attrs):
		f.cause, f.by = event.CauseAuthentication, byPeer
		f.reason = s.userRefused()
	default:
		return nil
	}
	return &f
}

// userRefused explains that the peer did not take our password.
func (s *SA) userRefused() string {
	return fmt.Sprintf("the peer %v does not accept user %q with our password: compare the user's name and the password with those that it has; its log knows which is wrong", s.remoteID, s.userName())
}

// asksPassword reports whether a REQUEST asks for the password, or for a passcode, which some servers call it.
func asksPassword(attrs []wire1.Attribute) bool {
	_, password := textOf(attrs, wire1.XAuthUserPassword)
	_, passcode := textOf(attrs, wire1.XAuthPasscode)
	return password || passcode
}

// answers returns the attributes of a REPLY: what was asked for, in its order.
func (s *SA) answers(attrs []wire1.Attribute) (list []wire1.Attribute) {
	for _, a := range attrs {
		switch a.Type {
		case wire1.XAuthType:
			list = append(list, typeOf(attrs)...)
		case wire1.XAuthUserName:
			list = append(list, wire1.Attribute{Type: a.Type, Data: []byte(s.userName())})
		case wire1.XAuthUserPassword, wire1.XAuthPasscode:
			list = append(list, wire1.Attribute{Type: a.Type, Data: s.xauth.password})
		}
	}
	return list
}

// refuseRequest answers that there is no user, and ends the SA.
func (s *SA) refuseRequest(a *asked, f failure) {
	s.tellUserFailed("local", s.userName(), f)
	a.reply(append(typeOf(a.Attributes), status(wire1.XAuthFail)))
	s.userFailed(f)
}

// judged takes a SET: the peer authenticates our user, or does not.
func (s *SA) judged(a *asked) {
	verdict, there := wire1.FindNumber(a.Attributes, wire1.XAuthStatus)
	if !there {
		a.reply(nil)
		return
	}
	s.showMessage(a.Attributes)
	a.reply([]wire1.Attribute{status(uint16(verdict))})
	switch {
	case verdict != wire1.XAuthOK:
		f := failure{cause: event.CauseAuthentication, by: byPeer, reason: s.userRefused()}
		s.tellUserFailed("local", s.userName(), f)
		s.userFailed(f)
	case s.state == Authenticating:
		s.extended()
	default: // again, in an SA that is established
		s.xauth = xauth{}
	}
}

// showMessage tells what the server has to say to the user (draft-beaulieu-ike-xauth-02 section 6.2: SHOULD be displayed).
func (s *SA) showMessage(attrs []wire1.Attribute) {
	if text, there := textOf(attrs, wire1.XAuthMessage); there && len(text) > 0 {
		s.emit(event.AuthMessageReceived{User: s.userName(), Text: printable(text, maxXAuthMessage)})
	}
}

// printable returns text of a peer's as it can be shown: bounded, and on one line.
func printable(text []byte, most int) string {
	line := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text[:min(len(text), most)]), ""))
	return strings.TrimSpace(line)
}
