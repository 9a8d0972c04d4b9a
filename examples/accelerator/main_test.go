package main

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/conformance/kit/sakit"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/sa"
)

func TestTheBackendConforms(t *testing.T) {
	t.Parallel()
	sakit.Run(t, sakit.Fixture{Plugin: newBackend(newCard(places, 0))})
}

func TestTheKeyExchangeConforms(t *testing.T) {
	t.Parallel()
	kit.KE(t, func() ke.Plugin { return newExchange() })
}

func child(n byte) sa.Child {
	all := []sa.Selector{{EndPort: 65535, Start: netip.IPv4Unspecified(), End: netip.AddrFrom4([4]byte{255, 255, 255, 255})}}
	return sa.Child{UID: sa.UID{n}, Owner: "test", Conn: "west", Name: "lan", SPIIn: 0x1000 + uint32(n), SPIOut: 0x2000 + uint32(n),
		Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2"), Encr: aesGCM16, KeyBits: 128,
		EncrIn: make([]byte, 20), EncrOut: make([]byte, 20), ReplayWindow: 64, LocalTS: all, RemoteTS: all}
}

// A child has two places; what got only one is taken back, so that nothing half made stays.
func TestAFullCardRefusesAndKeepsNothingHalfMade(t *testing.T) {
	t.Parallel()
	c := newCard(3, 0)
	b := newBackend(c)
	if err := b.Install(t.Context(), child(1)); err != nil {
		t.Fatal(err)
	}
	if err := b.Install(t.Context(), child(2)); !errors.Is(err, sdk.ErrOverloaded) {
		t.Errorf("the second child: %v", err)
	}
	if _, taken := c.condition(); taken != 2 {
		t.Errorf("%d places are taken, want those of the first child", taken)
	}
	if err := b.Install(t.Context(), child(1)); err != nil {
		t.Errorf("the first child again: %v", err)
	}
}

func TestAResetOfTheCardIsSeenByItsEpochAndPasses(t *testing.T) {
	t.Parallel()
	c := newCard(places, 0)
	b := newBackend(c)
	before, _ := b.Probe(t.Context())
	if err := b.Install(t.Context(), child(1)); err != nil {
		t.Fatal(err)
	}
	c.fault = errReset
	if err := b.Install(t.Context(), child(2)); !errors.Is(err, sdk.ErrUnavailable) {
		t.Errorf("while it resets: %v", err)
	}
	c.fault = nil
	c.reset()
	after, _ := b.Probe(t.Context())
	if list, err := b.List(t.Context(), "test"); err != nil || len(list) != 0 || after.Epoch == before.Epoch {
		t.Errorf("after the reset: %v, %v, epoch %d and %d", list, err, before.Epoch, after.Epoch)
	}
}

// The plugin keeps nothing: another one finds on the card what the first has installed.
func TestARestartedPluginFindsWhatTheCardHas(t *testing.T) {
	t.Parallel()
	c := newCard(places, 0)
	if err := newBackend(c).Install(t.Context(), child(1)); err != nil {
		t.Fatal(err)
	}
	list, err := newBackend(c).List(t.Context(), "test")
	if err != nil || len(list) != 1 || list[0].UID != child(1).UID || list[0].EncrIn != nil {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestJobsThatComeTogetherAreDoneInOneBatch(t *testing.T) {
	t.Parallel()
	batches := make(chan int, batchSize+1)
	x := &exchange{newEngine(batches)}
	gate, begun := make(chan struct{}), make(chan struct{}) // the engine is busy until all have come
	go func() { _ = x.engine.do(context.Background(), func() error { close(begun); <-gate; return nil }) }()
	<-begun
	var all sync.WaitGroup
	for range batchSize {
		all.Go(func() {
			if _, public, err := x.Initiate(t.Context(), curve25519); err != nil || len(public) != 32 {
				t.Errorf("%x, %v", public, err)
			}
		})
	}
	for len(x.engine.jobs) < batchSize {
		time.Sleep(time.Millisecond)
	}
	close(gate)
	all.Wait()
	if first, second := <-batches, <-batches; first != 1 || second != batchSize {
		t.Errorf("batches of %d and %d jobs, want 1 and %d", first, second, batchSize)
	}
}

func TestAJobThatNobodyWantsIsLeftOutAndAFullQueueRefuses(t *testing.T) {
	t.Parallel()
	x := &exchange{newEngine(nil)}
	gate, begun := make(chan struct{}), make(chan struct{})
	go func() { _ = x.engine.do(context.Background(), func() error { close(begun); <-gate; return nil }) }()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	ran := false
	go func() { left <- x.engine.do(ctx, func() error { ran = true; return nil }) }()
	for len(x.engine.jobs) < 1 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	for len(x.engine.jobs) < backlog {
		x.engine.jobs <- job{t.Context(), func() error { return nil }, make(chan error, 1)}
	}
	if _, _, err := x.Initiate(t.Context(), curve25519); !errors.Is(err, sdk.ErrOverloaded) {
		t.Errorf("with a full queue: %v", err)
	}
	close(gate)
	if err := wait(x); err != nil || ran {
		t.Errorf("%v; the job that nobody wanted ran: %v", err, ran)
	}
}

// wait has one more job done when there is room again.
func wait(x *exchange) error {
	for {
		if err := x.engine.do(context.Background(), func() error { return nil }); !errors.Is(err, sdk.ErrOverloaded) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}
