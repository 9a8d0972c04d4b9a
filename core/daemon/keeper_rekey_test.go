package daemon

import (
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
)

// What is rekeyed is not missing, neither the child nor the IKE SA, in whatever order the events of two SAs come.
func TestWhatIsRekeyedIsNotMissed(t *testing.T) {
	t.Parallel()
	child := func(n byte) event.ChildSA { return event.ChildSA{UID: event.UID{n, 1}, Name: "lan"} }
	a := keeping(t, lan(), func(a *attempts) {
		a.comesUp(1, "lan")
		a.tell(1, event.ChildRekeyed{Child: child(7), Prev: event.UID{1, 1}}, event.ChildDeleted{Child: child(1), By: "rekey"})
		a.tell(1, event.IKEDeleted{By: "rekey"})
		a.tell(2, event.IKERekeyed{Prev: event.UID{1}})
		wait(time.Hour)
		a.tell(2, event.ChildDeleted{Child: child(7), By: "peer"})
		wait(time.Second)
	})
	a.want(t, 0, time.Hour+time.Second)
}
