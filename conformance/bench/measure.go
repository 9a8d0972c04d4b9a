package bench

import (
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a gateway has used so far.
type Usage struct {
	CPU, PluginCPU time.Duration
	Heap           uint64 // octets of live objects and of garbage not yet collected
	RSS, PluginRSS uint64 // octets
}

// CPUSince is the CPU time of gateway and plugins since before.
func (u Usage) CPUSince(before Usage) time.Duration {
	return u.CPU + u.PluginCPU - before.CPU - before.PluginCPU
}

// measure reads the clocks of our process and of the plugins', and with settle the memory, after what is free has gone
// back to the kernel.
func measure(plugins []int, settle bool) (u Usage, err error) {
	if u.CPU, err = cpuTime(0); err != nil {
		return u, err
	}
	for _, pid := range plugins {
		t, err := cpuTime(pid)
		if err != nil {
			return u, err
		}
		u.PluginCPU += t
	}
	if settle {
		err = u.measureMemory(plugins)
	}
	return u, err
}

func (u *Usage) measureMemory(plugins []int) (err error) {
	for range 2 { // the second finds what finalizers and pools let go
		debug.FreeOSMemory()
	}
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	u.Heap = heap[0].Value.Uint64()
	if u.RSS, err = rss(os.Getpid()); err != nil {
		return err
	}
	for _, pid := range plugins {
		n, err := rss(pid)
		if err != nil {
			return err
		}
		u.PluginRSS += n
	}
	return nil
}

// cpuTime is the time that all threads of a process have run, 0: our own.
func cpuTime(pid int) (time.Duration, error) {
	clock := int32(unix.CLOCK_PROCESS_CPUTIME_ID)
	if pid != 0 {
		clock = int32(^pid<<3 | 2) // clock_getcpuclockid(3)
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("bench: CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// rss is a process's resident memory without what is only mapped from files, which its siblings share.
func rss(pid int) (uint64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kB, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("bench: the kernel does not tell the resident memory of process %d", pid)
}
