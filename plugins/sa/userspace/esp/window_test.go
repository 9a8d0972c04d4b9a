package esp

import (
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

func newWindow(size uint32, esn bool, top uint64) *Window {
	var t atomic.Uint64
	t.Store(top)
	return NewWindow(size, esn, &t, make([]atomic.Uint64, WindowWords(size)))
}

// slowWindow is the definition: a number is new when it was not seen and is not more than size below the highest one.
type slowWindow struct {
	size uint64
	top  uint64
	seen map[uint64]bool
}

func (w *slowWindow) fresh(seq uint64) bool {
	return seq != 0 && (seq > w.top || w.top-seq < w.size && !w.seen[seq])
}

func (w *slowWindow) update(seq uint64) {
	w.seen[seq] = true
	w.top = max(w.top, seq)
}

func TestTheWindowAgreesWithItsDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Uint32Range(1, 300).Draw(t, "size")
		esn := rapid.Bool().Draw(t, "esn")
		start := rapid.Uint64Range(0, 500).Draw(t, "start")
		if esn && rapid.Bool().Draw(t, "wrap") {
			start += 1<<32 - 250
		}
		w, slow := newWindow(size, esn, start), &slowWindow{size: uint64(size), top: start, seen: map[uint64]bool{}}
		for range rapid.IntRange(1, 120).Draw(t, "packets") {
			jump := rapid.Int64Range(-400, 400).Draw(t, "jump")
			seq := uint64(max(int64(slow.top)+jump, 0))
			if esn && slow.top > seq && slow.top-seq >= slow.size {
				continue // a number below the window is taken for one of the next round (appendix A2.2): see below
			}
			got, ok := w.Check(uint32(seq))
			if ok != slow.fresh(seq) || ok && got != seq {
				t.Fatalf("Check(%d) = %d, %v; top %d, size %d, definition says %v", seq, got, ok, slow.top, size, slow.fresh(seq))
			}
			if ok && rapid.Bool().Draw(t, "authentic") { // a forgery moves nothing (RFC 4303 section 3.4.3)
				w.Update(seq)
				slow.update(seq)
			}
		}
	})
}

func TestESNGuessesTheHighHalf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct { // RFC 4303 appendix A2.2, window 64
		top  uint64
		low  uint32
		want uint64
		ok   bool
	}{
		{100, 99, 99, true},
		{100, 37, 37, true},
		{100, 36, 1<<32 | 36, true},                          // case A, below the window: next round
		{5<<32 | 100, 101, 5<<32 | 101, true},                // case A
		{5<<32 | 10, 1<<32 - 10, 4<<32 + (1<<32 - 10), true}, // case B: window reaches into the last round
		{5<<32 | 10, 1<<32 - 60, 5<<32 + (1<<32 - 60), true}, // case B, below the window: far ahead in this round
		{10, 1<<32 - 10, 0, false},                           // before the first round
		{0, 1, 1, true},
		{0, 0, 0, false},
		{1<<32 - 1, 0, 1 << 32, true}, // the low half wraps
		{1<<64 - 1, 0, 0, false},      // the end of all numbers
		{1<<64 - 1, 1<<32 - 2, 1<<64 - 2, true},
	} {
		if got, ok := newWindow(64, true, c.top).Check(c.low); ok != c.ok || ok && got != c.want {
			t.Errorf("top %x, low %x: %x, %v; want %x, %v", c.top, c.low, got, ok, c.want, c.ok)
		}
	}
}

func TestPacketsFlowAcrossTheWrapOfTheLowHalf(t *testing.T) {
	t.Parallel()
	s, o := pair(t, params(t, EncrAESGCM16, 128, 0, true))
	w := newWindow(64, true, 1<<32-40)
	for _, order := range []uint64{0, 3, 1, 2, 5, 4} {
		for i := range uint64(10) {
			seq := 1<<32 - 30 + order*10 + i
			packet := sealCopy(s, counting(4, 0), seq, 4)
			_, low, _ := Header(packet)
			guess, ok := w.Check(low)
			if _, _, err := o.Open(nil, packet, guess); !ok || err != nil {
				t.Fatalf("packet %d: guessed %d, %v, %v", seq, guess, ok, err)
			}
			w.Update(guess)
			if guess, ok := w.Check(low); ok && guess == seq {
				t.Fatalf("packet %d passed twice", seq)
			}
		}
	}
}

func TestWithoutESNTheLastNumberIsTheEnd(t *testing.T) {
	t.Parallel()
	w := newWindow(64, false, 1<<32-1)
	for low := range uint32(100) {
		if _, ok := w.Check(low); ok {
			t.Fatalf("number %d passed after the counter's end (RFC 4303 section 3.3.3: no cycling)", low)
		}
	}
}

func TestSizeZeroTurnsTheCheckOff(t *testing.T) {
	t.Parallel()
	w := newWindow(0, false, 0)
	for range 3 {
		if seq, ok := w.Check(7); !ok || seq != 7 {
			t.Fatal("refused")
		}
		w.Update(7)
	}
	e := newWindow(0, true, 3<<32|5)
	if seq, ok := e.Check(1<<32 - 1); !ok || seq != 2<<32|(1<<32-1) {
		t.Errorf("the nearest guess is in the last round, not %x", seq)
	}
}

// A kill between two stores of Update leaves what the loop below makes: the top moved, old marks not yet cleared.
func TestAnUpdateCutShortPassesNoReplay(t *testing.T) {
	t.Parallel()
	const size = 100
	for _, jump := range []uint64{1, 63, 64, 65, 200, 1000} {
		w := newWindow(size, false, 0)
		seen := map[uint64]bool{}
		for seq := uint64(1); seq <= 500; seq += 1 + seq%3 {
			w.Update(seq)
			seen[seq] = true
		}
		w.top.Store(w.top.Load() + jump) // killed here
		for seq := range seen {
			if _, ok := w.Check(uint32(seq)); ok {
				t.Fatalf("jump %d: replay of %d passed", jump, seq)
			}
		}
	}
}
