package bustest_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/bustest"
	"github.com/parley-ike/parley/bus/event"
)

// recorder is a test that only remembers that it failed.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, a ...any) {
	r.failure = fmt.Sprintf(format, a...)
	runtime.Goexit()
}

// failure runs f in virtual time with a bus on which three events stand already and a fourth comes an hour later.
func failure(t *testing.T, f func(testing.TB, *bus.Subscription)) (message string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := bustest.New(t)
		s := bustest.Watch(t, b)
		for _, reason := range []string{"first", "second"} {
			b.Publish(event.Record{Subject: event.Subject{Conn: reason}, Event: event.AuthFailed{Reason: reason}})
		}
		b.Publish(event.Record{Event: event.DaemonReady{}})
		go func() {
			time.Sleep(time.Hour)
			b.Publish(event.Record{Event: event.DaemonStopping{}})
		}()
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() { defer close(done); f(r, s) }()
		<-done
		message = r.failure
		time.Sleep(2 * time.Hour)
	})
	return message
}

func reason(want string) func(event.AuthFailed) error {
	return func(e event.AuthFailed) error {
		if e.Reason != want {
			return errors.New("reason is " + e.Reason)
		}
		return nil
	}
}

func TestExpectations(t *testing.T) {
	auth, ready := bustest.Type[event.AuthFailed](), bustest.Type[event.DaemonReady]()
	for name, c := range map[string]struct {
		check func(testing.TB, *bus.Subscription)
		want  string // part of the failure, "" for none
	}{
		"others between":     {func(t testing.TB, s *bus.Subscription) { bustest.Expect(t, s, auth, ready) }, ""},
		"a predicate":        {func(t testing.TB, s *bus.Subscription) { bustest.Expect(t, s, bustest.Type(reason("second"))) }, ""},
		"no such predicate":  {func(t testing.TB, s *bus.Subscription) { bustest.Expect(t, s, bustest.Type(reason("third"))) }, "one came, but: reason is second"},
		"a connection":       {func(t testing.TB, s *bus.Subscription) { bustest.Expect(t, s, auth.About("second")) }, ""},
		"another connection": {func(t testing.TB, s *bus.Subscription) { bustest.Expect(t, s, auth.About("third")) }, `of connection "second"`},
		"wrong order":        {func(t testing.TB, s *bus.Subscription) { bustest.Expect(t, s, ready, auth) }, "no AuthFailed within 10s (after 1 of 2)"},
		"too late":           {func(t testing.TB, s *bus.Subscription) { bustest.Expect(t, s, bustest.Type[event.DaemonStopping]()) }, "no DaemonStopping"},
		"exactly":            {func(t testing.TB, s *bus.Subscription) { bustest.ExpectExactly(t, s, auth, auth, ready) }, ""},
		"one between":        {func(t testing.TB, s *bus.Subscription) { bustest.ExpectExactly(t, s, auth, ready) }, "event 2 of 2 is #2 event.AuthFailed"},
		"one after":          {func(t testing.TB, s *bus.Subscription) { bustest.ExpectExactly(t, s, auth, auth) }, "came #3 event.DaemonReady"},
		"one missing":        {func(t testing.TB, s *bus.Subscription) { bustest.ExpectExactly(t, s, auth, auth, ready, auth) }, "as event 4 of 4"},
		"absent type": {func(t testing.TB, s *bus.Subscription) {
			bustest.ExpectNone(t, s, 50*time.Minute, bustest.Type[event.DaemonStopping]())
		}, ""},
		"present type": {func(t testing.TB, s *bus.Subscription) {
			bustest.ExpectNone(t, s, 2*time.Hour, bustest.Type[event.DaemonStopping]())
		}, "which is unwanted"},
		"not nothing": {func(t testing.TB, s *bus.Subscription) { bustest.ExpectNone(t, s, time.Minute) }, "want nothing"},
		"nothing more": {func(t testing.TB, s *bus.Subscription) {
			bustest.Expect(t, s, ready)
			bustest.ExpectNone(t, s, 50*time.Minute)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := failure(t, c.check)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("failure %q, want %q", got, c.want)
			}
		})
	}
}

func TestExpectReturnsTheRecords(t *testing.T) {
	b := bustest.New(t)
	s := bustest.Watch(t, b)
	b.Publish(event.Record{Event: event.DaemonReady{}})
	b.Publish(event.Record{Event: event.DaemonStopping{Reason: "asked"}})
	got := bustest.Expect(t, s, bustest.Type[event.DaemonStopping]())
	if len(got) != 1 || got[0].Sequence != 2 {
		t.Errorf("got %+v", got)
	}
}
