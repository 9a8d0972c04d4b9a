package guest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A guest's clock is a timer of this machine that sends it SIGALRM once, for the next thing that is due; handling it asks for the one
// after. When one is lost the guest waits for it for ever, with everything in it. So it is sent one now and then: the guest looks what
// is due, and asks again.
const beatEvery = 100 * time.Millisecond

// beat does so with a process until the returned function is called.
func beat(pid int) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(beatEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if catches(pid, syscall.SIGALRM) {
					_ = syscall.Kill(pid, syscall.SIGALRM)
				}
			}
		}
	}()
	return func() { close(done); <-ended }
}

// catches reports whether a process handles a signal, which would end it otherwise: a guest that boots does not yet.
func catches(pid int, signal syscall.Signal) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	_, caught, _ := strings.Cut(string(status), "\nSigCgt:")
	mask, _, _ := strings.Cut(strings.TrimSpace(caught), "\n")
	bits, err := strconv.ParseUint(mask, 16, 64)
	return err == nil && bits&(1<<(signal-1)) != 0
}
