package daemon

import (
	"fmt"
	"slices"
	"testing"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/pool"
)

// plugins notes what it is asked.
type plugins struct{ got []string }

func (p *plugins) Submit(batch []machine.Request) {
	for _, r := range batch {
		p.got = append(p.got, fmt.Sprintf("%T", r.Call.Op))
	}
}

func (p *plugins) Cancel(_ machine.Owner, t machine.Ticket) {
	p.got = append(p.got, fmt.Sprint("cancel ", t))
}

func TestLeasesGoToThePoolsAndAllElseToThePlugins(t *testing.T) {
	t.Parallel()
	r, err := policy.ParseRange("10.9.0.1")
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan machine.Return, 10)
	s, err := pool.Open(pool.Config{Pools: []policy.Pool{{Name: "staff", Ranges: []policy.Range{r}}}, Deliver: func(batch []machine.Return) {
		for _, r := range batch {
			answers <- r
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := &plugins{}
	c := caller{s, p}
	request := func(t machine.Ticket, op machine.Op) machine.Request {
		return machine.Request{Owner: 5, Call: machine.Call{Ticket: t, Op: op}}
	}
	c.Submit([]machine.Request{request(1, machine.AllocateSPI{}), request(2, machine.Release{Holder: event.UID{1}}), request(3, machine.KEInitiate{})})
	c.Submit([]machine.Request{request(4, machine.FreeSPI{})})
	c.Cancel(5, 4)
	want := []string{"machine.AllocateSPI", "machine.KEInitiate", "machine.FreeSPI", "cancel 4"}
	if !slices.Equal(p.got, want) {
		t.Errorf("plugins got %v, want %v", p.got, want)
	}
	if a := <-answers; a.Owner != 5 || a.Reply.Ticket != 2 || a.Reply.Result != (machine.Released{}) {
		t.Errorf("%+v", a)
	}
}
