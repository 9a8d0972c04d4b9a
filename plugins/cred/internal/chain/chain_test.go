package chain

import (
	"crypto/x509"
	"net"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk/cred"
)

func TestWhatACertificateSaysOfItselfCannotForgeALine(t *testing.T) {
	t.Parallel()
	root := kit.NewAuthority("root")
	c := root.Issue(kit.NewKey("p256"), "evil\n\x1b[31m"+strings.Repeat("x", 1000), func(c *x509.Certificate) {
		c.DNSNames = []string{"evil.example.net"}
		for range 100 {
			c.IPAddresses = append(c.IPAddresses, net.IPv4(192, 0, 2, 1))
		}
	})
	anchors := NewAnchors([]Anchor{{Certificate: root.Certificate}})
	_, late := Judge(cred.TrustRequest{Chain: [][]byte{c.Raw}, Now: c.NotAfter.AddDate(1, 0, 0)}, anchors)
	if late == nil || !strings.Contains(late.Error(), "CN=evil??[31mx") || strings.ContainsAny(late.Error(), "\n\x1b") || len(late.Error()) > 1000 {
		t.Errorf("%q", late)
	}
	_, err := Judge(cred.TrustRequest{Chain: [][]byte{c.Raw}, Purpose: cred.Signature, Now: kit.PKITime, Identity: cred.Identity{Type: idDN, Data: c.RawIssuer}}, anchors)
	if err == nil || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 2000 {
		t.Errorf("%q", err)
	}
	for _, want := range []string{"dn:CN=root,O=Parley", "fqdn:evil.example.net", "94 more"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not show %s", err, want)
		}
	}
}

// FuzzJudge: a peer's certificates and identity are judged without a panic, and what is damaged is never good.
func FuzzJudge(f *testing.F) {
	root := kit.NewAuthority("root")
	between := root.Below("between")
	anchors := NewAnchors([]Anchor{{Certificate: root.Certificate}})
	good := between.Issue(kit.NewKey("ed25519"), "west.example.net", nil)
	f.Add(good.Raw, between.Certificate.Raw, uint8(idFQDN), []byte("west.example.net"))
	f.Add(root.Issue(kit.NewKey("p256"), "west", nil).Raw, []byte{}, uint8(idDN), good.RawSubject)
	f.Fuzz(func(t *testing.T, leaf, above []byte, kind uint8, data []byte) {
		r := cred.TrustRequest{Chain: [][]byte{leaf, above}, Purpose: cred.Signature, Identity: cred.Identity{Type: kind, Data: data}, Now: kit.PKITime}
		if v, err := Judge(r, anchors); err == nil {
			if c, _ := x509.ParseCertificate(leaf); c.CheckSignatureFrom(between.Certificate) != nil && c.CheckSignatureFrom(root.Certificate) != nil {
				t.Errorf("trusted without a signature: %+v", v)
			}
		} else if strings.ContainsAny(err.Error(), "\n\x1b\x00") {
			t.Errorf("an error that is no line: %q", err)
		}
		_ = Show(r.Identity)
	})
}
