package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// What is rekeyed, by the name of the child SAs; "" is the IKE SA.
var rekeyed = []struct{ name, child string }{{"child SA", childName}, {"IKE SA", ""}}

func rekey(t testing.TB, p *Pair, n, inFlight int, child string) Round {
	t.Helper()
	r, err := p.Rekey(n, inFlight, child)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// BenchmarkRekey measures CREATE_CHILD_SA with the exchange that deletes what was replaced, begun by the initiator. Every IKE SA rekeys with X25519; a child SA has a key exchange of its own only when configured,
// and here has none.
func BenchmarkRekey(b *testing.B) {
	rounds := map[int]int{1: 1000, 64: 5000, 256: 5000} // by how many are in flight: a second or so of work
	var cases []Case
	for _, what := range rekeyed {
		for _, inFlight := range []int{1, 64, 256} {
			c := Case{Name: what.name, InFlight: inFlight}
			b.Run(fmt.Sprintf("%s/inflight=%d", strings.ReplaceAll(what.name, " ", "_"), inFlight), func(b *testing.B) {
				measureRekeys(b, &c, rounds[inFlight], what.child)
			})
			if len(c.Hosted) > 0 {
				cases = append(cases, c)
			}
		}
	}
	fmt.Printf("\n%s; medians of %d rounds; CPU of gateway and plugins for one rekeying\n", Machine(), *repeats)
	if err := PrintCases(os.Stdout, cases); err != nil {
		b.Fatal(err)
	}
}

func measureRekeys(b *testing.B, c *Case, n int, child string) {
	const sas = 256
	linked := startPair(b, Options{Proposal: x25519, Brief: true})
	hosted := startPair(b, Options{Proposal: x25519, Brief: true, OutOfProcess: true})
	for _, p := range []*Pair{linked, hosted} {
		run(b, p, sas, 64)
		rekey(b, p, n, c.InFlight, child)
	}
	for range *repeats * b.N {
		c.Linked = append(c.Linked, rekey(b, linked, n, c.InFlight, child))
		c.Hosted = append(c.Hosted, rekey(b, hosted, n, c.InFlight, child))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(c.Hosted.Rate(), "rekeys/s")
	b.ReportMetric(micro(c.Hosted.Initiator()), "initiator-cpu-µs")
	b.ReportMetric(micro(c.Hosted.Responder()), "responder-cpu-µs")
	b.ReportMetric(c.Ratio(), "hosted/linked")
}

// BenchmarkMemoryAfterRekeys measures what an SA with one child takes after each of both was rekeyed fifty times.
func BenchmarkMemoryAfterRekeys(b *testing.B) {
	const sas, times, inFlight = 2500, 50, 64
	p := startPair(b, Options{Proposal: x25519, Brief: true, OutOfProcess: true})
	run(b, p, 500, 64)
	initiator, responder, err := p.Grow(sas, 64, func() error {
		for range times {
			for _, what := range rekeyed {
				if _, err := p.Rekey(sas, inFlight, what.child); err != nil {
					return err
				}
			}
		}
		time.Sleep(time.Second) // what was replaced goes
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(initiator.RSS/1024, "initiator-KiB/SA")
	b.ReportMetric(responder.RSS/1024, "responder-KiB/SA")
	fmt.Printf("\nmemory for each established IKE SA with one child after %d rekeyings, %d SAs\n", 2*times, sas)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "plugins\tside\theap KiB\tRSS KiB\tplugins' RSS KiB\t")
	PrintMemory(t, "hosted", "initiator", initiator)
	PrintMemory(t, "hosted", "responder", responder)
	_ = t.Flush()
}

// BenchmarkHeld measures what 10,000 established SAs cost while nothing happens, without and with the default liveness checks.
func BenchmarkHeld(b *testing.B) {
	const sas, rest = 10_000, 30 * time.Second
	for _, liveness := range []time.Duration{0, 30 * time.Second} {
		b.Run(fmt.Sprintf("liveness=%v", liveness), func(b *testing.B) {
			p := startPair(b, Options{Proposal: x25519, OutOfProcess: true, Liveness: liveness})
			run(b, p, sas, 64)
			time.Sleep(5 * time.Second)
			initiator, responder, err := p.Rest(rest)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(100*initiator, "initiator-%")
			b.ReportMetric(100*responder, "responder-%")
			fmt.Printf("\n%d SAs held for %v, liveness %v: %.2f %% and %.2f %% of a processor\n", sas, rest, liveness, 100*initiator, 100*responder)
		})
	}
}

func TestRekeyingsAreMadeAndCounted(t *testing.T) {
	p := startPair(t, Options{Proposal: x25519, Brief: true})
	run(t, p, 4, 4)
	for _, what := range rekeyed {
		if r := rekey(t, p, 40, 4, what.child); r.Count != 40 || r.Rate() <= 0 || r.Initiator.CPU <= 0 || r.Responder.CPU <= 0 {
			t.Errorf("%s: %+v", what.name, r)
		}
	}
	if _, err := p.Rekey(8, 8, childName); err == nil || !strings.Contains(err.Error(), "there are 4") {
		t.Errorf("rekeying more SAs than there are gave %v", err)
	}
}
