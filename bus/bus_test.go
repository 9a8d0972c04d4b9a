package bus_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
)

func publish(b *bus.Bus, n int) {
	for range n {
		b.Publish(event.Record{Event: event.DaemonStarted{}})
	}
}

func drain(s *bus.Subscription) []event.Record {
	var records []event.Record
	for {
		r, ok := s.TryNext()
		if !ok {
			return records
		}
		records = append(records, r)
	}
}

func TestSubscribersSeeOneOrderWithoutHoles(t *testing.T) {
	t.Parallel()
	b := bus.New()
	s := b.Subscribe("all", bus.Collect(), nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { publish(b, 100) })
	}
	wg.Wait()
	records := drain(s)
	if len(records) != 800 {
		t.Fatalf("got %d records, want 800", len(records))
	}
	for i, r := range records {
		if r.Sequence != uint64(i+1) {
			t.Fatalf("record %d has number %d", i, r.Sequence)
		}
		if r.Time.IsZero() {
			t.Fatal("a record without a time")
		}
	}
}

func TestASlowSubscriberLosesTheOldestAndIsToldWhich(t *testing.T) {
	t.Parallel()
	b := bus.New()
	slow := b.Subscribe("slow", bus.DropOldest(10), nil)
	fast := b.Subscribe("fast", bus.Collect(), nil)
	publish(b, 25)
	got := drain(slow)
	gap, ok := got[0].Event.(event.StreamGap)
	if !ok {
		t.Fatalf("first record is %T, want a gap", got[0].Event)
	}
	want := event.StreamGap{Subscriber: "slow", First: 1, Last: 15, Count: 15}
	if gap != want {
		t.Errorf("got %+v, want %+v", gap, want)
	}
	if len(got) != 11 || got[1].Sequence != 16 || got[10].Sequence != 25 {
		t.Errorf("got %d records, %d to %d", len(got), got[1].Sequence, got[len(got)-1].Sequence)
	}
	if _, lost := slow.Stats(); lost != 15 {
		t.Errorf("got %d lost, want 15", lost)
	}
	if n := len(drain(fast)); n != 25 {
		t.Errorf("the other subscriber got %d records, want 25", n)
	}
	publish(b, 1)
	if again := drain(slow); len(again) != 1 || again[0].Sequence != 26 {
		t.Errorf("after the gap got %v", again)
	}
}

func TestLatestKeepsTheNewestOfEachKey(t *testing.T) {
	t.Parallel()
	b := bus.New()
	byConn := func(r event.Record) string { return r.Subject.Conn }
	s := b.Subscribe("status", bus.Latest(2, byConn), nil)
	for _, conn := range []string{"a", "b", "a", "c", "c"} {
		b.Publish(event.Record{Subject: event.Subject{Conn: conn}, Event: event.DaemonStarted{}})
	}
	got := drain(s)
	if len(got) != 2 || got[0].Subject.Conn != "b" || got[1].Sequence != 5 {
		t.Errorf("got %+v", got)
	}
}

func TestAFilterKeepsOthersOut(t *testing.T) {
	t.Parallel()
	b := bus.New()
	s := b.Subscribe("errors", bus.Collect(), func(r event.Record) bool { return r.Event.Kind().Severity >= event.Error })
	publish(b, 3)
	b.Publish(event.Record{Event: event.PluginCrashed{}})
	if got := drain(s); len(got) != 1 || got[0].Sequence != 4 {
		t.Errorf("got %+v", got)
	}
}

func TestNextWaitsAndEndsWithTheBus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := bus.New()
		s := b.Subscribe("reader", bus.DropOldest(4), nil)
		go func() {
			time.Sleep(time.Second)
			publish(b, 1)
			b.Close()
		}()
		if r, err := s.Next(t.Context()); err != nil || r.Sequence != 1 {
			t.Fatalf("got %+v, %v", r, err)
		}
		if _, err := s.Next(t.Context()); !errors.Is(err, bus.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		publish(b, 1) // after Close: nothing happens
	})
}

func TestNextEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := bus.New().Subscribe("reader", bus.DropOldest(4), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkPublish(b *testing.B) {
	hub := bus.New()
	hub.Subscribe("ring", bus.DropOldest(1024), nil)
	b.ReportAllocs()
	for b.Loop() {
		hub.Publish(event.Record{Event: event.DaemonStarted{}, Time: time.Unix(1, 0)})
	}
}
