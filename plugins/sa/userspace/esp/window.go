package esp

import "sync/atomic"

const (
	wordBits = 64
	// inferWindow is the span around the highest sequence number in which the high half of an ESN is guessed when the
	// anti-replay check is off: the nearest one.
	inferWindow = 1 << 31
)

// Window is the anti-replay window of one inbound SA (RFC 4303 section 3.4.3), of any size, with the guess of the high half of
// extended sequence numbers (appendix A2). It is a ring of words (as in RFC 6479), so that moving it costs no shifting. Its
// memory belongs to the caller and may be a mapping of a file; other processes may read it, one goroutine at a time updates it.
type Window struct {
	size uint32
	esn  bool
	top  *atomic.Uint64 // highest authenticated sequence number
	ring []atomic.Uint64
}

// WindowWords returns how many words of memory a window of size packets needs.
func WindowWords(size uint32) int { return int((uint64(size)+wordBits-1)/wordBits) + 1 }

// NewWindow returns a window of size packets over memory that is zero for a new SA, or as an earlier Window left it. Size 0
// turns the check off. The ring must have WindowWords(size) words.
func NewWindow(size uint32, esn bool, top *atomic.Uint64, ring []atomic.Uint64) *Window {
	return &Window{size: size, esn: esn, top: top, ring: ring[:WindowWords(size)]}
}

// Check tells, before anything is verified, whether a packet with these low 32 bits may be new, and what its full sequence
// number is. It changes nothing: Update does, once the ICV was found right (RFC 4303 section 3.4.3).
func (w *Window) Check(low uint32) (seq uint64, ok bool) {
	top := w.top.Load()
	seq = uint64(low)
	if w.esn {
		if seq, ok = infer(top, low, w.span()); !ok {
			return 0, false
		}
	}
	if seq == 0 { // the first packet has number 1 (RFC 4303 section 3.3.3)
		return 0, false
	}
	if w.size == 0 || seq > top {
		return seq, true
	}
	if top-seq >= uint64(w.size) {
		return 0, false
	}
	return seq, w.ring[seq/wordBits%uint64(len(w.ring))].Load()&(1<<(seq%wordBits)) == 0
}

func (w *Window) span() uint32 {
	if w.size == 0 {
		return inferWindow
	}
	return w.size
}

// infer guesses the full number from its low half (RFC 4303 appendix A2.2): below the window means the next round of 2^32.
func infer(top uint64, low, span uint32) (uint64, bool) {
	th, tl := top>>32, uint32(top)
	bottom := tl - span + 1 // modulo 2^32
	switch {
	case tl >= span-1 && low < bottom: // case A: the window lies in one round
		th++
	case tl < span-1 && low >= bottom: // case B: the window reaches back into the last round
		th--
	}
	return th<<32 | uint64(low), th <= 1<<32-1 // neither before the first round nor beyond the last
}

// Update records an authenticated packet, and tells whether its number is higher than all before. The top moves before the words ahead are cleared: killed in between, the window
// holds stale marks, which may drop a fresh packet but pass no replay.
func (w *Window) Update(seq uint64) (newest bool) {
	top := w.top.Load()
	if newest = seq > top; newest {
		w.top.Store(seq)
		w.advance(top/wordBits, seq/wordBits)
	}
	word := &w.ring[seq/wordBits%uint64(len(w.ring))]
	word.Store(word.Load() | 1<<(seq%wordBits))
	return newest
}

func (w *Window) advance(from, to uint64) {
	n := uint64(len(w.ring))
	for i := range min(to-from, n) {
		w.ring[(to-i)%n].Store(0)
	}
}
