package bustest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
)

// Times that the expectations wait.
const (
	Patience = 10 * time.Second       // for an event to come
	Quiet    = 100 * time.Millisecond // for none to come
)

// New returns a bus that is closed when the test ends.
func New(t testing.TB) *bus.Bus {
	b := bus.New()
	t.Cleanup(b.Close)
	return b
}

// Watch returns a subscription that keeps everything from now on and is closed when the test ends.
func Watch(t testing.TB, b *bus.Bus) *bus.Subscription {
	s := b.Subscribe(t.Name(), bus.Collect(), nil)
	t.Cleanup(s.Close)
	return s
}

// Matcher says whether a record is the one expected.
type Matcher struct {
	name  string
	match func(event.Record) error
}

// String returns the name of the expected type.
func (m Matcher) String() string { return m.name }

// errOther says that a record has another type.
var errOther = errors.New("another type")

// Type matches an event of type E for which every predicate returns nil.
func Type[E event.Event](predicates ...func(E) error) Matcher {
	return Matcher{reflect.TypeFor[E]().Name(), func(r event.Record) error {
		e, ok := r.Event.(E)
		if !ok {
			return errOther
		}
		for _, p := range predicates {
			if err := p(e); err != nil {
				return err
			}
		}
		return nil
	}}
}

// About narrows m to records of one connection.
func (m Matcher) About(conn string) Matcher {
	return Matcher{m.name + " of " + conn, func(r event.Record) error {
		if err := m.match(r); err != nil {
			return err
		}
		if r.Subject.Conn != conn {
			return fmt.Errorf("is of connection %q", r.Subject.Conn)
		}
		return nil
	}}
}

// Expect waits until the wanted events have come, in this order; others may stand between them. It returns their records. The
// test ends when one does not come.
func Expect(t testing.TB, s *bus.Subscription, want ...Matcher) []event.Record {
	t.Helper()
	var found, seen []event.Record
	var last error // why the last event of the right type was not it
	for _, m := range want {
		for {
			r, ok := next(t, s, Patience)
			if !ok {
				t.Fatalf("no %v within %v (after %d of %d)%s; seen: %s", m, Patience, len(found), len(want), hint(last), list(seen))
				return nil
			}
			seen = append(seen, r)
			err := m.match(r)
			if err == nil {
				found = append(found, r)
				break
			}
			if !errors.Is(err, errOther) {
				last = err
			}
		}
	}
	return found
}

// ExpectExactly is Expect without other events: not between the wanted ones, and not for Quiet after them.
func ExpectExactly(t testing.TB, s *bus.Subscription, want ...Matcher) []event.Record {
	t.Helper()
	var found []event.Record
	for i, m := range want {
		r, ok := next(t, s, Patience)
		if !ok {
			t.Fatalf("no %v within %v as event %d of %d; seen: %s", m, Patience, i+1, len(want), list(found))
			return nil
		}
		if err := m.match(r); err != nil {
			t.Fatalf("event %d of %d is %s, want %v: %v", i+1, len(want), describe(r), m, err)
			return nil
		}
		found = append(found, r)
	}
	if r, ok := next(t, s, Quiet); ok {
		t.Fatalf("after the %d events wanted came %s", len(want), describe(r))
	}
	return found
}

// ExpectNone reads what comes within d and fails if one of it matches any of the unwanted. Without any, nothing may come. It
// returns what came.
func ExpectNone(t testing.TB, s *bus.Subscription, d time.Duration, unwanted ...Matcher) []event.Record {
	t.Helper()
	var seen []event.Record
	for end := time.Now().Add(d); ; {
		r, ok := next(t, s, time.Until(end))
		if !ok {
			return seen
		}
		if len(unwanted) == 0 {
			t.Fatalf("came %s, want nothing", describe(r))
			return nil
		}
		for _, m := range unwanted {
			if m.match(r) == nil {
				t.Fatalf("came %s, which is unwanted", describe(r))
				return nil
			}
		}
		seen = append(seen, r)
	}
}

func next(t testing.TB, s *bus.Subscription, d time.Duration) (event.Record, bool) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	r, err := s.Next(ctx)
	return r, err == nil
}

func hint(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("; one came, but: %v", err)
}

func list(records []event.Record) string {
	if len(records) == 0 {
		return "nothing"
	}
	names := make([]string, len(records))
	for i, r := range records {
		names[i] = describe(r)
	}
	return strings.Join(names, ", ")
}

func describe(r event.Record) string {
	return fmt.Sprintf("#%d %T%+v", r.Sequence, r.Event, r.Event)
}
