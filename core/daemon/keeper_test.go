package daemon

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
)

// attempts is an engine that only notes what it is asked for.
type attempts struct {
	at     []time.Duration
	asked  []string // children, in the order of at
	uid    byte
	joined bool
	err    error // of every attempt
	keeper *keeper
	policy *policy.Snapshot
	bus    *bus.Bus
}

// keeping runs a keeper of the connection "west" on virtual time, without jitter.
func keeping(t *testing.T, children []*policy.Child, script func(a *attempts)) *attempts {
	t.Helper()
	a := &attempts{}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		a.bus = bus.New()
		west := &policy.Connection{Name: "west", Children: children}
		west.ApplyDefaults()
		west.Retry.Jitter = 0
		a.policy = &policy.Snapshot{Connections: []*policy.Connection{west, {Name: "idle", Children: []*policy.Child{{Name: "lan"}}}}}
		a.keeper = newKeeper(a.bus, func() *policy.Snapshot { return a.policy }, zap.NewNop(),
			func(_ context.Context, conn string, children []string) (event.UID, bool, error) {
				if conn != "west" {
					t.Errorf("asked for %s", conn)
				}
				a.at = append(a.at, time.Since(begin))
				a.asked = append(a.asked, slices.Clone(children)...)
				a.uid++
				return event.UID{a.uid}, a.joined, a.err
			})
		ctx, cancel := context.WithCancel(t.Context())
		go a.keeper.run(ctx)
		synctest.Wait()
		script(a)
		cancel()
		synctest.Wait()
	})
	return a
}

func lan() []*policy.Child { return []*policy.Child{{Name: "lan", Start: policy.StartUp}} }

func (a *attempts) tell(uid byte, all ...event.Event) {
	for _, e := range all {
		a.bus.Publish(event.Record{Subject: event.Subject{IKE: event.UID{uid}, Conn: "west"}, Event: e})
	}
	synctest.Wait()
}

// wait lets time pass.
func wait(d time.Duration) { time.Sleep(d); synctest.Wait() }

// comesUp tells of an SA that comes up with a child, and goes of its end.
func (a *attempts) comesUp(uid byte, child string) {
	a.tell(uid, event.IKEInitiated{IKE: event.IKESA{Role: "initiator"}}, event.IKEEstablished{},
		event.ChildEstablished{Child: event.ChildSA{UID: event.UID{uid, 1}, Name: child}})
}

func (a *attempts) goes(uid byte, child, by string) {
	a.tell(uid, event.ChildDeleted{Child: event.ChildSA{UID: event.UID{uid, 1}, Name: child}, By: by}, event.IKEDeleted{By: by})
}

func (a *attempts) want(t *testing.T, at ...time.Duration) {
	t.Helper()
	if !slices.Equal(a.at, at) {
		t.Errorf("tried at %v, want %v", a.at, at)
	}
}

func TestAConnectionThatShouldBeUpIsTriedAgainWithGrowingPauses(t *testing.T) {
	t.Parallel()
	a := keeping(t, lan(), func(a *attempts) {
		for range 3 {
			a.tell(a.uid, event.IKEFailed{Cause: event.CauseTimeout})
			wait(2 * time.Minute)
		}
	})
	a.want(t, 0, time.Second, 2*time.Minute+2*time.Second, 4*time.Minute+4*time.Second)
}

func TestAnOperatorsDownIsRespectedUntilTheNextUp(t *testing.T) {
	t.Parallel()
	a := keeping(t, lan(), func(a *attempts) {
		a.comesUp(1, "lan")
		a.goes(1, "lan", "operator")
		wait(time.Hour)
		a.keeper.order(order{conn: "west"})
		wait(time.Minute)
	})
	a.want(t, 0, time.Hour+time.Second)
}

