package ikev2

import "testing"

// Each IKE SA, that of a rekeying included, gives its keys away once on either side, and only when the operator wants it.
func TestKeysAreExportedOnlyOnDemand(t *testing.T) {
	t.Parallel()
	for demanded, want := range map[bool]int{false: 0, true: 4} {
		p := &player{newWorld(t)}
		p.makeNodes(nil)
		for _, n := range p.nodes {
			n.env.ExportKeys = demanded
		}
		p.initiate("a", nil)
		p.run()
		p.command([]string{"rekey", "a1"})
		p.run()
		if len(p.exported) != want {
			t.Fatalf("%d IKE SAs gave their keys away, want %d", len(p.exported), want)
		}
		for _, i := range []int{0, 2}[:want/2] {
			a, b := p.exported[i], p.exported[i+1]
			if a.SPIi != b.SPIi || a.SPIr != b.SPIr || a.SPIr == 0 || !a.EncrI.Equal(b.EncrI) || !a.EncrR.Equal(b.EncrR) || a.Encr == 0 || zero(a.EncrI) {
				t.Errorf("the two ends of SA %d gave away different keys", i/2+1)
			}
		}
	}
}
