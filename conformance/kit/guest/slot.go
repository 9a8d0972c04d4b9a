package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// slots is how many guests run on the machine at a time. Each has one processor, and with more guests than processors what runs in them
// misses its deadlines.
const slots = 2

// takeSlot waits for one of the slots, which all processes of this user share, and returns its number and what gives it back.
func takeSlot(t testing.TB) (number int, give func()) {
	t.Helper()
	for {
		for i := range slots {
			if f := tryLock(t, filepath.Join(os.TempDir(), fmt.Sprintf("parley-guest-%d-%d.lock", os.Getuid(), i))); f != nil {
				return i, func() { _ = f.Close() }
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// tryLock locks a file until it is closed, or returns nil when another process, or another test, has it.
func tryLock(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil
	}
	return f
}
