package bench

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

var (
	profileDir = flag.String("profile", "", "write CPU profiles of the gateways into this folder")
	repeats    = flag.Int("repeats", 5, "rounds of each measurement")
)

func TestMain(m *testing.M) {
	Main()
	flag.Parse()
	os.Exit(m.Run())
}

// startPair starts a pair that ends with the test.
func startPair(t testing.TB, o Options) *Pair {
	t.Helper()
	dir, err := os.MkdirTemp("", "parley-bench") // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	o.Dir, o.Profile = dir, *profileDir
	p, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(); _ = os.RemoveAll(dir) })
	return p
}

func run(t testing.TB, p *Pair, n, inFlight int) Round {
	t.Helper()
	r, err := p.Run(n, inFlight)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// handshakes in a round, by how many are in flight: a second or so of work.
var suites = []struct {
	name, proposal string
	version        uint8
	keys           lab.KeyKind
	rounds         map[int]int
}{
	{"PSK X25519", x25519, 0, "", map[int]int{1: 500, 64: 2000, 256: 2500}},
	{"PSK P-256", "aes128gcm16-prfsha256-ecp256", 0, "", map[int]int{1: 500, 64: 2000, 256: 2500}},
	{"PSK MODP-2048", "aes128gcm16-prfsha256-modp2048", 0, "", map[int]int{1: 200, 64: 500, 256: 700}},
	{"ECDSA P-256 X25519", x25519, 0, lab.P256, map[int]int{1: 300, 64: 1000, 256: 1200}},
	{"Ed25519 X25519", x25519, 0, lab.Ed25519, map[int]int{1: 300, 64: 1000, 256: 1200}},
	{"RSA-2048 X25519", x25519, 0, lab.RSA2048, map[int]int{1: 200, 64: 500, 256: 600}},
	{"IKEv1 PSK MODP-2048", "aes128-sha256-modp2048", 1, "", map[int]int{1: 200, 64: 500, 256: 700}},
	{"IKEv1 PSK X25519", "aes128-sha256-x25519", 1, "", map[int]int{1: 500, 64: 2000, 256: 2500}},
}

// BenchmarkHandshake measures every suite at 1, 64 and 256 handshakes in flight. The placements take turns, so that the
// noise of a shared machine meets both.
func BenchmarkHandshake(b *testing.B) {
	var cases []Case
	for _, s := range suites {
		for _, inFlight := range []int{1, 64, 256} {
			c := Case{Name: s.name, InFlight: inFlight}
			b.Run(fmt.Sprintf("%s/inflight=%d", strings.ReplaceAll(s.name, " ", "_"), inFlight), func(b *testing.B) {
				measureCase(b, &c, Options{Proposal: s.proposal, Version: s.version, Keys: s.keys}, s.rounds[inFlight])
			})
			if len(c.Hosted) > 0 {
				cases = append(cases, c)
			}
		}
	}
	fmt.Printf("\n%s; medians of %d rounds; CPU of gateway and plugins for one handshake\n", Machine(), *repeats)
	if err := PrintCases(os.Stdout, cases); err != nil {
		b.Fatal(err)
	}
}

func measureCase(b *testing.B, c *Case, o Options, n int) {
	linked := startPair(b, o)
	o.OutOfProcess = true
	hosted := startPair(b, o)
	for _, p := range []*Pair{linked, hosted} { // fills caches and grows heaps
		run(b, p, n/2, c.InFlight)
	}
	for range *repeats * b.N {
		c.Linked = append(c.Linked, run(b, linked, n, c.InFlight))
		c.Hosted = append(c.Hosted, run(b, hosted, n, c.InFlight))
	}
	b.ReportMetric(0, "ns/op") // of no meaning here
	b.ReportMetric(c.Hosted.Rate(), "handshakes/s")
	b.ReportMetric(micro(c.Hosted.Initiator()), "initiator-cpu-µs")
	b.ReportMetric(micro(c.Hosted.Responder()), "responder-cpu-µs")
	b.ReportMetric(c.Ratio(), "hosted/linked")
}

// BenchmarkMemory measures what an established SA with one child takes when it is idle. With linked plugins the memory of
// sa/memory is in the figure.
func BenchmarkMemory(b *testing.B) {
	const sas, inFlight = 10_000, 64
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "plugins\tside\theap KiB\tRSS KiB\tplugins' RSS KiB\t")
	for _, placement := range []string{"linked", "hosted"} {
		b.Run(placement, func(b *testing.B) {
			p := startPair(b, Options{Proposal: x25519, OutOfProcess: placement == "hosted"})
			run(b, p, 500, inFlight)
			initiator, responder, err := p.Grow(sas, inFlight, nil)
			if err != nil {
				b.Fatal(err)
			}
			PrintMemory(t, placement, "initiator", initiator)
			PrintMemory(t, placement, "responder", responder)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(initiator.RSS/1024, "initiator-KiB/SA")
			b.ReportMetric(responder.RSS/1024, "responder-KiB/SA")
		})
	}
	_ = t.Flush()
	fmt.Printf("\nmemory for each established IKE SA with one child, %d SAs, idle\n%s", sas, &table)
}

func TestHandshakesAreMadeAndCountedWithBothPlacementsOfPlugins(t *testing.T) {
	for _, outOfProcess := range []bool{false, true} {
		r := run(t, startPair(t, Options{Proposal: x25519, OutOfProcess: outOfProcess}), 40, 8)
		if r.Rate() <= 0 || r.Initiator.CPU <= 0 || r.Responder.CPU <= 0 || (r.Responder.PluginCPU > 0) != outOfProcess {
			t.Errorf("out of process %t: %+v", outOfProcess, r)
		}
	}
}

func TestHandshakesWithCertificatesAreMadeWithBothPlacementsOfPlugins(t *testing.T) {
	for _, outOfProcess := range []bool{false, true} {
		if r := run(t, startPair(t, Options{Proposal: x25519, Keys: lab.P256, OutOfProcess: outOfProcess}), 20, 8); r.Rate() <= 0 {
			t.Errorf("out of process %t: %+v", outOfProcess, r)
		}
	}
}

func TestAHandshakeThatFailsIsAnError(t *testing.T) {
	p := startPair(t, Options{Proposal: x25519, responder: "aes128gcm16-prfsha256-ecp256"})
	if r, err := p.Run(1, 1); err == nil || !strings.Contains(err.Error(), "1 of 1 handshakes failed") {
		t.Errorf("suites that do not match gave %+v, %v", r, err)
	}
}

func TestTheMedianIsTheMiddleValue(t *testing.T) {
	if got := Median([]int{9, 1, 5, 1000, 2}); got != 5 {
		t.Errorf("got %d, want 5", got)
	}
	if got := Median[int](nil); got != 0 {
		t.Errorf("got %d of nothing", got)
	}
}

func TestTheRatioComparesBothSidesWithAllTheirProcesses(t *testing.T) {
	c := Case{
		Linked: Rounds{{Initiator: Side{CPU: 100}, Responder: Side{CPU: 100}}},
		Hosted: Rounds{{Initiator: Side{CPU: 80, PluginCPU: 60}, Responder: Side{CPU: 50, PluginCPU: 50}}},
	}
	if got := c.Ratio(); got != 1.2 {
		t.Errorf("got %v, want 1.2", got)
	}
}
