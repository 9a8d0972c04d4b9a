package policy

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// slowChoose tries every combination of every proposal of ours in order of preference, the tiers first, then encryption,
// integrity, PRF and last the key exchange; among those that differ in the key exchange only, the peer's method wins.
func slowChoose(scope Scope, ours []Proposal, sa wire2.SA, peerKE uint16) (suite.Suite, bool) {
	offered := func(s suite.Suite) bool {
		return slices.ContainsFunc(sa.Proposals, func(p wire2.Proposal) bool { return inSet(s, p) })
	}
	ids := func(p Proposal, typ wire2.TransformType) []Transform {
		all := slices.DeleteFunc(slices.Clone(p), func(t Transform) bool { return t.Type != typ })
		if len(all) == 0 {
			all = []Transform{{}}
		}
		return all
	}
	for _, p := range ours {
		for _, e := range ids(p, 1) {
			for _, i := range ids(p, 3) {
				for _, f := range ids(p, 2) {
					s := suite.Suite{Encr: suite.EncrID(e.ID), KeyBits: e.KeyBits, Integ: suite.IntegID(i.ID), PRF: suite.PRFID(f.ID)}
					groups := ids(p, 4)
					if s.KE = suite.KEID(peerKE); slices.ContainsFunc(groups, func(t Transform) bool { return t.ID == peerKE }) && offered(s) {
						return s, true
					}
					for _, k := range groups {
						if s.KE = suite.KEID(k.ID); offered(s) {
							return s, true
						}
					}
				}
			}
		}
	}
	return suite.Suite{}, false
}

// someOf draws a non-empty list of distinct words in any order.
func someOf(t *rapid.T, label string, words ...string) []string {
	all := rapid.Permutation(words).Draw(t, label)
	return all[:rapid.IntRange(1, len(all)).Draw(t, label+" count")]
}

func drawProposal(t *rapid.T, scope Scope) Proposal {
	var parts []string
	if rapid.Bool().Draw(t, "aead") {
		parts = someOf(t, "encr", "g256", "g128", "cp")
	} else {
		parts = append(someOf(t, "encr", "c256", "c128"), someOf(t, "integ", "s256", "s384", "s1")...)
	}
	if scope == ScopeIKE {
		parts = append(parts, someOf(t, "prf", "p256", "p384", "p1")...)
		parts = append(parts, someOf(t, "ke", "31", "19", "14")...)
	} else if rapid.Bool().Draw(t, "pfs") {
		parts = append(parts, someOf(t, "ke", "31", "19", "0")...)
	}
	var p Proposal
	for _, w := range parts {
		p = append(p, shortOr(w))
	}
	if scope == ScopeESP {
		p = append(p, shortWords["noesn"])
	}
	return p
}

func shortOr(w string) Transform {
	if t, ok := shortWords[w]; ok {
		return t
	}
	id := uint16(0)
	for _, c := range w {
		id = id*10 + uint16(c-'0')
	}
	return Transform{Type: wire2.TransformKE, ID: id}
}

func drawNegotiation(t *rapid.T) (scope Scope, ours []Proposal, sa wire2.SA, peerKE uint16) {
	scope = rapid.SampledFrom([]Scope{ScopeIKE, ScopeESP}).Draw(t, "scope")
	for range rapid.IntRange(0, 3).Draw(t, "ours") {
		ours = append(ours, drawProposal(t, scope))
	}
	var spi []byte
	if scope == ScopeESP {
		spi = []byte{1, 2, 3, 4}
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "theirs") {
		sa.Proposals = append(sa.Proposals, drawProposal(t, scope).Wire(uint8(i+1), scope.protocol(), spi))
	}
	return scope, ours, sa, rapid.SampledFrom([]uint16{0, 31, 19, 14, 2}).Draw(t, "peer KE")
}

