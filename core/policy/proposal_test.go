package policy

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

func TestParseProposalReadsTheConfigurationsWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scope Scope
		in    string
		want  string // all there is, in order
	}{
		{ScopeIKE, "aes256gcm16-aes128gcm16-prfsha256-x25519-ecp256", "aes256gcm16-aes128gcm16-prfsha256-x25519-ecp256"},
		{ScopeIKE, "aes256-sha384-sha256-modp2048", "aes256-sha384-sha256-prfsha384-prfsha256-modp2048"},
		{ScopeIKE, "AES128-SHA256-prfsha512-ECP384", "aes128-sha256-prfsha512-ecp384"},
		{ScopeIKE, "chacha20poly1305-prfsha256-x25519", "chacha20poly1305-prfsha256-x25519"},
		{ScopeESP, "aes256gcm16", "aes256gcm16"},
		{ScopeESP, "aes256gcm16-ecp256-none", "aes256gcm16-ecp256-none"},
		{ScopeESP, "noesn-aes128-sha1", "aes128-sha1"},
		{ScopeESP, "aes128-sha256-esn-noesn", "aes128-sha256-esn-noesn"},
	} {
		p, err := ParseProposal(tt.scope, tt.in)
		if err != nil || p.String() != tt.want {
			t.Errorf("ParseProposal(%v, %q) = %v, %v, want %s", tt.scope, tt.in, p, err, tt.want)
		}
		back, err := ParseProposal(tt.scope, p.String())
		if err != nil || !slices.Equal(back, p) {
			t.Errorf("%q read back: %v, %v, want %v", p.String(), back, err, p)
		}
	}
}

func TestParseProposalRefusesWithTheRemedy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scope    Scope
		in, want string
	}{
		{ScopeIKE, "", `policy: ike proposal "": it is empty: write algorithms joined by "-", or leave proposals out for the default`},
		{ScopeIKE, "aes256gcm61-prfsha256-x25519", `unknown algorithm "aes256gcm61": did you mean aes256gcm16 or`},
		{ScopeIKE, "rot13-sha256-x25519", `unknown algorithm "rot13": use words of aes`},
		{ScopeIKE, "aes256gcm16-sha256-x25519", `aes256gcm16 authenticates by itself, sha256 does not go with it: leave it out, or did you mean prfsha256?`},
		{ScopeIKE, "aes256gcm16-x25519", `it names no PRF, and there is no integrity algorithm beside aes256gcm16 to take it from: add one, such as prfsha256`},
		{ScopeIKE, "aes256-x25519", `aes256 needs integrity protection: add an algorithm, such as sha256`},
		{ScopeIKE, "aes256-sha256", `it names no key exchange method: add one, such as x25519`},
		{ScopeIKE, "aes256-aes128gcm16-sha256-x25519", `aes256 and aes128gcm16 cannot share a proposal (RFC 7296 section 3.3): make two of it`},
		{ScopeIKE, "aes256-sha256-x25519-esn", `esn (ESN) has no place in an ike proposal: leave it out`},
		{ScopeIKE, "aes256-sha256-none", `unknown algorithm "none"`},
		{ScopeESP, "aes256gcm16-prfsha256", `prfsha256 (PRF) has no place in an esp proposal: leave it out`},
		{ScopeESP, "x25519", `it names no encryption: add one, such as aes256gcm16`},
		{ScopeESP, "aes256gcm16-sha256", `aes256gcm16 authenticates by itself, sha256 does not go with it: leave it out`},
		{ScopeESP, "aes256gcm16-aes256gcm16", `aes256gcm16 is there twice: leave one out`},
		{ScopeESP, strings.Repeat("aes256-", 40) + "sha256", `it names 41 algorithms: name at most 32`},
	} {
		_, err := ParseProposal(tt.scope, tt.in)
		var pe *ProposalError
		if !errors.As(err, &pe) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseProposal(%v, %q): %v\nwant %s", tt.scope, tt.in, err, tt.want)
		}
	}
}