// What is not up yet can be taken down as well: it is not tried again.
func TestAnOperatorsDownStopsTheTrying(t *testing.T) {
	t.Parallel()
	a := keeping(t, lan(), func(a *attempts) {
		a.tell(1, event.IKEFailed{Cause: event.CauseTimeout})
		a.keeper.order(order{conn: "west", down: true})
		wait(time.Hour)
	})
	a.want(t, 0)
}

func TestAChildThatAnOperatorTookDownStaysDown(t *testing.T) {
	t.Parallel()
	children := append(lan(), &policy.Child{Name: "dmz", Start: policy.StartUp})
	a := keeping(t, children, func(a *attempts) {
		a.comesUp(1, "lan")
		a.tell(1, event.ChildEstablished{Child: event.ChildSA{UID: event.UID{1, 2}, Name: "dmz"}})
		a.tell(1, event.ChildDeleted{Child: event.ChildSA{UID: event.UID{1, 2}, Name: "dmz"}, By: "operator"})
		wait(time.Hour)
		a.goes(1, "lan", "peer")
		wait(time.Minute)
	})
	if want := []string{"lan", "dmz", "lan"}; !slices.Equal(a.asked, want) {
		t.Errorf("asked for %v, want %v", a.asked, want)
	}
}

func TestAConnectionThatIsUpIsLeftAlone(t *testing.T) {
	t.Parallel()
	a := keeping(t, lan(), func(a *attempts) {
		a.comesUp(9, "lan") // the peer called as well
		a.tell(1, event.IKEFailed{Cause: event.CauseTimeout})
		wait(time.Hour)
	})
	a.want(t, 0)
}

// Anyone may begin an SA with us, and keep beginning.
func TestAStrangersAttemptDoesNotKeepUsFromTrying(t *testing.T) {
	t.Parallel()
	a := keeping(t, lan(), func(a *attempts) {
		a.tell(7, event.IKEInitiated{IKE: event.IKESA{Role: "responder"}})
		a.tell(1, event.IKEFailed{Cause: event.CauseTimeout})
		wait(1500 * time.Millisecond)
	})
	a.want(t, 0, time.Second)
}

func TestWhatThePeerDeletesIsBroughtBack(t *testing.T) {
	t.Parallel()
	a := keeping(t, lan(), func(a *attempts) {
		a.comesUp(1, "lan")
		wait(time.Hour)
		a.goes(1, "lan", "peer")
		wait(time.Minute)
	})
	a.want(t, 0, time.Hour+time.Second)
}

// A child that ends alone is made again inside the IKE SA that stays.
func TestAChildThatExpiresIsBroughtBack(t *testing.T) {
	t.Parallel()
	a := keeping(t, lan(), func(a *attempts) {
		a.comesUp(1, "lan")
		a.joined = true
		a.tell(1, event.ChildDeleted{Child: event.ChildSA{UID: event.UID{1, 1}, Name: "lan"}, By: "expired"})
		wait(1500 * time.Millisecond)
		a.tell(1, event.ChildFailed{Name: "lan", KeptIKE: true})
		wait(2 * time.Second)
		a.tell(1, event.ChildEstablished{Child: event.ChildSA{UID: event.UID{1, 2}, Name: "lan"}})
		wait(time.Hour)
	})
	a.want(t, 0, time.Second, 3*time.Second)
}

func TestWhatToDoWhenThePeerIsDeadIsTheChildsToSay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		child policy.Child
		tries int // the first one is that of start = "up"
	}{
		{"by default, up", policy.Child{Start: policy.StartUp}, 2},
		{"by default, none", policy.Child{}, 0},
		{"by default, trap", policy.Child{Start: policy.StartTrap}, 0},
		{"up, but clear", policy.Child{Start: policy.StartUp, OnDead: policy.DeadClear}, 1},
		{"none, but restart", policy.Child{OnDead: policy.DeadRestart}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.child.Name = "lan"
			a := keeping(t, []*policy.Child{&tt.child}, func(a *attempts) {
				a.comesUp(1, "lan")
				wait(time.Hour)
				a.goes(1, "lan", "liveness")
				wait(time.Minute)
			})
			if len(a.at) != tt.tries {
				t.Errorf("tried at %v, want %d times", a.at, tt.tries)
			}
		})
	}
}

