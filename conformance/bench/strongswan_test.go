package bench

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// charonConf has a connection that a flood's proposal fits.
const charonConf = `connections {
  any {
    version = 2
    local  { auth = psk }
    remote { auth = psk }
    children { any { } }
  }
}
`

// charonSettings are those of charon's best case: SAs in a table of many lists, and a cookie from the first half-open SAs on.
const charonSettings = "ikesa_table_size = 4096\nikesa_table_segments = 16\ncookie_threshold = 30"

// BenchmarkCookiesBesideStrongSwan measures in turns what a demand for a cookie costs us and Debian's charon (RFC 7296 section 2.6):
// machines differ, so that figures of one run compare, and others do not.
func BenchmarkCookiesBesideStrongSwan(b *testing.B) {
	ns, charon := startCharon(b)
	p := startPair(b, Options{Proposal: x25519, Flooded: true})
	if _, err := p.Flood(spoofed, time.Second); err != nil { // fills the half-open SAs
		b.Fatal(err)
	}
	var ours, theirs []time.Duration
	for range *repeats * b.N {
		f, err := p.Flood(spoofed, 2*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		ours, theirs = append(ours, f.PerCookie()), append(theirs, floodCharon(b, ns, charon))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(micro(Median(ours)), "cpu-µs/cookie")
	b.ReportMetric(micro(Median(theirs)), "strongSwan-cpu-µs/cookie")
	fmt.Printf("\na demand for a cookie at %d first messages a second, medians of %d rounds: %.1f µs; strongSwan in the same minutes: %.1f µs\n",
		spoofed, len(ours), micro(Median(ours)), micro(Median(theirs)))
}

// startCharon starts a charon that logs nothing, in a network namespace of its own.
func startCharon(b *testing.B) (*lab.Namespace, *lab.StrongSwan) {
	b.Helper()
	root, err := lab.Unpack(lab.StrongSwanPackages, os.Stderr)
	if err != nil {
		b.Skipf("SKIPPED, not measured here: no strongSwan: %v", err)
	}
	ns, err := lab.NewNamespace("charon")
	if err != nil {
		b.Skipf("SKIPPED, not measured here: %v", err)
	}
	b.Cleanup(ns.Close)
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
	defer cancel()
	charon, err := lab.StartStrongSwan(ctx, ns, root, b.TempDir(), charonConf, lab.Charon{Quiet: true, Settings: charonSettings})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(charon.Stop)
	return ns, charon
}

// floodCharon floods it over the loopback of its namespace, and returns what each answer cost.
func floodCharon(b *testing.B, ns *lab.Namespace, charon *lab.StrongSwan) (cost time.Duration) {
	b.Helper()
	err := ns.Do(func() error {
		flood, err := NewFlood(netip.MustParseAddrPort("127.0.0.1:500"), x25519)
		if err != nil {
			return err
		}
		defer flood.Close()
		before, err := cpuTime(charon.PID())
		if err != nil {
			return err
		}
		out := datagramsOut()
		sent, err := flood.Run(spoofed, 2*time.Second)
		if err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond) // it answers the last ones
		after, err := cpuTime(charon.PID())
		cost = (after - before) / time.Duration(max(datagramsOut()-out-sent, 1))
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return cost
}

// datagramsOut is how many UDP datagrams the network namespace of this thread has sent; 0 when the kernel does not tell.
func datagramsOut() (n int) {
	counters, _ := os.ReadFile("/proc/thread-self/net/snmp")
	_, rest, _ := strings.Cut(string(counters), "\nUdp: ") // names
	_, values, _ := strings.Cut(rest, "\nUdp: ")
	var in, noPort, faulty int
	_, _ = fmt.Sscan(values, &in, &noPort, &faulty, &n)
	return n
}
