package engine

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/bus/event"
)

const (
	tallyPeriod = time.Second
	// maxTally bounds the events of a second. Sources beyond it are summed up under the prefix that holds all.
	maxTally = 64
)

// noteKind is a kind of event that is summed up.
type noteKind uint8

const (
	noteMalformed noteKind = iota
	noteRefused
)

type noteKey struct {
	kind   noteKind
	prefix netip.Prefix
}

type noteSum struct {
	count  uint64
	reason string // of the last
}

// tally sums up datagrams that were dropped, per kind and source, so that a flood of datagrams is not a flood of events.
type tally struct {
	sums map[noteKey]noteSum
	due  time.Time // zero while there is nothing
}

func (t *tally) add(now time.Time, kind noteKind, p netip.Prefix, reason string) {
	if t.sums == nil {
		t.sums = map[noteKey]noteSum{}
	}
	if t.due.IsZero() {
		t.due = now.Add(tallyPeriod)
	}
	k := noteKey{kind, p}
	if _, known := t.sums[k]; !known && len(t.sums) >= maxTally {
		k.prefix, _ = p.Addr().Prefix(0)
	}
	t.sums[k] = noteSum{t.sums[k].count + 1, reason}
}

// take returns the events of a period that is over, in a fixed order.
func (t *tally) take(now time.Time) []event.Event {
	if t.due.IsZero() || now.Before(t.due) {
		return nil
	}
	keys := make([]noteKey, 0, len(t.sums))
	for k := range t.sums {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b noteKey) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), a.prefix.Compare(b.prefix))
	})
	events := make([]event.Event, len(keys))
	for i, k := range keys {
		events[i] = k.event(t.sums[k])
	}
	clear(t.sums)
	t.due = time.Time{}
	return events
}

func (k noteKey) event(s noteSum) event.Event {
	if k.kind == noteRefused {
		return event.RateLimited{Prefix: k.prefix, Count: s.count, Reason: s.reason}
	}
	return event.ParseErrors{Prefix: k.prefix, Count: s.count, Reason: s.reason}
}
