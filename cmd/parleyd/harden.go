package main

import (
	"math"

	"golang.org/x/sys/unix"
)

// harden prepares the process for secrets and for children.
func harden() {
	// A core would hold keys. A program that the kernel pipes cores to gets them with a limit of 0, but not with 1, and not
	// from a process that is not dumpable. Plugins inherit the limit.
	if unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}) != nil {
		_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	}
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	// Whoever started us may have left files open; plugins are not to have them.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	// Between its creation and its own mode, nobody else may connect to a socket.
	unix.Umask(unix.Umask(0o022) | 0o022)
}
