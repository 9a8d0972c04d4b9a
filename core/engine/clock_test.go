package engine

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
)

// When somebody sets the clock, SAs are as old as before, events bear the new time, and what is due at the machines' clock stays due
// then: nothing ends early or late.
func TestTheWallClockMayJump(t *testing.T) {
	t.Parallel()
	var jump atomic.Int64
	e, k, p := start(t, func(c *Config) { c.Wall = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) } })
	if _, err := e.Initiate(t.Context(), "west", nil); err != nil {
		t.Fatal(err)
	}
	e.Receive([]machine.Datagram{message(p.made[0].birth.SPI, "auth")})
	eventually(t, "established", func() bool { return e.Counters().Established.Load() == 1 })
	for _, to := range []time.Duration{30 * 24 * time.Hour, -60 * 24 * time.Hour} {
		jump.Store(int64(to))
		all, err := e.SAs(t.Context())
		i := slices.IndexFunc(all, func(info machine.Info) bool { return info.State == stateEstablished })
		if err != nil || i < 0 {
			t.Fatalf("%+v, %v", all, err)
		}
		if age := time.Now().Add(to).Sub(all[i].Established); age < -smallJump || age > patience {
			t.Errorf("after a jump by %v the SA seems to be %v old", to, age)
		}
		if _, err := e.Initiate(t.Context(), "west", nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, "an event bears the new time", func() bool {
			_, _, records := k.snapshot()
			return records[len(records)-1].Time.Sub(time.Now().Add(to)).Abs() < patience
		})
		if off := time.Until(e.now()).Abs(); off > patience {
			t.Errorf("the machines' clock jumped by %v", off)
		}
	}
}
