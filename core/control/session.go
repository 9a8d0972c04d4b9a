package control

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	controlv1 "github.com/parley-ike/parley/sdk/proto/parley/control/v1"
)

// ordered tells who keeps connections up what an operator wants.
func (s *Server) ordered(conn string, children []string, down bool) {
	if s.c.Ordered != nil {
		s.c.Ordered(conn, children, down)
	}
}

// orderedDown does so for a request that names a connection or a child of all. That of an SA is told by the end of the SA.
func (s *Server) orderedDown(req *controlv1.DownRequest) {
	var children []string
	if req.Child != "" {
		children = []string{req.Child}
	}
	switch {
	case req.Connection != "":
		s.ordered(req.Connection, children, true)
	case req.Child != "":
		for _, name := range names(s.c.Snapshot()) {
			if s.hasChild(name, req.Child) {
				s.ordered(name, children, true)
			}
		}
	}
}

// sessionSentence tells how IKE SAs of a peer relate.
func sessionSentence(e event.Event) string {
	switch e := e.(type) {
	case event.IKEUniqueness:
		return uniquenessSentence(e)
	case event.IKERedirected:
		return redirectSentence(e)
	case event.IKEReauthenticated:
		return fmt.Sprintf("%s is authenticated anew; this IKE SA takes the place of %v", orDash(e.IKE.RemoteID), e.Old)
	}
	return ""
}

func uniquenessSentence(e event.IKEUniqueness) string {
	switch e.Policy {
	case "keep":
		return fmt.Sprintf("refused: IKE SA %v with %s is there already and stays (unique = \"keep\")", e.Stays, orDash(e.IKE.RemoteID))
	case "initial_contact":
		return fmt.Sprintf("%s began anew with IKE SA %v and does not know this one (INITIAL_CONTACT)", orDash(e.IKE.RemoteID), e.Stays)
	}
	return fmt.Sprintf("IKE SA %v with %s takes the place of this one (unique = \"replace\")", e.Stays, orDash(e.IKE.RemoteID))
}

// duplicate says that another IKE SA is in the way.
func (t *tale) duplicate(e event.IKEFailed) {
	t.verdict("duplicate", "%s", e.Reason)
	if other, ok := last[event.IKEUniqueness](t.a); ok {
		t.verdict("duplicate", "there is an IKE SA with %s already, and it stays", orDash(other.IKE.RemoteID))
		t.remedy("", "look at it with `parley sa show %v`; `parley down %s` makes room", other.Stays, orDash(t.conn.name))
	}
	t.remedy(t.setting("unique"), "or set unique = \"replace\", so that a new IKE SA takes the place of the old one")
	t.note("the IKE SA that stays was asked whether its peer lives: if that has lost it, there is room soon")
}

// replaced says that another IKE SA took the place of this one.
func (t *tale) replaced(e event.IKEDeleted) {
	t.verdict("replaced", "it was up and gave way to another: %s", e.Reason)
	if _, unique := last[event.IKEUniqueness](t.a); !unique { // reauthenticated, as it should be
		return
	}
	if other, ok := last[event.IKEUniqueness](t.a); ok {
		t.remedy("", "`parley sa show %v` shows the other one", other.Stays)
	}
	t.remedy(t.setting("unique"), "if the two are not one peer, give each an identity of its own, or set unique = \"never\"")
}

// expired says that the authentication became too old.
func (t *tale) expired(e event.IKEDeleted) {
	t.verdict("expired", "it was up and became too old: %s", e.Reason)
	t.remedy(t.setting("reauth"), "have the peer reauthenticate in time (it is told how long it has by AUTH_LIFETIME, RFC 4478), or set another reauth")
}

// modes says that the two sides want different IPsec modes.
func (t *tale) modes(e event.ChildFailed) {
	t.verdict("mode", "the two sides want different IPsec modes: %s", e.Reason)
	t.remedy(t.setting("child."+e.Name+".mode"), "write the same mode on both sides: transport protects what the two hosts say to each other, tunnel also what networks behind them do")
}

// moved says that the peer was sent to another gateway, or we were.
func (t *tale) moved(e event.IKEDeleted) {
	t.verdict("redirected", "it was up and ended because one gateway stands in for another: %s", e.Reason)
}
