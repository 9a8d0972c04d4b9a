package policy

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/core/wire/wire2"
)

func parseAll(t testing.TB, scope Scope, list ...string) (out []Proposal) {
	t.Helper()
	for _, s := range list {
		p, err := ParseProposal(scope, s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

var onlyPSK = []wire1.AuthMethod{wire1.AuthPSK}

// RFC2409-5-10, RFC2409-5-11: several transforms in one proposal, the preferred one first. AEAD ciphers have no number in phase 1.
func TestPhase1OffersSpellOutEachCombination(t *testing.T) {
	t.Parallel()
	sa := OfferPhase1(parseAll(t, ScopeIKE, "aes256gcm16-prfsha256-modp2048", "aes256-aes128-sha256-sha1-modp2048-ecp256"), wire1.AuthPSK, time.Hour)
	if len(sa.Proposals) != 1 || sa.DOI != wire1.DOIIPsec || sa.Situation != wire1.SituationIdentityOnly {
		t.Fatalf("%+v", sa)
	}
	want := []string{"aes256-prfsha256-modp2048", "aes256-prfsha256-ecp256", "aes256-prfsha1-modp2048", "aes256-prfsha1-ecp256",
		"aes128-prfsha256-modp2048", "aes128-prfsha256-ecp256", "aes128-prfsha1-modp2048", "aes128-prfsha1-ecp256"}
	if got := Phase1Strings(sa); !slices.Equal(got, want) {
		t.Errorf("offered %v, want %v", got, want)
	}
	for i, tr := range sa.Proposals[0].Transforms {
		if int(tr.Number) != i+1 || tr.ID != wire1.KeyIKE { // RFC2408-4.2-3
			t.Errorf("transform %d has number %d and ID %d", i+1, tr.Number, tr.ID)
		}
		if life, _ := wire1.FindNumber(tr.Attributes, wire1.AttrLifeDuration); life != 3600 {
			t.Errorf("transform %d has a lifetime of %d s", i+1, life)
		}
	}
	if got := OfferPhase1(parseAll(t, ScopeIKE, "aes256gcm16-prfsha256-modp2048"), wire1.AuthPSK, 0); len(got.Proposals) != 0 {
		t.Errorf("an offer of nothing has %+v", got)
	}
}

// The first message must not be fragmented on its way.
func TestPhase1OffersAreBounded(t *testing.T) {
	t.Parallel()
	sa := OfferPhase1(DefaultIKE(), wire1.AuthRSASig, 8*time.Hour)
	if n := len(wire1.Body(sa)); n > 1200 || len(sa.Proposals[0].Transforms) < 10 {
		t.Errorf("%d octets for %d transforms", n, len(sa.Proposals[0].Transforms))
	}
}

// Each combination of our words survives offer, choice and acceptance, in both phases.
func TestWhatIsOfferedIsChosenAndAccepted(t *testing.T) {
	t.Parallel()
	for _, words := range []string{"aes256-sha256-modp2048", "aes192-sha512-ecp384", "aes128-sha1-x25519", "aes128-aes256-sha384-modp4096-modp2048"} {
		configured := parseAll(t, ScopeIKE, words)
		offer := OfferPhase1(configured, wire1.AuthPSK, time.Hour)
		chosen, ok := PickPhase1(configured, onlyPSK, offer)
		if !ok {
			t.Fatalf("%s: not chosen", words)
		}
		got, err := AcceptPhase1(offer, chosen.Answer)
		if err != nil || got.Suite != chosen.Suite || got.Method != wire1.AuthPSK || got.Seconds != 3600 || got.Suite.Integ != suite.IntegNone {
			t.Errorf("%s: %+v, %v", words, got, err)
		}
	}
	for _, words := range []string{"aes256-sha256", "aes128gcm16", "aes128-sha1-modp2048", "aes256gcm16-x25519"} {
		configured := parseAll(t, ScopeESP, words)
		group := suite.KEID(FirstKE(configured))
		offer := OfferPhase2(configured, group, wire1.EncapsulationTunnel, Lifetime{Time: time.Hour, Bytes: 1 << 30}, []byte{1, 2, 3, 4})
		chosen, ok := PickPhase2(configured, []uint16{wire1.EncapsulationTunnel}, offer)
		if !ok {
			t.Fatalf("%s: not chosen", words)
		}
		got, err := AcceptPhase2(offer, chosen.Answer)
		if err != nil || got.Suite != chosen.Suite || got.Suite.KE != group || got.Kilobytes != 1<<20 || string(got.PeerSPI) != "\x01\x02\x03\x04" {
			t.Errorf("%s: %+v, %v", words, got, err)
		}
	}
}

// Our order counts, not the peer's.
func TestPhase1ChoicePrefersOurOrder(t *testing.T) {
	t.Parallel()
	offer := OfferPhase1(parseAll(t, ScopeIKE, "aes128-aes256-sha1-sha256-modp1024-modp2048"), wire1.AuthPSK, time.Hour)
	got, ok := PickPhase1(parseAll(t, ScopeIKE, "aes256-aes128-sha256-sha1-modp2048-modp1024"), onlyPSK, offer)
	if want := (suite.Suite{Encr: suite.EncrAESCBC, KeyBits: 256, PRF: suite.PRFHMACSHA256, KE: suite.KEMODP2048}); !ok || got.Suite != want {
		t.Errorf("chosen %v", got.Suite)
	}
	if len(got.Answer.Proposals) != 1 || len(got.Answer.Proposals[0].Transforms) != 1 { // RFC2409-7.1-1, RFC2408-4.2-5
		t.Errorf("answered %+v", got.Answer)
	}
}

// change returns an offer of one transform after something was done to it.
func change(t testing.TB, scope Scope, do func(*wire1.SA, *wire1.Proposal, *wire1.Transform)) wire1.SA {
	t.Helper()
	sa := OfferPhase1(parseAll(t, ScopeIKE, "aes256-sha256-modp2048"), wire1.AuthPSK, time.Hour)
	if scope == ScopeESP {
		sa = OfferPhase2(parseAll(t, ScopeESP, "aes256-sha256"), 0, wire1.EncapsulationTunnel, Lifetime{Time: time.Hour}, []byte{1, 2, 3, 4})
	}
	p := &sa.Proposals[0]
	do(&sa, p, &p.Transforms[0])
	return sa
}

func set(tr *wire1.Transform, typ uint16, v uint64) {
	for i, a := range tr.Attributes {
		if a.Type == typ {
			tr.Attributes[i] = wire1.NumberAttribute(typ, v)
			return
		}
	}
	tr.Attributes = append(tr.Attributes, wire1.NumberAttribute(typ, v))
}

func TestUnacceptableOffersAreRefused(t *testing.T) {
	t.Parallel()
	type edit = func(*wire1.SA, *wire1.Proposal, *wire1.Transform)
	phase1 := map[string]edit{
		"unknown attribute":          func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, 99, 1) },
		"lifetime of zero":           func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, wire1.AttrLifeDuration, 0) },
		"unknown unit":               func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, wire1.AttrLifeType, 3) },
		"unknown cipher":             func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, wire1.AttrEncryption, 99) },
		"other key length":           func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, wire1.AttrKeyLength, 255) },
		"group beyond 16 bits":       func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, wire1.AttrGroup, 1<<16+14) },
		"other method":               func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, wire1.AttrAuthMethod, 3) },
		"private prime, RFC2409-4-8": func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, wire1.AttrGroupPrime, 23) },
		"an attribute twice": func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) {
			tr.Attributes = append(tr.Attributes, wire1.NumberAttribute(wire1.AttrHash, 4))
		},
		"other transform": func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { tr.ID = 2 },
		"other protocol":  func(_ *wire1.SA, p *wire1.Proposal, _ *wire1.Transform) { p.Protocol = wire1.ProtoESP },
		"other DOI":       func(sa *wire1.SA, _ *wire1.Proposal, _ *wire1.Transform) { sa.DOI = 7 },
		"other situation": func(sa *wire1.SA, _ *wire1.Proposal, _ *wire1.Transform) { sa.Situation = wire1.SituationSecrecy },
		"nothing":         func(sa *wire1.SA, _ *wire1.Proposal, _ *wire1.Transform) { sa.Proposals = nil },
		"taken together":  func(sa *wire1.SA, p *wire1.Proposal, _ *wire1.Transform) { sa.Proposals = append(sa.Proposals, *p) },
		"no method at all": func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) {
			tr.Attributes = slices.DeleteFunc(tr.Attributes, func(a wire1.Attribute) bool { return a.Type == wire1.AttrAuthMethod })
		},
	}
	for name, do := range phase1 {
		offer := change(t, ScopeIKE, do)
		if got, ok := PickPhase1(parseAll(t, ScopeIKE, "aes256-sha256-modp2048"), onlyPSK, offer); ok {
			t.Errorf("phase 1, %s: chosen %+v", name, got)
		}
		if m := ExplainPhase1(parseAll(t, ScopeIKE, "aes256-sha256-modp2048"), onlyPSK, offer); m.Closest == "" {
			t.Errorf("phase 1, %s: not explained", name)
		}
	}
	phase2 := map[string]edit{
		"extended sequence numbers":   func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, wire1.AttrESN, 1) },
		"other mode":                  func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, wire1.AttrEncapsulation, 2) },
		"a group that we do not want": func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, wire1.AttrSAGroup, 14) },
		"lifetime of zero":            func(_ *wire1.SA, _ *wire1.Proposal, tr *wire1.Transform) { set(tr, wire1.AttrSALifeDuration, 0) },
		"AH":                          func(_ *wire1.SA, p *wire1.Proposal, _ *wire1.Transform) { p.Protocol = wire1.ProtoAH },
		"ESP with AH, RFC2408-4.2-1": func(sa *wire1.SA, p *wire1.Proposal, _ *wire1.Transform) {
			ah := *p
			ah.Protocol = wire1.ProtoAH
			sa.Proposals = append(sa.Proposals, ah)
		},
	}
	for name, do := range phase2 {
		if got, ok := PickPhase2(parseAll(t, ScopeESP, "aes256-sha256"), []uint16{wire1.EncapsulationTunnel}, change(t, ScopeESP, do)); ok {
			t.Errorf("phase 2, %s: chosen %+v", name, got)
		}
	}
}

