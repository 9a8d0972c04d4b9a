package engine

import (
	"testing"
	"time"

	"github.com/parley-ike/parley/core/ikev2"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// RFC 7296 section 2.6: an SA that failed has cost what a half-open one costs and keeps its last response, for 20 s, for a peer that
// missed it. Until then it counts, so that nobody gets more out of failing than out of waiting.
func TestAFailedSACountsAsHalfOpenUntilItIsGone(t *testing.T) {
	t.Parallel()
	const most = 3
	w := newPeers(t, nil, Limits{SourceMaxHalfOpen: most, SourceCookieThreshold: most})
	stranger := connection("east", them, us)
	stranger.Remote.Identity.Data = "stranger.example"
	stranger.Remote.Identity.Type = wire2.IDFQDN
	w.west.SetProtocol(NewIKEv2(&ikev2.Env{Policy: &policy.Snapshot{Connections: []*policy.Connection{stranger}}}))
	attempt := func() {
		t.Helper()
		if _, err := w.east.Initiate(w.now, "west", nil, us, them); err != nil {
			t.Fatal(err)
		}
		w.settle()
	}
	for n := 1; n <= most; n++ {
		attempt()
		if got := w.west.counters.HalfOpen.Load(); got != int64(n) || w.west.live() != 0 {
			t.Fatalf("%d failed: %d half-open, %d live", n, got, w.west.live())
		}
	}
	attempt()
	if refused := w.west.counters.DroppedRefused.Load(); refused == 0 {
		t.Error("one more was let in")
	}
	w.pass(2 * time.Minute) // the last attempt has given up as well
	if n, left := w.west.counters.HalfOpen.Load(), w.west.Len(); n != 0 || left != 0 {
		t.Errorf("%d half-open, %d SAs are left", n, left)
	}
	attempt()
	if n := w.west.counters.HalfOpen.Load(); n != 1 {
		t.Errorf("%d half-open after one more attempt", n)
	}
}

// What was established and has ended gave its place back long before it is forgotten.
func TestAnSAThatWasEstablishedDoesNotCountAsHalfOpenWhenItEnds(t *testing.T) {
	t.Parallel()
	w := newPeers(t, nil, Limits{})
	w.connect(1)
	w.east.Command(w.now, Selector{All: true}, machine.Terminate{Reason: "test"})
	w.settle()
	if n := w.west.counters.HalfOpen.Load(); n != 0 || w.west.Len() != 1 || w.west.live() != 0 {
		t.Errorf("%d half-open, %d SAs, %d live", n, w.west.Len(), w.west.live())
	}
}
