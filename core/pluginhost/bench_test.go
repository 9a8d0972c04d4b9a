package pluginhost

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/core/machine"
)

// BenchmarkCall measures a cheap operation with 32 octets each way. cpu-us/op is the processor time of host and plugin
// together, the figure that the budget of 1.10 (design, section 8) is about.
func BenchmarkCall(b *testing.B) {
	for _, grpcOnly := range []bool{false, true} {
		for _, inFlight := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("carrier=%s/inflight=%d", map[bool]string{false: "framed", true: "grpc"}[grpcOnly], inFlight), func(b *testing.B) {
				benchmarkCall(b, grpcOnly, inFlight)
			})
		}
	}
}

func benchmarkCall(b *testing.B, grpcOnly bool, inFlight int) {
	cfg := quick
	cfg.GRPCOnly = grpcOnly
	w := newWorld(b, cfg, fixture(b, "ke", []string{"ke"}, "ke"))
	l := &load{host: w.Host, left: b.N, done: make(chan struct{})}
	w.cfg.Sink = l.refill
	if err := w.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	pid := w.Status()[0].PID
	before := cpu(0) + cpu(pid)
	b.ReportAllocs()
	b.ResetTimer()
	l.refill(make([]machine.Return, min(inFlight, b.N)))
	<-l.done
	b.StopTimer()
	b.ReportMetric(float64(cpu(0)+cpu(pid)-before)/float64(b.N)/1e3, "cpu-us/op")
	b.ReportMetric(w.Status()[0].P50.Seconds()*1e6, "p50-us")
}

// load keeps a number of calls in flight: each return is followed by a new call, as the shards of an engine do it.
type load struct {
	host *Host
	mu   sync.Mutex
	left int // to be sent
	back int // to come back, less than 0 for the calls that the first refill pretends to be
	sent int
	done chan struct{}
}

func (l *load) refill(returns []machine.Return) {
	l.mu.Lock()
	first := l.sent == 0
	n := min(len(returns), l.left)
	l.left -= n
	l.sent += n
	if !first {
		l.back += len(returns)
	}
	over := l.left == 0 && l.back == l.sent
	l.mu.Unlock()
	if over {
		close(l.done)
		return
	}
	requests := make([]machine.Request, n)
	for i := range requests {
		requests[i] = respond(0, doEcho)
	}
	l.host.Submit(requests)
}

// cpu is the processor time of a process, 0: our own.
func cpu(pid int) time.Duration {
	var ts unix.Timespec
	clock := int32(unix.CLOCK_PROCESS_CPUTIME_ID)
	if pid != 0 {
		clock = int32(^pid<<3 | 2) // the kernel's name for another process's clock
	}
	_ = unix.ClockGettime(clock, &ts)
	return time.Duration(ts.Nano())
}

// BenchmarkStart measures from the start of a process until calls may come.
func BenchmarkStart(b *testing.B) {
	w := newWorld(b, quick, fixture(b, "ke", []string{"ke"}, "ke"))
	w.cfg.Bus = bus.New()
	s := w.supervisors[0]
	if _, err := w.images.load(s.entry.Path, ""); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := w.launch(b.Context(), s.entry, s.log)
		if err != nil {
			b.Fatal(err)
		}
		r.end(false, 0)
	}
}