func TestParseProposalNeverPanicsAndRoundTrips(t *testing.T) {
	t.Parallel()
	words := append(suite.Tokens(), "none", "", "x")
	rapid.Check(t, func(t *rapid.T) {
		scope := rapid.SampledFrom([]Scope{ScopeIKE, ScopeESP}).Draw(t, "scope")
		s := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 8).Draw(t, "words"), "-")
		p, err := ParseProposal(scope, s)
		if err != nil {
			return
		}
		back, err := ParseProposal(scope, p.String())
		if err != nil || !slices.Equal(back, p) {
			t.Fatalf("%q gives %q, which gives %v, %v", s, p, back, err)
		}
	})
}

func TestWireHasKeyLengthsOnlyWhereKeysVary(t *testing.T) { // RFC7296-3.3.5-3, RFC7296-3.3.5-4
	t.Parallel()
	p := parse(t, ScopeESP, "aes256gcm16-chacha20poly1305-none")[0]
	got := p.Wire(2, wire2.ProtoESP, []byte{1, 2, 3, 4})
	want := wire2.Proposal{Number: 2, Protocol: wire2.ProtoESP, SPI: []byte{1, 2, 3, 4}, Transforms: []wire2.Transform{
		{Type: wire2.TransformENCR, ID: 20, Attributes: []wire2.Attribute{{Type: wire2.AttrKeyLength, TV: true, Value: 256}}},
		{Type: wire2.TransformENCR, ID: 28},
		{Type: wire2.TransformKE},
		{Type: wire2.TransformESN},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWithoutKELeavesOutKeyExchangesAndMergesEqualProposals(t *testing.T) {
	t.Parallel()
	all := parse(t, ScopeESP, "aes256gcm16-x25519", "aes256gcm16-ecp256-none", "aes128-sha256-modp2048")
	got := WithoutKE(all)
	if want := parse(t, ScopeESP, "aes256gcm16", "aes128-sha256"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if all[0].String() != "aes256gcm16-x25519" {
		t.Errorf("the argument became %v", all[0])
	}
}

func TestFirstKEIsTheOneMostPeersTakeAtOnce(t *testing.T) { // RFC7296-3.3.6-7
	t.Parallel()
	for _, tt := range []struct {
		proposals []Proposal
		want      uint16
	}{
		{DefaultIKE(), 19},
		{parse(t, ScopeIKE, "aes256-sha256-modp3072-modp2048"), 15},
		{parse(t, ScopeIKE, "aes256-sha256-modp2048", "aes128-sha256-ecp256"), 19},
		{parse(t, ScopeESP, "aes256gcm16-none"), 0},
		{nil, 0},
	} {
		if got := FirstKE(tt.proposals); got != tt.want {
			t.Errorf("FirstKE(%v) = %d, want %d", tt.proposals, got, tt.want)
		}
	}
}

func TestDefaultsAreStrongAndTheWeakTierIsLastAndAlone(t *testing.T) { // RFC 8247, RFC 8221
	t.Parallel()
	isWeak := func(p Proposal) bool {
		return slices.ContainsFunc(p, func(t Transform) bool { return slices.Contains(weak, t.Token()) })
	}
	for _, tt := range []struct {
		name               string
		strong, compatible []Proposal
	}{{"ike", DefaultIKE(), CompatibleIKE()}, {"esp", DefaultESP(), CompatibleESP()}} {
		if slices.ContainsFunc(tt.strong, isWeak) {
			t.Errorf("%s: default holds weak algorithms: %v", tt.name, tt.strong)
		}
		n := len(tt.compatible) - 1
		if !reflect.DeepEqual(tt.compatible[:n], tt.strong) || !isWeak(tt.compatible[n]) {
			t.Errorf("%s: compatible is %v, want default and a weak proposal", tt.name, tt.compatible)
		}
	}
}

func TestDefaultsFitAnUnfragmentedFirstMessage(t *testing.T) {
	t.Parallel()
	octets := 4
	for i, p := range CompatibleIKE() {
		octets += 8
		for _, tr := range p.Wire(uint8(i+1), wire2.ProtoIKE, nil).Transforms {
			octets += 8 + 4*len(tr.Attributes)
		}
	}
	const room = 400 // of 1280, beside a 3072-bit public value, a nonce and the notifies
	if octets > room {
		t.Errorf("the SA payload has %d octets, want at most %d", octets, room)
	}
}
