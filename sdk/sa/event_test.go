package sa_test

import (
	"context"
	"errors"
	"testing"

	"github.com/parley-ike/parley/sdk/sa"
)

func TestAFeedNeverWaitsAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	var f sa.Feed
	n := uint32(0)
	for f.Tell(sa.Lost{SPIIn: n}) {
		n++
	}
	if n == 0 {
		t.Fatal("a feed has no room at all")
	}
	ctx, stop := context.WithCancel(t.Context())
	next := uint32(0)
	err := f.Watch(ctx, func(e sa.Event) {
		if e != (sa.Lost{SPIIn: next}) {
			t.Errorf("%+v is out of order, want %d", e, next)
		}
		if next++; next == n {
			stop()
		}
	})
	if !errors.Is(err, context.Canceled) || !f.Tell(sa.Lost{}) {
		t.Errorf("%v, or there is still no room", err)
	}
}
