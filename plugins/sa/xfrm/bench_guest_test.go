package xfrm

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/conformance/kit/guest"
	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
	"github.com/parley-ike/parley/sdk/sa"
)

// bulk is how many children a large gateway may have.
const bulk = 10_000

// BenchmarkChildren installs and removes many children in a guest kernel and tells what one costs: how many a second, how much
// processor time of the plugin and the kernel together, and how long one install takes.
func BenchmarkChildren(b *testing.B) {
	if guest.Inside() {
		b.Skip("this is the guest")
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	text := guest.Run(b, 4*time.Minute, self, "-test.run=^$", "-test.bench=^BenchmarkGuestChildren$", "-test.benchtime=1x")
	for line := range strings.Lines(text) {
		if strings.Contains(line, "children/s") {
			b.Log(strings.TrimSpace(line))
		}
	}
}

func BenchmarkGuestChildren(b *testing.B) {
	if !guest.Inside() {
		b.Skip("runs within BenchmarkChildren")
	}
	p, err := New(Config{StateDir: b.TempDir(), RouteTable: -1}, Sockets{})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	for range b.N {
		times := make([]time.Duration, bulk)
		rate, cpu := measured(b, func(i int) error {
			start := time.Now()
			err := p.Install(context.Background(), oneOf(i))
			times[i] = time.Since(start)
			return err
		})
		slices.Sort(times)
		b.ReportMetric(rate, "children/s")
		b.ReportMetric(cpu, "µs-cpu/child")
		b.ReportMetric(float64(times[bulk/2].Microseconds()), "µs-median")
		b.ReportMetric(float64(times[bulk*99/100].Microseconds()), "µs-99%")
		rate, cpu = measured(b, func(i int) error { _, err := p.Remove(context.Background(), oneOf(i)); return err })
		b.ReportMetric(rate, "removed/s")
		b.ReportMetric(cpu, "µs-cpu/removed")
	}
}

// measured does something for each child; it returns how many a second, and the processor time of one in microseconds.
func measured(b *testing.B, do func(i int) error) (rate, cpu float64) {
	start, before := time.Now(), spent(b)
	for i := range bulk {
		if err := do(i); err != nil {
			b.Fatal(err)
		}
	}
	return bulk / time.Since(start).Seconds(), float64((spent(b) - before).Microseconds()) / bulk
}

func spent(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// oneOf describes the children of as many peers, with a network behind each.
func oneOf(i int) sa.Child {
	c := children(1, suite{20, 128, 0}, true, false, false)[0]
	binary.BigEndian.PutUint32(c.UID[:], uint32(i))
	c.ReqID, c.SPIIn, c.SPIOut = uint32(i)+1, 0x10000+uint32(i), 0x20000+uint32(i)
	c.Remote = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
	c.LocalTS, c.RemoteTS = c.LocalTS[:1], []sa.Selector{guestlab.Subnet(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 100 + byte(i>>12), byte(i >> 4), byte(i << 4)}), 28).String())}
	return c
}
