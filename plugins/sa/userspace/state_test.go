package userspace

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk/sa"
)

func mustOpen(t *testing.T, dir string) *state {
	t.Helper()
	s, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keyed(uid, key byte) *sa.Child {
	return &sa.Child{UID: sa.UID{uid}, SPIIn: 300, SPIOut: 301, Encr: 20, ReplayWindow: 64, EncrOut: []byte{key, 1}, EncrIn: []byte{key, 2}}
}

func mustClaim(t *testing.T, s *state, c *sa.Child) *slot {
	t.Helper()
	sl, err := s.claim(c)
	if err != nil {
		t.Fatal(err)
	}
	return sl
}

func TestASlotIsFoundAgainAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	a, b := mustClaim(t, s, keyed(1, 1)), mustClaim(t, s, keyed(2, 2))
	a.sent.Add(41)
	b.sent.Add(7)
	w := a.replayWindow(false)
	w.Update(9)
	s.close() // what a kill does, but for the lock

	s = mustOpen(t, dir)
	defer s.close()
	b, a = mustClaim(t, s, keyed(2, 2)), mustClaim(t, s, keyed(1, 1))
	if a.sent.Load() != 41 || b.sent.Load() != 7 {
		t.Errorf("counters %d and %d", a.sent.Load(), b.sent.Load())
	}
	if _, ok := a.replayWindow(false).Check(9); ok {
		t.Error("the window forgot")
	}
	if c := mustClaim(t, s, keyed(3, 3)); c.sent.Load() != 0 {
		t.Error("fresh keys do not start at zero")
	}
}

func TestKeysThatWereRemovedAndComeBackGoOnCounting(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	defer s.close()
	sl := mustClaim(t, s, keyed(1, 1))
	sl.sent.Add(5)
	s.retire(sl)
	if again := mustClaim(t, s, keyed(9, 1)); again.sent.Load() != 5 {
		t.Errorf("the counter is %d: the nonces of 5 packets would repeat", again.sent.Load())
	}
}

func TestOneKeyForTwoChildrenIsRefused(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	defer s.close()
	mustClaim(t, s, keyed(1, 1))
	if _, err := s.claim(keyed(2, 1)); !errors.Is(err, errKeyReused) {
		t.Errorf("error %v", err)
	}
	mustClaim(t, s, keyed(1, 1)) // the same child is no other
}

func TestAnotherWindowSizeForgetsNoReplay(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	defer s.close()
	c := keyed(1, 1)
	w := mustClaim(t, s, c).replayWindow(false)
	for n := uint64(1); n < 100; n++ {
		w.Update(n)
	}
	c.ReplayWindow = 256
	w = mustClaim(t, s, c).replayWindow(false)
	for n := range uint32(100) {
		if _, ok := w.Check(n); ok {
			t.Fatalf("replay of %d passed", n)
		}
	}
	if _, ok := w.Check(100); !ok {
		t.Error("a fresh packet is refused")
	}
}

func TestAFullFileIsAClearErrorAndRetiredSlotsAreReused(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	defer s.close()
	var first *slot
	for i := range slotCount {
		c := keyed(1, 1)
		c.EncrOut = []byte{byte(i), byte(i >> 8), 3}
		c.UID = sa.UID{byte(i), byte(i >> 8)}
		if sl := mustClaim(t, s, c); i == 0 {
			first = sl
		}
	}
	fresh := keyed(7, 7)
	if _, err := s.claim(fresh); !errors.Is(err, errStateFull) || !strings.Contains(err.Error(), "8192") {
		t.Fatalf("error %v", err)
	}
	first.sent.Add(9)
	s.retire(first)
	if sl := mustClaim(t, s, fresh); sl != first || sl.sent.Load() != 0 {
		t.Error("the retired slot was not made new")
	}
}

func TestAnEarlierLifesSlotsAreNotGivenAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, dir)
	mustClaim(t, s, keyed(1, 1))
	s.close()
	s = mustOpen(t, dir)
	defer s.close()
	if _, ok := s.reusable(&s.slots[0]); ok {
		t.Error("a child that may still be installed again lost its counter")
	}
	s.since = s.since.Add(-2 * staleAfter)
	if _, ok := s.reusable(&s.slots[0]); !ok {
		t.Error("it is kept for ever")
	}
	s.retireUID(sa.UID{1})
	if s.slots[0].kind.Load() != slotRetired {
		t.Error("Remove of an unknown child kept its slot")
	}
}

func TestTheStateFileIsPrivateAndForOnePlugin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, stateName)
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, dir)
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := openState(dir); err == nil || !strings.Contains(err.Error(), "another plugin") {
		t.Errorf("a second plugin: %v", err)
	}
	s.close()
	text, _ := os.ReadFile(path)
	if err := os.WriteFile(path, append([]byte("garbage!"), text[8:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openState(dir); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("garbage: %v", err)
	}
}

func TestAFullDiskIsAnErrorAndNoFault(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Skipf("SKIPPED, no full disk was tried: mounting a small tmpfs: %v; run as root", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	s := mustOpen(t, dir)
	defer s.close()
	var err error
	for i := byte(1); i < 20 && err == nil; i++ {
		_, err = s.claim(keyed(i, i))
	}
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("error %v", err)
	}
}

func TestASequenceNumberIsNeverCycled(t *testing.T) {
	t.Parallel()
	c := &child{slot: &slot{}}
	c.slot.sent.Store(1<<32 - 2)
	if n, ok := c.next(); !ok || n != 1<<32-1 {
		t.Errorf("the last one: %d, %v", n, ok)
	}
	for range 3 {
		if n, ok := c.next(); ok {
			t.Errorf("%d was handed out (RFC 4303 section 3.3.3)", n)
		}
	}
	c.ESN = true
	if _, ok := c.next(); !ok {
		t.Error("an extended number ended early")
	}
}