func TestChooseAgreesWithTryingEveryCombination(t *testing.T) { // RFC7296-2.7-1, RFC7296-3.3.6-1, RFC7296-3.3.6-2
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		scope, ours, sa, peerKE := drawNegotiation(t)
		want, ok := slowChoose(scope, ours, sa, peerKE)
		got, m := Choose(scope, ours, sa, peerKE)
		if (m == nil) != ok || got.Suite != want {
			t.Fatalf("ours %v, theirs %v, peer's KE %d:\ngot %v (%v), want %v (%v)", ours, sa, peerKE, got.Suite, m == nil, want, ok)
		}
	})
}

func TestTheInitiatorAcceptsWhatTheResponderChose(t *testing.T) { // RFC7296-2.7-2, RFC7296-2.7-4, RFC7296-3.3.1-2
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		scope, ours, sa, peerKE := drawNegotiation(t)
		chosen, m := Choose(scope, ours, sa, peerKE)
		if m != nil {
			if m.Closest == "" {
				t.Fatalf("no advice for ours %v, theirs %v", ours, sa)
			}
			return
		}
		accepted, err := Accept(scope, sa, wire2.SA{Proposals: []wire2.Proposal{chosen.Answer}})
		if err != nil || accepted.Suite != chosen.Suite || accepted.Number != chosen.Number {
			t.Fatalf("chose %+v, accepted %+v, %v", chosen, accepted, err)
		}
	})
}

func TestWindowsFirstMatchDoesNotDecide(t *testing.T) {
	t.Parallel()
	// A Windows 10 client lists single-suite proposals, the weakest first, all with the 1024-bit group.
	sa := offer(t, ScopeIKE, "3des/s1/p1/2", "3des/s256/p256/2", "3des/s384/p384/2", "c128/s1/p1/2", "c128/s256/p256/2", "c128/s384/p384/2",
		"c192/s1/p1/2", "c192/s256/p256/2", "c192/s384/p384/2", "c256/s1/p1/2", "c256/s256/p256/2", "c256/s384/p384/2")
	got, m := Choose(ScopeIKE, CompatibleIKE(), sa, 2)
	if m != nil {
		t.Fatal(m.Closest)
	}
	if want := "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_1024"; got.Suite.String() != want || got.Number != 11 {
		t.Errorf("chose %v of proposal %d, want %s of 11", got.Suite, got.Number, want)
	}
}

func TestThePeersKeyExchangeNeverChangesTheTier(t *testing.T) {
	t.Parallel()
	// An ePDG client sends a KE payload for the 1024-bit group, and could do better.
	sa := offer(t, ScopeIKE, "c128 c192 c256 / xcbc s1 s256 s384 s512 / p1 pxcbc p256 p384 p512 / 2 5 14")
	want := "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048"
	if got := chosen(ScopeIKE, CompatibleIKE(), sa, 2); got != want {
		t.Errorf("chose %s, want %s", got, want)
	}
}

