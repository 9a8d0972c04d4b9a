package ikev1

import (
	"fmt"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/sdk/secret"
)

// This file is extended authentication (draft-beaulieu-ike-xauth-02), which follows a phase 1 by one of its methods: a user proves by a
// password who they are to the other side, the edge device. xauth_server.go is the edge device, xauth_client.go the user's side.
//
//	edge device                                     user
//	REQUEST(USER-NAME, USER-PASSWORD)          -->
//	                                           <--  REPLY(USER-NAME, USER-PASSWORD)
//	SET(STATUS)                                -->
//	                                           <--  ACK(STATUS)
//
// Each pair of messages is a transaction, and all have one identifier (section 6). A wrong answer is followed by another REQUEST, or by the
// end. Of the ways to authenticate there is Generic alone, with a name and a password.

const (
	// maxXAuthTries bounds how often we ask one user: people mistype, and who guesses has to begin anew.
	maxXAuthTries = 3
	// maxXAuthRequests bounds how many REQUESTs we answer. Servers that ask for one thing after another need three or four.
	maxXAuthRequests = 10
	// xauthPause lies between a wrong answer of a user's and ours, counted from when the answer came: it slows guessing, and nobody
	// sees how long the check of a password took.
	xauthPause = 2 * time.Second
	// maxXAuthMessage bounds what a server may have us show, in octets: some lines of a screen.
	maxXAuthMessage = 512
)

// methodXAUTH is what events call it.
const methodXAUTH = "XAUTH"

// xauth is what is known of extended authentication while it goes on.
type xauth struct {
	id       uint16       // of our transactions
	tries    int          // REQUESTs that were sent or answered
	came     time.Time    // the last answer
	resume   time.Time    // when to go on after a wrong one; zero: nothing was wrong
	wrong    *failure     // why the last answer was not good
	password secret.Bytes // that is being checked, or was told
	told     bool         // our password went to the peer
}

func (x *xauth) wipe() {
	x.password.Wipe()
	x.password = nil
}

// extend goes on when phase 1 is over: with extended authentication, where the method asks for it.
func (s *SA) extend() {
	if !s.method.IsXAuth() {
		s.configure()
		return
	}
	s.enter(Authenticating)
	if s.conn.Remote.Extended() {
		s.xauth.id = s.transactionID()
		s.requestUser()
	}
}

// extended ends extended authentication: who the user is, is known.
func (s *SA) extended() {
	s.xauth.wipe()
	s.xauth = xauth{}
	s.configure()
}

// askedXAuth takes a transaction of the peer's that is about extended authentication. Where we are nobody's user a REQUEST is refused
// (draft-beaulieu-ike-xauth-02 section 5), and that a peer calls itself authenticated changes nothing.
func (s *SA) askedXAuth(a *asked) {
	switch isUser := s.conn.Local.Extended(); {
	case a.Kind == wire1.ConfigSet && isUser:
		s.judged(a)
	case a.Kind == wire1.ConfigSet:
		a.reply(nil)
	case isUser:
		s.requested(a)
	default:
		a.reply(append(typeOf(a.Attributes), status(wire1.XAuthFail)))
	}
}

// userFailed ends the SA because the user is not authenticated (draft-beaulieu-ike-xauth-02 section 6: at once).
func (s *SA) userFailed(f failure) {
	s.xauth.wipe()
	if s.state < Established {
		s.fail(f)
		return
	}
	s.end(f.by, f.reason)
}

// tellUserFailed tells that the user of a side was not authenticated.
func (s *SA) tellUserFailed(side, user string, f failure) {
	s.emit(event.AuthFailed{Side: side, Method: methodXAUTH, LocalID: idText(s.localID), RemoteID: idText(s.remoteID), User: user, Cause: f.cause, Reason: f.reason})
}

// userName is the user of one of the sides: ours, which the connection names, or the peer's, who has proved it.
func (s *SA) userName() string {
	if s.named && s.conn.Local.Extended() {
		return s.conn.Local.Users[0]
	}
	return s.user
}

// userTrouble is why extended authentication may have failed when the peer ends it, nil when nothing is known.
func (s *SA) userTrouble() *failure {
	switch {
	case s.xauth.wrong != nil:
		return s.xauth.wrong
	case s.state == Authenticating && s.xauth.told:
		return &failure{cause: event.CauseAuthentication, by: byPeer, reason: s.userRefused()}
	}
	return nil
}

// noUser explains that extended authentication came to no end in time.
func (s *SA) noUser() string {
	if s.conn.Local.Extended() {
		return fmt.Sprintf("the peer %v agreed to extended authentication, and did not ask for our user and password, or did not say what it thinks of them", s.remoteID)
	}
	return fmt.Sprintf("the user of the peer %v was not authenticated in time", s.remoteID)
}

// status returns the attribute XAUTH-STATUS.
func status(value uint16) wire1.Attribute {
	return wire1.Attribute{Type: wire1.XAuthStatus, TV: true, Value: value}
}

// typeOf returns the type of authentication of a REQUEST, which a REPLY repeats if it was there (draft-beaulieu-ike-xauth-02 section
// 6.2).
func typeOf(attrs []wire1.Attribute) []wire1.Attribute {
	if kind, there := wire1.FindNumber(attrs, wire1.XAuthType); there {
		return []wire1.Attribute{{Type: wire1.XAuthType, TV: true, Value: uint16(kind)}}
	}
	return nil
}

// textOf returns an attribute that is a string.
func textOf(attrs []wire1.Attribute, kind uint16) (value []byte, there bool) {
	for _, a := range attrs {
		if a.Type == kind && !a.TV {
			return a.Data, true
		}
	}
	return nil, false
}

// xauthDue is when to go on after a wrong answer.
func (s *SA) xauthDue() time.Time {
	if s.state != Authenticating {
		return never
	}
	return s.xauth.resume
}
