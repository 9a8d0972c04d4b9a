package ikev1

import (
	"testing"

	"github.com/parley-ike/parley/core/machine"
)

// BenchmarkMainAndQuickMode is what both machines together spend on a tunnel: main mode, quick mode and deletion, with plugins that cost
// next to nothing.
func BenchmarkMainAndQuickMode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p := &player{newWorld(b)}
		p.quiet, p.bare = true, true
		p.makeNodes(nil)
		p.initiate("a", nil)
		p.run()
		p.step(p.sa("a1"), machine.Terminate{})
		p.run()
		if p.sa("b1").State() != Closed {
			b.Fatal("it did not come up, or not down")
		}
	}
}