func TestAProposalIsJudgedByTheRulesOfTheRFC(t *testing.T) {
	t.Parallel()
	good := func() wire2.SA { return offer(t, ScopeESP, "c128 / s256") }
	ours := parse(t, ScopeESP, "aes128-sha256")
	for _, tt := range []struct {
		name string
		edit func(*wire2.Proposal)
		ok   bool
	}{
		{"as it is", func(*wire2.Proposal) {}, true},
		{"RFC7296-3.3.6-5: unknown transform type", func(p *wire2.Proposal) { p.Transforms = append(p.Transforms, wire2.Transform{Type: 6, ID: 35}) }, false},
		{"RFC7296-3.3.6-5: no ESN", func(p *wire2.Proposal) { p.Transforms = p.Transforms[:2] }, false},
		{"RFC7296-3.3.6-6: unknown transform beside a known one", func(p *wire2.Proposal) {
			p.Transforms = append([]wire2.Transform{{Type: 1, ID: 999}}, p.Transforms...)
		}, true},
		{"RFC7296-3.3.6-6: unknown attribute", func(p *wire2.Proposal) {
			p.Transforms[0].Attributes = append(p.Transforms[0].Attributes, wire2.Attribute{Type: 77, TV: true})
		}, false},
		{"RFC7296-3.3.6-6: a key exchange with an unknown attribute is not one left out", func(p *wire2.Proposal) {
			p.Transforms = append(p.Transforms, wire2.Transform{Type: 4, ID: 31, Attributes: []wire2.Attribute{{Type: 77, TV: true}}})
		}, false},
		{"RFC7296-3.3.5-5: no key length", func(p *wire2.Proposal) { p.Transforms[0].Attributes = nil }, false},
		{"another key length", func(p *wire2.Proposal) { p.Transforms[0].Attributes[0].Value = 256 }, false},
		{"AH", func(p *wire2.Proposal) { p.Protocol = wire2.ProtoAH }, false},
		{"SPI of 8 octets", func(p *wire2.Proposal) { p.SPI = make([]byte, 8) }, false},
		{"a PRF, which ESP does not have", func(p *wire2.Proposal) { p.Transforms = append(p.Transforms, wire2.Transform{Type: 2, ID: 5}) }, false},
		{"ESN beside no ESN", func(p *wire2.Proposal) { p.Transforms = append(p.Transforms, wire2.Transform{Type: 5, ID: 1}) }, true},
		{"ESN only", func(p *wire2.Proposal) { p.Transforms[2].ID = 1 }, false},
		{"explicit NONE for KE", func(p *wire2.Proposal) { p.Transforms = append(p.Transforms, wire2.Transform{Type: 4}) }, true},
		{"a key exchange that we do not want", func(p *wire2.Proposal) { p.Transforms = append(p.Transforms, wire2.Transform{Type: 4, ID: 31}) }, false},
	} {
		sa := good()
		tt.edit(&sa.Proposals[0])
		c, m := Choose(ScopeESP, ours, sa, 0)
		if (m == nil) != tt.ok {
			t.Errorf("%s: accepted %v, want %v (%v)", tt.name, m == nil, tt.ok, m)
		}
		if tt.ok && len(c.Answer.Transforms) != len(typesIn(sa.Proposals[0])) {
			t.Errorf("%s: the answer has %v, want one transform of each offered type", tt.name, c.Answer.Transforms)
		}
	}
}

func typesIn(p wire2.Proposal) map[wire2.TransformType]bool {
	all := map[wire2.TransformType]bool{}
	for _, t := range p.Transforms {
		all[t.Type] = true
	}
	return all
}

func TestTheAnswerKeepsNumberSPIAndAttributes(t *testing.T) { // RFC7296-3.3.6-3; macOS 14 counts from 3 when it rekeys
	t.Parallel()
	sa := offer(t, ScopeESP, "c256 / s256", "c128 c256 / s1 s256 / 0")
	sa.Proposals[0].Number, sa.Proposals[1].Number = 3, 4
	c, m := Choose(ScopeESP, parse(t, ScopeESP, "aes128-sha256"), sa, 0)
	if m != nil {
		t.Fatal(m.Closest)
	}
	want := wire2.Proposal{Number: 4, Protocol: wire2.ProtoESP, SPI: []byte{1, 2, 3, 1}, Transforms: []wire2.Transform{
		toWire(shortWords["c128"]), toWire(shortWords["s256"]), {Type: wire2.TransformKE}, {Type: wire2.TransformESN}}}
	if !reflect.DeepEqual(c.Answer, want) || c.Number != 4 || !slices.Equal(c.PeerSPI, want.SPI) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	c.Answer.SPI[0] = 9
	if sa.Proposals[1].SPI[0] != 1 || c.PeerSPI[0] != 1 {
		t.Error("the answer shares its SPI with the offer or with PeerSPI")
	}
}

func TestAMixedOfferIsTakenOneWayOrTheOther(t *testing.T) { // RFC7296-3.3-4
	t.Parallel()
	for _, tt := range []struct{ line, want string }{
		{"g256 c256 / s256 / p256 / 31", "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/CURVE25519"}, // with integrity: not the AEAD
		{"g256 c256 / p256 / 31", "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE25519"},                       // without: not CBC
		{"g256 / inone / p256 / 31", "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE25519"},
	} {
		if got := chosen(ScopeIKE, DefaultIKE(), offer(t, ScopeIKE, tt.line), 31); got != tt.want {
			t.Errorf("%s: chose %s, want %s", tt.line, got, tt.want)
		}
	}
}

