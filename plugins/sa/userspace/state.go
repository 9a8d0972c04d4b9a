package userspace

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/userspace/esp"
	"github.com/parley-ike/parley/sdk/sa"
)

// Limits of the state file.
const (
	maxReplayWindow = 4096 // packets; more than any driver or kernel offers
	ringWords       = maxReplayWindow/64 + 1
	slotSize        = 1024
	slotCount       = 8192 // children of one daemon; 8 MiB of file
	stateMagic      = 0x7061726c65790001
	stateName       = "sequence-numbers"
	lockPatience    = 3 * time.Second // a killed predecessor's lock and TUN device fall shortly after its stream's end
	staleAfter      = time.Hour       // a child of an earlier life that nobody installed again by then is gone
)

// Kinds of slot. A retired slot keeps its keys' fingerprint and counter until the room is needed, so that keys that are removed
// and installed again go on counting.
const (
	slotFree uint32 = iota
	slotLive
	slotRetired
)

// slot is the state of one child that must survive a kill. Its layout is the file's; the file does not outlive a boot, so the
// machine's byte order is good enough. All words that change with packets are atomic: the stores of a killed process are
// kept by the kernel in the order in which they were made.
type slot struct {
	kind       atomic.Uint32
	spiIn      uint32
	spiOut     uint32
	window     uint32
	uid        sa.UID
	keyOut     [16]byte // fingerprint of the outbound keys
	keyIn      [16]byte
	retired    uint64        // order of retirement
	sent       atomic.Uint64 // last sequence number handed out
	top        atomic.Uint64 // inbound: highest authenticated sequence number
	bytesIn    atomic.Uint64
	bytesOut   atomic.Uint64
	packetsIn  atomic.Uint64
	packetsOut atomic.Uint64
	ring       [ringWords]atomic.Uint64
	claimed    atomic.Bool // by a child of this process; stale after a restart, see openState
	_          [slotSize - 72 - 6*8 - ringWords*8 - 4]byte
}

// The compiler checks that slots tile the file.
var (
	_ [slotSize - unsafe.Sizeof(slot{})]byte
	_ [unsafe.Sizeof(slot{}) - slotSize]byte
)

// Errors about slots.
var (
	errStateFull = fmt.Errorf("the state file holds %d children already; remove some first", slotCount)
	errKeyReused = errors.New("its outbound keys belong to another child: the nonces of both would repeat; negotiate fresh keys")
)

// state is the mapped file of slots. Its lock makes sure that one process uses it.
type state struct {
	mu    sync.Mutex
	file  *os.File
	mem   []byte
	slots []slot
	used  int    // slots that the file has; it grows as they are needed
	clock uint64 // of retirements
	since time.Time
}

// openState maps the file of slots in dir, making it when there is none.
func openState(dir string) (*state, error) {
	path := filepath.Join(dir, stateName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sa/userspace: sequence numbers: %w", err)
	}
	s := &state{file: f, since: time.Now()}
	if err := s.prepare(path); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *state) prepare(path string) error {
	if err := lockFile(s.file); err != nil {
		return fmt.Errorf("sa/userspace: %s is in use: another plugin with this state_dir runs; stop it or name another state_dir: %w", path, err)
	}
	if err := s.file.Chmod(0o600); err != nil {
		return fmt.Errorf("sa/userspace: %s: %w", path, err)
	}
	info, err := s.file.Stat()
	if err != nil {
		return fmt.Errorf("sa/userspace: %s: %w", path, err)
	}
	if s.used = int(info.Size())/slotSize - 1; s.used < 0 {
		if err := s.reserve(-1); err != nil {
			return fmt.Errorf("sa/userspace: %s: %w; make room on its disk", path, err)
		}
		s.used = 0
	}
	const size = (1 + slotCount) * slotSize // beyond the file's end it is never touched: that would be a fault
	mem, err := unix.Mmap(int(s.file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("sa/userspace: mapping %s: %w; state_dir must be on a file system that can be mapped", path, err)
	}
	s.mem = mem
	magic := (*atomic.Uint64)(unsafe.Pointer(&mem[0]))
	if got := magic.Load(); got != 0 && got != stateMagic {
		return fmt.Errorf("sa/userspace: %s is not a state file of this version (%x); with no tunnel up, delete it", path, got)
	}
	magic.Store(stateMagic)
	s.slots = unsafe.Slice((*slot)(unsafe.Pointer(&mem[slotSize])), slotCount)
	s.used = min(s.used, slotCount)
	for i := range s.used {
		s.slots[i].claimed.Store(false)
		s.clock = max(s.clock, s.slots[i].retired)
	}
	return nil
}

func lockFile(f *os.File) (err error) {
	for end := time.Now().Add(lockPatience); ; time.Sleep(20 * time.Millisecond) {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil || !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) {
			return err
		}
	}
}

// close unmaps the file; no slot may be used afterwards.
func (s *state) close() {
	if s.mem != nil {
		_ = unix.Munmap(s.mem)
		s.mem, s.slots = nil, nil
	}
	_ = s.file.Close()
}

