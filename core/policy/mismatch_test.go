package policy

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/wire/wire2"
)

func TestClosestNamesTheOneChangeThatWouldHaveHelped(t *testing.T) {
	t.Parallel()
	modern := "aes256gcm16-prfsha256-x25519-ecp256-ecp384"
	for _, tt := range []struct {
		name  string
		scope Scope
		ours  []string
		offer []string
		want  string
	}{
		{"only the group", ScopeIKE, []string{modern}, []string{"g256 / p256 / 14"},
			"add modp2048 to our ike proposals, or ask the peer for x25519, ecp256 or ecp384"},
		{"a weak group", ScopeIKE, []string{modern}, []string{"g256 / p256 / 2"},
			"add modp1024 to our ike proposals (modp1024 is weak: for this connection only), or ask the peer for x25519, ecp256 or ecp384"},
		{"several groups", ScopeIKE, []string{"aes128-sha256-ecp256"}, []string{"c128 / s256 / p256 / 14 15 99"},
			"add modp2048 or modp3072 to our ike proposals, or ask the peer for ecp256"},
		{"only the cipher", ScopeIKE, []string{"aes256-sha256-modp2048"}, []string{"c128 / s256 / p256 / 14"},
			"add aes128 to our ike proposals, or ask the peer for aes256"},
		{"a cipher that Parley lacks", ScopeIKE, []string{"aes256-sha256-modp2048"}, []string{"bf / s256 / p256 / 14"},
			"the peer's proposal 1 has only ENCR_BLOWFISH for ENCR, which Parley does not have: ask the peer for aes256"},
		{"the nearest of several pairs", ScopeIKE, []string{modern, "aes256-sha256-modp2048"}, []string{"3des / md5 / p1 / 2", "c256 / s1 / p256 / 14"},
			"add sha1 to our ike proposals (sha1 is weak: for this connection only), or ask the peer for sha256"},
		{"one change we can make before one we cannot", ScopeIKE, []string{"aes256-sha256-modp2048"}, []string{"bf / s256 / p256 / 14", "c256 / s256 / p256 / 31"},
			"add x25519 to our ike proposals, or ask the peer for modp2048"},
		{"another kind of proposal", ScopeIKE, []string{modern}, []string{"3des / s1 / p1 / 2", "c128 / s256 / p256 / 14"},
			`add the proposal "aes128-sha256-prfsha256-modp2048" to our ike proposals, or ask the peer for "aes256gcm16-prfsha256-x25519"`},
		{"nothing near", ScopeIKE, []string{modern}, []string{"3des / md5 / p1 / 2"},
			`nothing of the peer's proposal 1 is near to ours: ask the peer for "aes256gcm16-prfsha256-x25519"`},
		{"perfect forward secrecy that we did not want", ScopeESP, []string{"aes256gcm16"}, []string{"g256 / 14"},
			"add modp2048 to our esp proposals, or ask the peer for a child SA without perfect forward secrecy (no key exchange)"},
		{"perfect forward secrecy that the peer did not want", ScopeESP, []string{"aes256gcm16-x25519"}, []string{"g256"},
			"add none to the key exchange methods of our esp proposals, or ask the peer for x25519"},
		{"no proposal", ScopeIKE, []string{modern}, nil, "the peer offered no proposal at all: look at its configuration"},
		{"nothing configured", ScopeIKE, nil, []string{"g256 / p256 / 14"}, "we have no ike proposals: leave proposals out to get the default"},
	} {
		_, m := Choose(tt.scope, parse(t, tt.scope, tt.ours...), offer(t, tt.scope, tt.offer...), 0)
		if m == nil {
			t.Errorf("%s: no mismatch", tt.name)
		} else if m.Closest != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, m.Closest, tt.want)
		}
	}
}

func TestTheAdviceHelps(t *testing.T) {
	t.Parallel()
	// Windows with its stock settings: what Closest proposes to add makes the next attempt succeed.
	sa := offer(t, ScopeIKE, "3des/s1/p1/2", "c256/s256/p256/2")
	_, m := Choose(ScopeIKE, DefaultIKE(), sa, 2)
	const want = "add modp1024 to our ike proposals (modp1024 is weak: for this connection only), or ask the peer for x25519, ecp256, ecp384, modp2048 or modp3072"
	if m == nil || m.Closest != want {
		t.Fatalf("got %+v, want %s", m, want)
	}
	if _, m := Choose(ScopeIKE, parse(t, ScopeIKE, defaultIKECBC+"-modp1024"), sa, 2); m != nil {
		t.Errorf("with modp1024 added: %s", m.Closest)
	}
}

