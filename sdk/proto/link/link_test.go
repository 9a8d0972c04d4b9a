package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// pipe returns two carriers that are joined.
func pipe(t *testing.T) (Carrier, Carrier) {
	t.Helper()
	a, b := net.Pipe()
	ours, theirs := NewFramed(a), NewFramed(b)
	t.Cleanup(func() {
		_ = ours.Close()
		_ = theirs.Close()
	})
	return ours, theirs
}

func frames(bodies ...string) []*basev1.Frame {
	var out []*basev1.Frame
	for i, b := range bodies {
		out = append(out, &basev1.Frame{Id: uint64(i + 1), Op: 101, Key: 7, Service: "s", BudgetMs: 9, Body: []byte(b)})
	}
	return out
}

func TestBatchesArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	a, b := pipe(t)
	sent := []*basev1.Batch{
		{Frames: frames("one", "two")}, {}, {Frames: frames(string(make([]byte, 3*growStep)))},
		{Frames: []*basev1.Frame{{Id: 5, Reply: true, Error: &basev1.Error{Kind: basev1.Error_REFUSED, Text: "no"}}}},
	}
	go func() {
		for _, s := range sent {
			_ = a.Send(proto.CloneOf(s))
		}
		_ = a.Close()
	}()
	for i, want := range sent {
		got, err := b.Recv()
		if err != nil || !proto.Equal(got, want) {
			t.Fatalf("batch %d: %v", i, err)
		}
	}
	if _, err := b.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

func TestMalformedStreamsAreErrorsWithoutGiantMemory(t *testing.T) {
	for name, c := range map[string]struct {
		stream []byte
		want   error
	}{
		"length above the limit": {[]byte{0xff, 0xff, 0xff, 0xff}, ErrTooLarge},
		"claim without octets":   {binary.BigEndian.AppendUint32(nil, MaxMessage), io.ErrUnexpectedEOF},
		"cut length":             {[]byte{0, 0}, io.ErrUnexpectedEOF},
		"cut message":            {[]byte{0, 0, 0, 9, 1, 2}, io.ErrUnexpectedEOF},
		"no batch":               {[]byte{0, 0, 0, 3, 255, 255, 255}, nil},
	} {
		a, b := net.Pipe()
		go func() {
			_, _ = a.Write(c.stream)
			_ = a.Close()
		}()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := NewFramed(b).Recv()
		runtime.ReadMemStats(&after)
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
			t.Errorf("%s: %d octets were allocated", name, got)
		}
	}
}

func TestBuffersAreWiped(t *testing.T) {
	t.Parallel()
	a, b := pipe(t)
	secret := []byte("a key of thirty-two octets......")
	f := &basev1.Frame{Id: 1, Body: bytes.Clone(secret)}
	s := NewSender(a)
	if err := s.Push(f); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run() }()
	if _, err := b.Recv(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	<-done
	for where, buf := range map[string][]byte{"the frame": f.Body, "the sender's buffer": full(a.(*framed).out), "the receiver's buffer": full(b.(*framed).in)} {
		if len(buf) == 0 || bytes.Contains(buf, secret[:8]) {
			t.Errorf("%s of %d octets still holds the key, or is gone", where, len(buf))
		}
	}
}

func full(b []byte) []byte { return b[:cap(b)] }