// fingerprint names keys without telling them: 128 bits of SHA-256 over keys of at least 128 random bits.
func fingerprint(encr uint16, keys ...[]byte) (out [16]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "parley sa/userspace %d ", encr)
	for _, k := range keys {
		fmt.Fprintf(h, "%d:", len(k))
		h.Write(k)
	}
	copy(out[:], h.Sum(nil))
	return out
}

// reserve lengthens the file by one slot, or the header (-1), with memory behind it, so that a full disk is an error here and
// no fault later.
func (s *state) reserve(place int) error {
	at := int64(1+place) * slotSize
	err := unix.Fallocate(int(s.file.Fd()), 0, at, slotSize)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return s.file.Truncate(at + slotSize)
	}
	return err
}

// claim finds the slot of a child, or makes one: by the outbound keys, since they are what must never meet a number twice.
// The error says why none can be had.
func (s *state) claim(c *sa.Child) (*slot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, in := fingerprint(c.Encr, c.EncrOut, c.IntegOut), fingerprint(c.Encr, c.EncrIn, c.IntegIn)
	place, oldest := -1, uint64(1<<64-1)
	for i := range s.used {
		sl := &s.slots[i]
		if sl.kind.Load() != slotFree && sl.keyOut == out {
			return sl, sl.revive(c, in)
		}
		if age, ok := s.reusable(sl); ok && age < oldest {
			place, oldest = i, age
		}
	}
	if s.used < slotCount && oldest > 0 {
		if err := s.reserve(s.used); err != nil {
			return nil, fmt.Errorf("no room for its sequence numbers: %w; make room on the disk of %s", err, s.file.Name())
		}
		place, s.used = s.used, s.used+1
	}
	if place < 0 {
		return nil, errStateFull
	}
	s.slots[place].reset(c, out, in)
	return &s.slots[place], nil
}

// reusable tells whether a used slot may serve another child, and orders those that may: retired ones by their retirement,
// then those that an earlier life of the plugin left and that nobody asked for.
func (s *state) reusable(sl *slot) (age uint64, ok bool) {
	switch sl.kind.Load() {
	case slotFree:
		return 0, true
	case slotRetired:
		return sl.retired, true
	}
	return 1 << 63, !sl.claimed.Load() && time.Since(s.since) > staleAfter
}

// revive takes a slot over that already counts for these outbound keys.
func (sl *slot) revive(c *sa.Child, in [16]byte) error {
	if sl.claimed.Load() && sl.uid != c.UID {
		return errKeyReused
	}
	switch {
	case sl.keyIn != in:
		sl.setInbound(0, 0) // another inbound SA: its numbers start anew
	case sl.window != c.ReplayWindow:
		sl.setInbound(sl.top.Load(), ^uint64(0)) // another layout: all up to the top counts as seen
	}
	if sl.uid != c.UID {
		sl.clearUsage()
	}
	sl.fill(c)
	sl.keyIn = in
	sl.claimed.Store(true)
	sl.kind.Store(slotLive)
	return nil
}

// reset makes a new slot. It counts only when its kind is stored, last.
func (sl *slot) reset(c *sa.Child, out, in [16]byte) {
	sl.kind.Store(slotFree)
	sl.setInbound(0, 0)
	sl.fill(c)
	sl.keyOut, sl.keyIn, sl.retired = out, in, 0
	sl.sent.Store(0)
	sl.clearUsage()
	sl.claimed.Store(true)
	sl.kind.Store(slotLive)
}

func (sl *slot) fill(c *sa.Child) {
	sl.uid, sl.spiIn, sl.spiOut, sl.window = c.UID, c.SPIIn, c.SPIOut, c.ReplayWindow
}

func (sl *slot) clearUsage() {
	for _, n := range []*atomic.Uint64{&sl.bytesIn, &sl.bytesOut, &sl.packetsIn, &sl.packetsOut} {
		n.Store(0)
	}
}

func (sl *slot) setInbound(top, marks uint64) {
	sl.top.Store(top)
	for i := range sl.ring {
		sl.ring[i].Store(marks)
	}
}

// retireUID retires what an earlier life of the plugin left of a child.
func (s *state) retireUID(uid sa.UID) {
	for i := range s.used {
		if sl := &s.slots[i]; sl.kind.Load() == slotLive && !sl.claimed.Load() && sl.uid == uid {
			s.retire(sl)
		}
	}
}

// retire gives a slot back.
func (s *state) retire(sl *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	sl.retired = s.clock
	sl.kind.Store(slotRetired)
	sl.claimed.Store(false)
}

func (sl *slot) replayWindow(esn bool) *esp.Window {
	return esp.NewWindow(sl.window, esn, &sl.top, sl.ring[:])
}

func (sl *slot) usage() sa.Usage {
	return sa.Usage{BytesIn: sl.bytesIn.Load(), BytesOut: sl.bytesOut.Load(), PacketsIn: sl.packetsIn.Load(), PacketsOut: sl.packetsOut.Load()}
}

// clear forgets all slots; their keys must be dead.
func (s *state) clear() {
	for i := range s.used {
		s.slots[i].claimed.Store(false)
		s.slots[i].kind.Store(slotFree)
	}
}
