//go:build race

package link

import (
	"errors"
	"syscall"
)

// The race detector learns from the standard library's calls, and only from them, that what was written happened before
// it was read.

func readNow(fd uintptr, p []byte) (int, syscall.Errno)  { return seen(syscall.Read(int(fd), p)) }
func writeNow(fd uintptr, p []byte) (int, syscall.Errno) { return seen(syscall.Write(int(fd), p)) }

func seen(n int, err error) (int, syscall.Errno) {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return 0, errno
	}
	return n, 0
}
