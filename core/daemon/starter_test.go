package daemon

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/policy"
)

// attempts is an engine that only counts.
type attempts struct {
	at  []time.Duration
	uid byte
}

func runStarter(t *testing.T, script func(b *bus.Bus, a *attempts)) *attempts {
	t.Helper()
	a := &attempts{}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		b := bus.New()
		p := &policy.Snapshot{Connections: []*policy.Connection{
			{Name: "west", Children: []*policy.Child{{Name: "lan", Start: policy.StartUp}}},
			{Name: "idle", Children: []*policy.Child{{Name: "lan"}}},
		}}
		s := newStarter(b, func() *policy.Snapshot { return p }, zap.NewNop(), func(_ context.Context, conn string, children []string) (event.UID, error) {
			if conn != "west" || len(children) != 1 || children[0] != "lan" {
				t.Errorf("initiated %s %v", conn, children)
			}
			a.at = append(a.at, time.Since(begin))
			a.uid++
			return event.UID{a.uid}, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		go s.run(ctx)
		synctest.Wait()
		script(b, a)
		cancel()
		synctest.Wait()
	})
	return a
}

func tell(b *bus.Bus, uid byte, e event.Event) {
	b.Publish(event.Record{Subject: event.Subject{IKE: event.UID{uid}, Conn: "west"}, Event: e})
}

func TestAConnectionThatShouldBeUpIsTriedAgainWithGrowingPauses(t *testing.T) {
	t.Parallel()
	a := runStarter(t, func(b *bus.Bus, a *attempts) {
		for range 5 {
			tell(b, a.uid, event.IKEFailed{Cause: event.CauseTimeout})
			time.Sleep(2 * time.Minute)
			synctest.Wait()
		}
	})
	want := []time.Duration{0, time.Second, 2*time.Minute + 2*time.Second, 4*time.Minute + 4*time.Second}
	for i, at := range want {
		if len(a.at) <= i || a.at[i] != at {
			t.Fatalf("got attempts at %v, want %v", a.at, want)
		}
	}
}

func TestAnOperatorsDownIsRespected(t *testing.T) {
	t.Parallel()
	a := runStarter(t, func(b *bus.Bus, a *attempts) {
		tell(b, 1, event.IKEEstablished{})
		tell(b, 1, event.IKEDeleted{By: "operator"})
		time.Sleep(time.Hour)
	})
	if len(a.at) != 1 {
		t.Errorf("got attempts at %v, want one", a.at)
	}
}

func TestAConnectionThatIsUpIsLeftAlone(t *testing.T) {
	t.Parallel()
	a := runStarter(t, func(b *bus.Bus, a *attempts) {
		tell(b, 9, event.IKEInitiated{}) // the peer calls as well
		tell(b, 9, event.IKEEstablished{})
		tell(b, 1, event.IKEFailed{Cause: event.CauseTimeout})
		time.Sleep(time.Hour)
	})
	if len(a.at) != 1 {
		t.Errorf("got attempts at %v, want one", a.at)
	}
}

func TestAReloadForgetsWhatIsGoneAndBeginsAnewWithWhatChanged(t *testing.T) {
	t.Parallel()
	a := runStarter(t, func(b *bus.Bus, a *attempts) {
		tell(b, 1, event.IKEEstablished{})
		synctest.Wait()
		time.Sleep(time.Minute)
		b.Publish(event.Record{Event: event.ConfigChanged{Changed: []string{"west"}}})
		synctest.Wait()
		tell(b, 1, event.IKEDeleted{By: "operator"}) // the SA of before, which the reload ended
		tell(b, 2, event.IKEEstablished{})
		time.Sleep(time.Hour)
		b.Publish(event.Record{Event: event.ConfigChanged{Removed: []string{"west"}}})
		tell(b, 2, event.IKEDeleted{By: "operator"})
		time.Sleep(time.Hour)
	})
	if len(a.at) != 2 || a.at[1] != time.Minute {
		t.Errorf("got attempts at %v, want one at the start and one at the reload", a.at)
	}
}
