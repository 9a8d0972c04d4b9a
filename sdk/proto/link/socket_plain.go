//go:build !race

package link

import (
	"syscall"
	"unsafe"
)

func readNow(fd uintptr, p []byte) (int, syscall.Errno)  { return plain(syscall.SYS_READ, fd, p) }
func writeNow(fd uintptr, p []byte) (int, syscall.Errno) { return plain(syscall.SYS_WRITE, fd, p) }

func plain(trap, fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}
