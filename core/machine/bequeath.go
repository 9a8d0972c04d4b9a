package machine

import (
	"time"

	"github.com/parley-ike/parley/bus/event"
)

// Bequeath hands children over to another SA between the same peers, in the form of Inherit. IKEv1 has no exchange by which an ISAKMP SA
// grows out of another, and its IPsec SAs outlive theirs. When that SA is not there any more, the driver gives them back to the
// one that had them.
type Bequeath struct {
	To       event.UID
	Children []Bequest
	Wanted   []string // children that were asked for and are not made yet, by name
	Inner    Inner    // the leases of the peer, which the receiver holds from then on; zero: there are none
}

// Inherit gives an SA the children of another, which holds them no more.
type Inherit struct {
	From     event.UID
	Children []Bequest
	Wanted   []string
	Inner    Inner
}

// Bequest is a child on its way from one SA to another. Its keys belong to the receiver.
type Bequest struct {
	Child      ChildSA
	Ours       bool      // we began the exchange that made it
	Since      time.Time // when it was made
	Soft, Hard time.Time // when it is to be replaced, and when it ends; zero: never
	Leave      time.Time // when it is to be deleted, because another took its place; zero: not at all
	Replaced   bool      // another took its place
	Update     bool      // the SA backend may not have the description yet
}

// WipeBequests overwrites the keys of all.
func WipeBequests(all []Bequest) {
	for i := range all {
		all[i].Child.Wipe()
	}
}

func (Bequeath) effect() {}
func (Inherit) input()   {}

// FindHeir asks the driver, who sees all SAs, which other established SA between the same identities, by the same connection and to the
// same address, children may go to: the latest. Answer: Heir.
type FindHeir struct{}

// Heir is the answer to FindHeir, zero for none.
type Heir struct{ UID event.UID }

func (FindHeir) op() {}
func (Heir) result() {}
