package userspace

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkStream sends one TCP stream through a tunnel between two namespaces on this machine, both ends and the stream itself
// sharing its cores, in inner packets of at most 1400 octets. CPU is that of the plugin's process with the stream's end in it.
func BenchmarkStream(b *testing.B) {
	for _, s := range suites {
		for _, encap := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/udp=%v", s.name, encap), func(b *testing.B) {
				l := newLab(b)
				l.startBoth(Config{MTU: 1400})
				l.install(tunnel{id: 1, encr: s.encr, bits: s.bits, integ: s.integ, esn: s.esn, encap: encap})
				to := netip.AddrPortFrom(inner4[1], streamPort)
				l.node[1].must(request{Op: "sink", From: to})
				before := [2]time.Duration{l.node[0].must(request{Op: "cpu"}).CPU, l.node[1].must(request{Op: "cpu"}).CPU}
				const milliseconds = 2000
				var sent uint64
				for b.Loop() {
					sent += l.node[0].must(request{Op: "stream", From: netip.AddrPortFrom(inner4[0], 0), To: to, N: milliseconds}).Bytes
				}
				b.StopTimer()
				gb := float64(sent) / 1e9
				b.ReportMetric(gb*8e3/(float64(b.N)*milliseconds/1000), "Mb/s")
				for i, name := range []string{"cpu-s/GB-sender", "cpu-s/GB-receiver"} {
					b.ReportMetric((l.node[i].must(request{Op: "cpu"}).CPU-before[i]).Seconds()/gb, name)
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