func TestAChildGoesWithoutKeyExchangeWhenThePeerSentNone(t *testing.T) {
	t.Parallel()
	sa := offer(t, ScopeESP, "g256 / 19 0")
	if got, want := chosen(ScopeESP, DefaultESP(), sa, 0), "AES_GCM_16_256"; got != want {
		t.Errorf("without KE payload: %s, want %s", got, want)
	}
	if got, want := chosen(ScopeESP, DefaultESP(), sa, 19), "AES_GCM_16_256/ECP_256"; got != want {
		t.Errorf("with KE payload: %s, want %s", got, want)
	}
}

func TestAcceptRefusesWhatWasNotOffered(t *testing.T) { // RFC7296-3.3.6-4
	t.Parallel()
	offered := offer(t, ScopeIKE, "g256 g128 / p256 / 31 19", "c256 / s256 / p256 / 14")
	good := func() wire2.SA {
		return wire2.SA{Proposals: []wire2.Proposal{offer(t, ScopeIKE, "g128 / p256 / 19").Proposals[0]}}
	}
	if c, err := Accept(ScopeIKE, offered, good()); err != nil || c.Suite.String() != "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256" {
		t.Fatalf("the good answer: %v, %v", c.Suite, err)
	}
	for _, tt := range []struct {
		name string
		edit func(*wire2.SA)
	}{
		{"no proposal", func(sa *wire2.SA) { sa.Proposals = nil }},
		{"two proposals", func(sa *wire2.SA) { sa.Proposals = append(sa.Proposals, sa.Proposals[0]) }},
		{"a number that we did not send", func(sa *wire2.SA) { sa.Proposals[0].Number = 3 }},
		{"the number of another proposal", func(sa *wire2.SA) { sa.Proposals[0].Number = 2 }},
		{"another protocol", func(sa *wire2.SA) { sa.Proposals[0].Protocol = wire2.ProtoESP }},
		{"two transforms of one type", func(sa *wire2.SA) {
			sa.Proposals[0].Transforms = append(sa.Proposals[0].Transforms, toWire(short(t, "31")))
		}},
		{"the same transform twice", func(sa *wire2.SA) {
			sa.Proposals[0].Transforms = append(sa.Proposals[0].Transforms, toWire(short(t, "19")))
		}},
		{"no PRF", func(sa *wire2.SA) {
			sa.Proposals[0].Transforms = slices.Delete(sa.Proposals[0].Transforms, 1, 2)
		}},
		{"a group of the other proposal", func(sa *wire2.SA) { sa.Proposals[0].Transforms[2].ID = 14 }},
		{"another key length", func(sa *wire2.SA) { sa.Proposals[0].Transforms[0].Attributes[0].Value = 192 }},
		{"no key length", func(sa *wire2.SA) { sa.Proposals[0].Transforms[0].Attributes = nil }},
		{"integrity beside an AEAD", func(sa *wire2.SA) {
			sa.Proposals[0].Transforms = append(sa.Proposals[0].Transforms, toWire(shortWords["s256"]))
		}},
		{"an unknown transform type", func(sa *wire2.SA) {
			sa.Proposals[0].Transforms = append(sa.Proposals[0].Transforms, wire2.Transform{Type: 9, ID: 1})
		}},
	} {
		answer := good()
		tt.edit(&answer)
		if c, err := Accept(ScopeIKE, offered, answer); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: accepted %v, %v", tt.name, c.Suite, err)
		}
	}
}

func TestAcceptTakesALeftOutTypeForNone(t *testing.T) {
	t.Parallel()
	offered := offer(t, ScopeESP, "g256 / 31 0")
	answer := offer(t, ScopeESP, "g256")
	if c, err := Accept(ScopeESP, offered, answer); err != nil || c.Suite.KE != suite.KENone {
		t.Errorf("got %v, %v, want no key exchange", c.Suite, err)
	}
	if c, err := Accept(ScopeESP, offer(t, ScopeESP, "g256 / 31"), answer); err == nil {
		t.Errorf("a key exchange that is required was dropped: %v", c.Suite)
	}
}