func TestFramesLeaveInOrderAndTogether(t *testing.T) {
	t.Parallel()
	a, b := pipe(t)
	s := NewSender(a)
	const n = 1000
	for i := range n {
		if err := s.Push(&basev1.Frame{Id: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run() })
	batches := 0
	for next := uint64(0); next < n; batches++ {
		batch, err := b.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(batch.GetFrames()) > MaxBatchFrames {
			t.Errorf("batch of %d frames", len(batch.GetFrames()))
		}
		for _, f := range batch.GetFrames() {
			if f.GetId() != next {
				t.Fatalf("frame %d, want %d", f.GetId(), next)
			}
			next++
		}
	}
	if batches != (n+MaxBatchFrames-1)/MaxBatchFrames {
		t.Errorf("%d batches", batches)
	}
	s.Close()
	wg.Wait()
	if err := s.Push(&basev1.Frame{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestTheSenderRefusesWhatItMustNotTake(t *testing.T) {
	t.Parallel()
	a, _ := pipe(t)
	s := NewSender(a) // nobody sends
	if err := s.Push(&basev1.Frame{Body: make([]byte, MaxBody+1)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("giant body: %v", err)
	}
	body := make([]byte, MaxBody)
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = s.Push(&basev1.Frame{Body: body})
	}
	if !errors.Is(err, ErrBacklog) {
		t.Errorf("a peer that does not read: %v", err)
	}
}

func TestFramesWithoutABodyFillTheBacklogToo(t *testing.T) {
	t.Parallel()
	a, _ := pipe(t)
	s := NewSender(a)
	refusal := &basev1.Frame{Reply: true, Error: &basev1.Error{Text: "no"}}
	for range MaxBacklog/frameCost + 1 {
		if err := s.Push(refusal); errors.Is(err, ErrBacklog) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("refusals that nobody reads are queued without a bound")
}

func TestTheSenderEndsWithItsCarrier(t *testing.T) {
	t.Parallel()
	a, _ := pipe(t)
	s := NewSender(a)
	_ = a.Close()
	_ = s.Push(&basev1.Frame{})
	done := make(chan error, 1)
	go func() { done <- s.Run() }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("no error from a closed carrier")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the sender still runs")
	}
	if err := s.Push(&basev1.Frame{}); !errors.Is(err, ErrClosed) {
		t.Errorf("push after the failure: %v", err)
	}
}

// gate is a carrier that takes a batch when it is told to.
type gate struct{ open, got chan int }

func newGate() *gate { return &gate{open: make(chan int), got: make(chan int, 100)} }

func (g *gate) Send(b *basev1.Batch) error   { <-g.open; g.got <- len(b.GetFrames()); return nil }
func (g *gate) Recv() (*basev1.Batch, error) { return nil, io.EOF }
func (g *gate) Close() error                 { return nil }

func TestFlushSendsHereAndLeavesTheRestToWhoSendsAlready(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := NewSender(g)
	_ = s.Queue(frames("a", "b")...)
	first := make(chan error, 1)
	go func() { first <- s.Flush() }()
	g.open <- 1 // the first batch is on its way
	if n := <-g.got; n != 2 {
		t.Fatalf("the first batch has %d frames", n)
	}
	<-first
	_ = s.Queue(frames("c")...)
	go func() { first <- s.Flush() }()
	for s.begins() { // until the other one has it
		runtime.Gosched()
	}
	_ = s.Queue(frames("d", "e", "f")...)
	if err := s.Flush(); err != nil { // must not wait for the gate
		t.Error(err)
	}
	g.open <- 1
	g.open <- 1
	if err := <-first; err != nil || <-g.got != 1 || <-g.got != 3 {
		t.Errorf("frames were not sent by who sent already: %v", err)
	}
}

func (s *Sender) begins() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.sending
}

func TestQueueWakesNobody(t *testing.T) {
	t.Parallel()
	s := NewSender(newGate())
	if err := s.Queue(frames("a")...); err != nil || len(s.wake) != 0 {
		t.Errorf("Run was woken: %v", err)
	}
	if err := s.Push(frames("a")...); err != nil || len(s.wake) != 1 {
		t.Errorf("Run was not woken: %v", err)
	}
}

func FuzzFramed(f *testing.F) {
	var seed bytes.Buffer
	_ = NewFramed(stream{&seed}).Send(&basev1.Batch{Frames: frames("one", "two")})
	f.Add(seed.Bytes())
	f.Fuzz(func(_ *testing.T, data []byte) {
		c := NewFramed(stream{bytes.NewBuffer(data)})
		for {
			if _, err := c.Recv(); err != nil {
				return
			}
		}
	})
}

type stream struct{ *bytes.Buffer }

func (stream) Close() error { return nil }
