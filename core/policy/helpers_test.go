package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// offer builds an SA payload as a peer sends it from proposals in the short notation of the peers' table:
// "c256 g128 / s256 / p256 / 14 19" is encryption, integrity, PRF and groups, for ESP "c256 / s256 / 14 0". Numbers count from 1.
func offer(t testing.TB, scope Scope, lines ...string) wire2.SA {
	t.Helper()
	var sa wire2.SA
	for i, line := range lines {
		p := wire2.Proposal{Number: uint8(i + 1), Protocol: scope.protocol()}
		if scope == ScopeESP {
			p.SPI = []byte{1, 2, 3, byte(i)}
			line += " / noesn"
		}
		for _, w := range strings.Fields(strings.ReplaceAll(line, "/", " ")) {
			p.Transforms = append(p.Transforms, toWire(short(t, w)))
		}
		sa.Proposals = append(sa.Proposals, p)
	}
	return sa
}

var shortWords = map[string]Transform{
	"c128": {Type: 1, ID: 12, KeyBits: 128}, "c192": {Type: 1, ID: 12, KeyBits: 192}, "c256": {Type: 1, ID: 12, KeyBits: 256},
	"g128": {Type: 1, ID: 20, KeyBits: 128}, "g192": {Type: 1, ID: 20, KeyBits: 192}, "g256": {Type: 1, ID: 20, KeyBits: 256},
	"ctr256": {Type: 1, ID: 13, KeyBits: 256}, "ctr128": {Type: 1, ID: 13, KeyBits: 128}, "cp": {Type: 1, ID: 28}, "3des": {Type: 1, ID: 3}, "bf": {Type: 1, ID: 7},
	"s1": {Type: 3, ID: 2}, "s256": {Type: 3, ID: 12}, "s384": {Type: 3, ID: 13}, "s512": {Type: 3, ID: 14}, "xcbc": {Type: 3, ID: 5},
	"cmac": {Type: 3, ID: 8}, "md5": {Type: 3, ID: 1}, "inone": {Type: 3},
	"p1": {Type: 2, ID: 2}, "p256": {Type: 2, ID: 5}, "p384": {Type: 2, ID: 6}, "p512": {Type: 2, ID: 7}, "pxcbc": {Type: 2, ID: 4},
	"pcmac": {Type: 2, ID: 8},
	"esn":   {Type: 5, ID: 1}, "noesn": {Type: 5},
}

func short(t testing.TB, w string) Transform {
	t.Helper()
	if tr, ok := shortWords[w]; ok {
		return tr
	}
	var group uint16
	for _, c := range w {
		if c < '0' || c > '9' {
			t.Fatalf("no short word %q", w)
		}
		group = group*10 + uint16(c-'0')
	}
	return Transform{Type: wire2.TransformKE, ID: group}
}

func parse(t testing.TB, scope Scope, all ...string) []Proposal {
	t.Helper()
	var out []Proposal
	for _, s := range all {
		p, err := ParseProposal(scope, s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// chosen returns the suite, or "" for a mismatch.
func chosen(scope Scope, ours []Proposal, sa wire2.SA, ke uint16) string {
	c, m := Choose(scope, ours, sa, ke)
	if m != nil {
		return ""
	}
	return c.Suite.String()
}

// inSet reports whether a suite is one combination of an offered proposal.
func inSet(s suite.Suite, p wire2.Proposal) bool {
	has := func(typ wire2.TransformType, id uint16, bits int) bool {
		want := toWire(Transform{Type: typ, ID: id, KeyBits: bits})
		absent := !slices.ContainsFunc(p.Transforms, func(w wire2.Transform) bool { return w.Type == typ })
		return absent && id == 0 || slices.ContainsFunc(p.Transforms, func(w wire2.Transform) bool {
			return w.Type == want.Type && w.ID == want.ID && slices.EqualFunc(w.Attributes, want.Attributes, func(a, b wire2.Attribute) bool { return a.Type == b.Type && a.Value == b.Value })
		})
	}
	return has(1, uint16(s.Encr), s.KeyBits) && has(2, uint16(s.PRF), 0) && has(3, uint16(s.Integ), 0) && has(4, uint16(s.KE), 0)
}