func TestAMismatchReportsEachTypeOfEachPair(t *testing.T) {
	t.Parallel()
	_, m := Choose(ScopeIKE, parse(t, ScopeIKE, "aes256gcm16-prfsha256-x25519", "aes256-aes128-sha256-modp2048"), offer(t, ScopeIKE, "bf c128 / s256 / p256 / 2"), 0)
	want := []Report{
		{1, 1, "ENCR", []string{"ENCR_BLOWFISH", "aes128"}, []string{"aes256gcm16"}, nil, false},
		{1, 1, "INTEG", []string{"sha256"}, []string{"none"}, nil, false},
		{1, 1, "PRF", []string{"prfsha256"}, []string{"prfsha256"}, []string{"prfsha256"}, true},
		{1, 1, "KE", []string{"modp1024"}, []string{"x25519"}, nil, false},
		{1, 2, "ENCR", []string{"ENCR_BLOWFISH", "aes128"}, []string{"aes256", "aes128"}, []string{"aes128"}, true},
		{1, 2, "INTEG", []string{"sha256"}, []string{"sha256"}, []string{"sha256"}, true},
		{1, 2, "PRF", []string{"prfsha256"}, []string{"prfsha256"}, []string{"prfsha256"}, true},
		{1, 2, "KE", []string{"modp1024"}, []string{"modp2048"}, nil, false},
	}
	if m == nil || !reflect.DeepEqual(m.Reports, want) {
		t.Errorf("got %+v\nwant %+v", m, want)
	}
}

func TestAProposalThatIsUnacceptableAsAWholeIsReportedOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		edit func(*wire2.Proposal)
		want Report
	}{
		{func(p *wire2.Proposal) { p.Protocol = wire2.ProtoAH }, Report{1, 1, "PROTOCOL", []string{"AH"}, []string{"ESP"}, nil, false}},
		{func(p *wire2.Proposal) { p.SPI = nil }, Report{1, 1, "SPI", []string{"0 octets"}, []string{"4 octets"}, nil, false}},
		{func(p *wire2.Proposal) { p.Transforms = append(p.Transforms, wire2.Transform{Type: 6, ID: 35}) }, Report{1, 1, "TYPE_6", []string{"TRANSFORM_6_35"}, nil, nil, false}},
	} {
		sa := offer(t, ScopeESP, "g256")
		tt.edit(&sa.Proposals[0])
		_, m := Choose(ScopeESP, parse(t, ScopeESP, "aes256gcm16"), sa, 0)
		if m == nil || len(m.Reports) != 1 || !reflect.DeepEqual(m.Reports[0], tt.want) {
			t.Errorf("got %+v, want %+v", m, tt.want)
		} else if !strings.Contains(m.Closest, `ask the peer for "aes256gcm16"`) {
			t.Errorf("advice: %s", m.Closest)
		}
	}
}

func TestAHostileOfferHasABoundedExplanation(t *testing.T) {
	t.Parallel()
	var sa wire2.SA
	for n := range 255 {
		p := wire2.Proposal{Number: uint8(n + 1), Protocol: wire2.ProtoIKE}
		for id := range 1000 {
			p.Transforms = append(p.Transforms, wire2.Transform{Type: wire2.TransformType(1 + id%4), ID: uint16(1000 + id)})
		}
		sa.Proposals = append(sa.Proposals, p)
	}
	_, m := Choose(ScopeIKE, DefaultIKE(), sa, 0)
	if m == nil || len(m.Reports) != maxReports {
		t.Fatal("no explanation, or more reports than the limit")
	}
	size := len(m.Closest)
	for _, r := range m.Reports {
		size += len(fmt.Sprint(r))
	}
	if size > 1<<18 {
		t.Errorf("the explanation has %d octets", size)
	}
}

func BenchmarkChooseFromALongOffer(b *testing.B) {
	var lines []string
	for range 18 {
		lines = append(lines, "3des c192 / md5 xcbc / pxcbc / 1 2")
	}
	sa, ours := offer(b, ScopeIKE, append(lines, "c128 c256 / s256 / p256 / 14")...), DefaultIKE()
	b.ReportAllocs()
	for b.Loop() {
		if _, m := Choose(ScopeIKE, ours, sa, 14); m != nil {
			b.Fatal(m.Closest)
		}
	}
}