// RFC2409-5-13, RFC2408-4.2-7: an answer is one of our transforms, its attributes unchanged but for order and encoding.
func TestAnswersMustBeWhatWasOffered(t *testing.T) {
	t.Parallel()
	offer := OfferPhase1(parseAll(t, ScopeIKE, "aes256-aes128-sha256-modp2048"), wire1.AuthPSK, time.Hour)
	answer := func(do func(*wire1.SA, *wire1.Transform)) wire1.SA {
		p := offer.Proposals[0]
		tr := p.Transforms[1]
		tr.Attributes = slices.Clone(tr.Attributes)
		sa := wire1.SA{DOI: offer.DOI, Situation: offer.Situation}
		do(&sa, &tr)
		p.Transforms = []wire1.Transform{tr}
		sa.Proposals = append(sa.Proposals, p)
		return sa
	}
	for name, do := range map[string]func(*wire1.SA, *wire1.Transform){
		"unchanged":      func(*wire1.SA, *wire1.Transform) {},
		"counted anew":   func(_ *wire1.SA, tr *wire1.Transform) { tr.Number = 1 },
		"in other order": func(_ *wire1.SA, tr *wire1.Transform) { slices.Reverse(tr.Attributes[:3]) },
		"encoded otherwise": func(_ *wire1.SA, tr *wire1.Transform) {
			for i, a := range tr.Attributes {
				if a.Type == wire1.AttrLifeDuration {
					tr.Attributes[i] = wire1.Attribute{Type: a.Type, Data: []byte{0, 0, 0x0e, 0x10}}
				}
			}
		},
	} {
		if got, err := AcceptPhase1(offer, answer(do)); err != nil || got.Suite.KeyBits != 128 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, do := range map[string]func(*wire1.SA, *wire1.Transform){
		"shorter lifetime":   func(_ *wire1.SA, tr *wire1.Transform) { set(tr, wire1.AttrLifeDuration, 600) },
		"other key":          func(_ *wire1.SA, tr *wire1.Transform) { set(tr, wire1.AttrKeyLength, 192) },
		"one attribute more": func(_ *wire1.SA, tr *wire1.Transform) { set(tr, wire1.AttrPRF, 1) },
		"one less":           func(_ *wire1.SA, tr *wire1.Transform) { tr.Attributes = tr.Attributes[1:] },
		"two proposals":      func(sa *wire1.SA, _ *wire1.Transform) { sa.Proposals = slices.Clone(offer.Proposals) },
		"other DOI":          func(sa *wire1.SA, _ *wire1.Transform) { sa.DOI = 2 },
	} {
		if got, err := AcceptPhase1(offer, answer(do)); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// The advice names what stands between the two sides, also where IKEv2 has no word for it.
func TestMismatchesOfIKEv1AreExplained(t *testing.T) {
	t.Parallel()
	ike, esp := parseAll(t, ScopeIKE, "aes256-sha256-modp2048"), parseAll(t, ScopeESP, "aes256-sha256")
	tests := map[string]string{
		ExplainPhase1(ike, onlyPSK, OfferPhase1(parseAll(t, ScopeIKE, "aes256-sha256-modp1536"), wire1.AuthPSK, time.Hour)).Closest:                                          "modp1536",
		ExplainPhase1(ike, onlyPSK, OfferPhase1(ike, wire1.AuthRSASig, time.Hour)).Closest:                                                                                   "RSA signatures",
		ExplainPhase2(esp, []uint16{wire1.EncapsulationTunnel}, OfferPhase2(esp, 0, wire1.EncapsulationUDPTunnel, Lifetime{}, []byte{1, 2, 3, 4})).Closest:                   "UDP-Encapsulated-Tunnel",
		ExplainPhase2(esp, []uint16{wire1.EncapsulationTunnel}, OfferPhase2(parseAll(t, ScopeESP, "aes256-sha256-modp2048"), 14, 1, Lifetime{}, []byte{1, 2, 3, 4})).Closest: "modp2048",
	}
	for got, want := range tests {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not name %q", got, want)
		}
	}
}

// RFC 2407 section 4.5.4: the shorter lifetime counts. Amounts beyond 64 bits of octets are no limit.
func TestTheShorterLifetimeCounts(t *testing.T) {
	t.Parallel()
	ours := Lifetime{Time: time.Hour, Margin: 50 * time.Minute, Bytes: 1 << 30}
	tests := []struct {
		terms Terms
		want  Lifetime
	}{
		{Terms{}, ours},
		{Terms{Seconds: 7200, Kilobytes: 1 << 30}, ours},
		{Terms{Seconds: 600}, Lifetime{Time: 10 * time.Minute, Margin: 5 * time.Minute, Bytes: 1 << 30}},
		{Terms{Kilobytes: 1024}, Lifetime{Time: time.Hour, Margin: 50 * time.Minute, Bytes: 1 << 20}},
		{Terms{Seconds: 1<<64 - 1, Kilobytes: 1<<64 - 1}, ours},
	}
	for _, tt := range tests {
		if got := tt.terms.Bound(ours); got != tt.want {
			t.Errorf("%+v: %+v, want %+v", tt.terms, got, tt.want)
		}
	}
	if got := (Terms{Kilobytes: 1<<64 - 1}).Bound(Lifetime{}); got != (Lifetime{}) {
		t.Errorf("an amount beyond 64 bits is a limit of %d octets", got.Bytes)
	}
}

func TestRespondersLifetimeIsRead(t *testing.T) {
	t.Parallel()
	data := func(kind, duration uint16) []byte { // life type, life duration: RFC 2407 section 4.6.3.1
		return []byte{0x80 | byte(kind>>8), byte(kind), 0, 1, 0, byte(duration), 0, 4, 0, 0, 0x0e, 0x10}
	}
	for _, n := range []wire1.Notify{
		{Protocol: wire1.ProtoISAKMP, Data: data(wire1.AttrLifeType, wire1.AttrLifeDuration)},
		{Protocol: wire1.ProtoESP, Data: data(wire1.AttrSALifeType, wire1.AttrSALifeDuration)},
	} {
		if got, ok := NotifiedLifetime(n); !ok || got.Seconds != 3600 {
			t.Errorf("protocol %d: %+v, %v", n.Protocol, got, ok)
		}
		if _, ok := NotifiedLifetime(wire1.Notify{Protocol: n.Protocol, Data: n.Data[:5]}); ok {
			t.Errorf("protocol %d: what is cut off is read", n.Protocol)
		}
	}
}

// RFC 2407 section 4.6.2: addresses, subnets and ranges, with protocol and port; port 0 is any.
func TestClientIdentitiesAreSelectors(t *testing.T) {
	t.Parallel()
	for _, words := range []string{"10.1.0.0/16", "10.1.2.3/32", "10.0.0.1-10.0.0.9", "2001:db8::/32", "2001:db8::1/128", "10.1.0.0/16[tcp]", "10.1.2.3/32[udp/53]"} {
		sel, err := ParseSelector(words)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := SelectorFromIKEv1(ClientID(sel)); !ok || got != sel || !sel.FitsIKEv1() {
			t.Errorf("%s: %v, %v", words, got, ok)
		}
	}
	for _, words := range []string{"10.1.0.0/16[tcp/80-90]", "10.1.0.0/16[tcp/opaque]"} {
		if sel, err := ParseSelector(words); err != nil || sel.FitsIKEv1() {
			t.Errorf("%s: %v, fits %v", words, err, sel.FitsIKEv1())
		}
	}
	for name, id := range map[string]wire1.ID{
		"a name":                    {IDType: wire1.IDFQDN, Data: []byte("example")},
		"a port without a protocol": {IDType: wire1.IDIPv4Addr, Port: 80, Data: []byte{10, 0, 0, 1}},
		"a mask with holes":         {IDType: wire1.IDIPv4Subnet, Data: []byte{10, 0, 0, 0, 255, 0, 255, 0}},
		"a range that ends early":   {IDType: wire1.IDIPv4Range, Data: []byte{10, 0, 0, 9, 10, 0, 0, 1}},
		"mapped IPv4":               {IDType: wire1.IDIPv6Addr, Data: netip.MustParseAddr("::ffff:10.0.0.1").AsSlice()},
		"too short":                 {IDType: wire1.IDIPv4Addr, Data: []byte{10}},
	} {
		if got, ok := SelectorFromIKEv1(id); ok {
			t.Errorf("%s: %v", name, got)
		}
	}
	four, _ := ParseSelector("10.0.0.0/8")
	six, _ := ParseSelector("2001:db8::/32")
	tcp, _ := ParseSelector("10.0.0.0/8[tcp]")
	if PairFitsIKEv1(four, six) || PairFitsIKEv1(four, tcp) || !PairFitsIKEv1(four, four) {
		t.Error("a pair is of one family and one protocol")
	}
}

func TestIdentitiesOfPhase1(t *testing.T) {
	t.Parallel()
	got, err := IdentityFromIKEv1(wire1.ID{IDType: wire1.IDFQDN, Data: []byte("east.example")})
	if err != nil || got != (Identity{wire2.IDFQDN, "east.example"}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, id := range []wire1.ID{{IDType: wire1.IDIPv4Subnet, Data: make([]byte, 8)}, {IDType: wire1.IDIPv4Addr, Data: []byte{1}}, {}} {
		if got, err := IdentityFromIKEv1(id); err == nil {
			t.Errorf("%+v is %v", id, got)
		}
	}
	for words, want := range map[string]bool{"east.example": false, "*.example": true, "192.0.2.1": false} {
		if id, err := ParseIdentity(words); err != nil || id.IsPattern() != want {
			t.Errorf("%s: %v, %v", words, id.IsPattern(), err)
		}
	}
	if !(Identity{}).IsPattern() {
		t.Error("any is one")
	}
}

// Hostile offers cost time in proportion, and never a panic.
func FuzzIKEv1Choice(f *testing.F) {
	ike, esp := DefaultIKE(), DefaultESP()
	f.Add(wire1.Body(OfferPhase1(ike, wire1.AuthPSK, time.Hour)))
	f.Add(wire1.Body(OfferPhase2(esp, 14, 1, Lifetime{Time: time.Hour, Bytes: 1 << 40}, []byte{1, 2, 3, 4})))
	f.Fuzz(func(t *testing.T, body []byte) {
		raw := append([]byte{0, 0, byte((len(body) + 4) >> 8), byte(len(body) + 4)}, body...)
		ps, err := wire1.ParsePayloads(wire1.TypeSA, raw)
		if err != nil || len(ps) == 0 {
			return
		}
		sa, ok := ps[0].(wire1.SA)
		if !ok {
			return
		}
		if terms, ok := PickPhase1(ike, onlyPSK, sa); ok {
			if _, err := AcceptPhase1(sa, terms.Answer); err != nil {
				t.Errorf("what was chosen was not offered: %v", err)
			}
		}
		if terms, ok := PickPhase2(esp, []uint16{1, 2}, sa); ok {
			if _, err := AcceptPhase2(sa, terms.Answer); err != nil {
				t.Errorf("what was chosen was not offered: %v", err)
			}
		}
		ExplainPhase1(ike, onlyPSK, sa)
		ExplainPhase2(esp, []uint16{1}, sa)
		Phase1Strings(sa)
		Phase2Strings(sa)
	})
}