// The pauses of many peers differ, so that they do not call at once.
func TestJitterShortensPauses(t *testing.T) {
	t.Parallel()
	c := &policy.Connection{Name: "west", Children: lan()}
	c.ApplyDefaults()
	w := newKept(c, func() float64 { return 0.5 })
	before := time.Now()
	w.postpone()
	if got := w.next.Sub(before); got < 800*time.Millisecond || got > 900*time.Millisecond {
		t.Errorf("the pause is %v, want 875 ms: an eighth less than a second", got)
	}
}

// A reload begins anew with what is there now; the SAs of before end without being missed.
func TestAReloadBringsUpWhatIsNew(t *testing.T) {
	t.Parallel()
	a := keeping(t, lan(), func(a *attempts) {
		a.comesUp(1, "lan")
		wait(time.Minute)
		west := &policy.Connection{Name: "west", Children: lan()}
		west.ApplyDefaults()
		a.policy = &policy.Snapshot{Connections: []*policy.Connection{west}}
		a.bus.Publish(event.Record{Event: event.ConfigChanged{Changed: []string{"west"}, Removed: []string{"idle"}}})
		synctest.Wait()
		a.goes(1, "lan", "operator")
		wait(time.Minute)
	})
	a.want(t, 0, time.Minute)
}

// A reload that changes children only keeps what is known of the others: nobody is called again, and an operator's word counts on.
func TestAReloadOfChildrenCallsOnlyForThem(t *testing.T) {
	t.Parallel()
	was := []*policy.Child{{Name: "lan", Start: policy.StartUp}, {Name: "rested", Start: policy.StartUp}}
	a := keeping(t, was, func(a *attempts) {
		a.comesUp(1, "lan")
		a.keeper.order(order{conn: "west", children: []string{"rested"}, down: true})
		wait(time.Minute)
		a.joined = true
		west := &policy.Connection{Name: "west", Children: append(was, &policy.Child{Name: "dmz", Start: policy.StartUp})}
		west.ApplyDefaults()
		a.policy = &policy.Snapshot{Connections: []*policy.Connection{west}}
		a.bus.Publish(event.Record{Event: event.ConfigChanged{Children: []string{"west"}}})
		a.tell(1, event.ChildEstablished{Child: event.ChildSA{UID: event.UID{1, 2}, Name: "dmz"}})
		wait(time.Minute)
	})
	a.want(t, 0, time.Minute)
	if want := []string{"lan", "rested", "dmz"}; !slices.Equal(a.asked, want) {
		t.Errorf("asked for %v, want %v", a.asked, want)
	}
}

// What cannot even be tried is told once, and again when it could be in between or when the reason is another.
func TestAnAttemptThatCannotBeginIsToldOnce(t *testing.T) {
	t.Parallel()
	var told []string
	keeping(t, lan(), func(a *attempts) {
		sub := a.bus.Subscribe("test", bus.DropOldest(64), func(r event.Record) bool {
			e, is := r.Event.(event.PeerUnreachable)
			if is && r.Subject.Conn == "west" {
				told = append(told, e.Reason)
			}
			return false
		})
		defer sub.Close()
		a.tell(1, event.IKEFailed{Cause: event.CauseTimeout})
		a.err = errors.New("no route")
		wait(10 * time.Minute)
		a.err = errors.New("no address")
		wait(10 * time.Minute)
		a.err = nil
		wait(10 * time.Minute)
		a.err = errors.New("no address")
		a.tell(a.uid, event.IKEFailed{Cause: event.CauseTimeout})
		wait(10 * time.Minute)
	})
	if want := []string{"no route", "no address", "no address"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
