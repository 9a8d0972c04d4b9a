package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/policy"
)

func TestTheVersionOfAConnectionIsSaid(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]uint8{"": 0, "version = 1": 1, "version = 2": 2, `version = "any"`: policy.AnyVersion} {
		if c := session(t, settings, ""); c.Version != want || c.MOBIKE != (want != 1) || c.Aggressive || c.AllowAggressivePSK {
			t.Errorf("%q gives %d, MOBIKE %v", settings, c.Version, c.MOBIKE)
		}
	}
	c := session(t, "version = 1\n mode = \"aggressive\"\n allow_aggressive_psk = true\n mobike = false", "")
	if !c.Aggressive || !c.AllowAggressivePSK {
		t.Errorf("got %+v", c)
	}
}

// In aggressive mode the group cannot be negotiated (RFC 2409 section 5): what is proposed must be what all peers have.
func TestIKEv1ProposesWhatItsPeersHave(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string][]string{
		"version = 1": {"aes256-aes128-sha256-sha384-sha512-prfsha256-prfsha384-prfsha512-modp2048-ecp256-ecp384-modp3072-x25519"},
		"version = 1\n profile = \"compatible\"": {"aes256-aes128-sha256-sha384-sha512-prfsha256-prfsha384-prfsha512-modp2048-ecp256-x25519",
			"aes256-aes128-sha256-sha1-prfsha256-prfsha1-modp2048-modp1024"},
		"version = 1\n proposals = [\"aes128-sha1-modp1024\"]": {"aes128-sha1-prfsha1-modp1024"},
	} {
		var got []string
		for _, p := range session(t, settings, "").IKE {
			got = append(got, p.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q proposes %q, want %q", settings, got, want)
		}
	}
}

// What is weak is the operator's choice, and said.
func TestTheDangersOfIKEv1AreNamed(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string][]string{
		"version = 2": nil,
		"version = 1": {"RFC 9395"},
		"version = 1\n mode = \"aggressive\"\n allow_aggressive_psk = true": {"RFC 9395", "guess the key offline", "guess the key offline"},
		"version = \"any\"\n allow_aggressive_psk = true":                   {"guess the key offline"},
	} {
		s, _ := valid(t, strings.Replace(minimal, "remote {", settings+"\n remote {", 1))
		var missing []string
		for i, w := range want {
			if i >= len(s.Warnings) || !strings.Contains(joined(s.Warnings), w) {
				missing = append(missing, w)
			}
		}
		if len(missing) > 0 || len(s.Warnings) != len(want) {
			t.Errorf("%q: warnings %q", settings, joined(s.Warnings))
		}
	}
}

func joined(all []Diagnostic) string {
	var b strings.Builder
	for _, d := range all {
		b.WriteString(d.Message + "\n")
	}
	return b.String()
}

func TestAReloadNoticesAnotherVersion(t *testing.T) {
	t.Parallel()
	load := func(settings string) *Snapshot {
		s, _ := valid(t, strings.Replace(minimal, "remote {", settings+"\n remote {", 1))
		return s
	}
	c := Diff(load("version = 1"), load("version = 1\n mode = \"aggressive\"\n allow_aggressive_psk = true"))
	if len(c.Changed) != 1 || c.Changed[0].ChildrenOnly || !slices.Equal(c.Changed[0].What, []string{"mode", "allow_aggressive_psk"}) {
		t.Errorf("changes: %+v", c.Changed)
	}
	c = Diff(load(""), load("version = 1"))
	if len(c.Changed) != 1 || !slices.Contains(c.Changed[0].What, "version") {
		t.Errorf("changes: %+v", c.Changed)
	}
}

// Quick mode cannot negotiate perfect forward secrecy (RFC 2409 section 5.5): children of IKEv1 begin without unless a group is named.
func TestChildrenOfIKEv1BeginWithoutPerfectForwardSecrecy(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]bool{
		"version = 2": false, `version = "any"`: false, "version = 1": true, "version = 1\n profile = \"compatible\"": true,
	} {
		s, _ := valid(t, strings.Replace(minimal, "remote {", settings+"\n remote {", 1))
		child := s.Policy.Connections[0].Children[0]
		if got := policy.PrefersNoKE(child.ESP); got != want || !policy.PermitsKE(child.ESP, 14) {
			t.Errorf("%q: %v, proposals %v", settings, got, child.ESP)
		}
	}
	s, _ := valid(t, strings.NewReplacer("remote {", "version = 1\n remote {", "child \"lan\" {", "child \"lan\" {\n proposals = [\"aes128-sha256-modp2048-none\"]\n").Replace(minimal))
	if child := s.Policy.Connections[0].Children[0]; policy.PrefersNoKE(child.ESP) {
		t.Errorf("a group was named, and the child begins without: %v", child.ESP)
	}
}
