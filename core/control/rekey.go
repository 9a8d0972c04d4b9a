package control

import (
	"fmt"

	"github.com/parley-ike/parley/bus/event"
)

// rekeySentence tells how SAs take each other's place, or get too old.
func rekeySentence(e event.Event) string {
	switch e := e.(type) {
	case event.IKERekeyed:
		return fmt.Sprintf("IKE SA rekeyed by %s: this one takes the place of %v, %s", beginner(e.By), e.Prev, orDash(e.IKE.Suite))
	case event.IKERekeyCollision:
		return fmt.Sprintf("both sides rekeyed the IKE SA at once: %v stays, which %s began", e.Kept, beginner(e.By))
	case event.IKEExpired:
		return fmt.Sprintf("IKE SA expired: its lifetime of %s is over", e.Lifetime)
	case event.ChildRekeyed:
		c := e.Child
		return fmt.Sprintf("child %q rekeyed by %s: %s, SPIs %s in, %s out, in place of %v", c.Name, beginner(e.By), c.Suite, c.SPIIn, c.SPIOut, e.Prev)
	case event.ChildExpired:
		return fmt.Sprintf("child %q expired: as many %s as it may last", e.Child.Name, expiry(e.Cause))
	}
	return ""
}

func beginner(by string) string {
	if by == "peer" {
		return "the peer"
	}
	return by
}

func expiry(cause string) string {
	if cause == "time" {
		return "seconds"
	}
	return cause
}

// hasChild reports whether the attempt ever had a child SA: one that took the place of another IKE SA had its children from the
// beginning.
func (a *attempt) hasChild() bool {
	_, made := last[event.ChildEstablished](a)
	_, replaced := last[event.ChildRekeyed](a)
	_, inherited := last[event.IKERekeyed](a)
	_, moved := last[event.IKEReauthenticated](a) // in IKEv1 they move as they are
	return made || replaced || inherited || moved && a.ike.Version == 1
}

// rekeyed says that the IKE SA ended because a new one took its place.
func (t *tale) rekeyed(e event.IKEDeleted) {
	t.verdict("rekeyed", "it was up and was rekeyed: %s", e.Reason)
	t.remedy("", "`parley sa show %s` shows the one that took its place", orDash(t.conn.name))
}
