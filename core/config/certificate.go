package config

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parley-ike/parley/core/policy"
)

// sendCertificate reads when our certificates go to the peer.
func (s *section) sendCertificate(e *policy.Endpoint) {
	words := policy.SendCertificateWords()
	word := e.SendCert.String()
	s.choice("send_certificate", &word, words...)
	if i := slices.Index(words, word); i >= 0 {
		e.SendCert = policy.SendCertificate(i)
	}
	if s.has("send_certificate") && !e.Signs() && e.Auth != policy.AuthRevisedRSAEncryption {
		s.fail(s.valueAt("send_certificate"), "send_certificate is about signatures: add auth = %q, or leave it out", policy.AuthSignature)
	}
}

// hasKeys reports what signatures of a connection lack: a private key of ours, and who vouches for the peer's. A credential store of
// others may have both.
func (l *loader) hasKeys(c *policy.Connection, local, remote *section) {
	if slices.ContainsFunc(l.snapshot.Plugins, func(p Plugin) bool { return slices.Contains(p.Kinds, "cred") }) {
		return
	}
	if c.Local.Signs() && !slices.ContainsFunc(l.snapshot.Keys.Own, func(k Certificate) bool { return signs(k.Purpose) && overlap(k.ID, c.Local.Identity) }) {
		us := c.Local.Identity.String()
		local.fail(local.valueAt("auth"), "there is no private key by which to prove that we are %s: add credentials { certificate %q { file = %q  key = %q } }",
			us, us, c.Name+".pem", c.Name+".key")
	}
	if c.Remote.Signs() && len(l.snapshot.Keys.Authorities) == 0 &&
		!slices.ContainsFunc(l.snapshot.Keys.Peers, func(k PublicKey) bool { return signs(k.Purpose) && overlap(k.ID, c.Remote.Identity) }) {
		remote.fail(remote.valueAt("auth"), "nobody vouches for the key of the peer %v: add credentials { ca \"NAME\" { file = \"ca.pem\" } }, or { public_key %q { file = %q } }",
			c.Remote.Identity, c.Remote.Identity.String(), c.Name+".pub")
	}
}

func signs(purpose string) bool { return purpose == "signature" }

// Bounds of what is read to name authorities; the store has bounds of its own.
const (
	maxAuthorityFile = 1 << 20 // octets: a bundle of all public authorities has a quarter of it
	maxAnchors       = 256     // more than any certificate request names
)

// anchors names the authorities for certificate requests, each once. A file that cannot be read is the store's to report: a request is
// a hint (RFC 7296 section 3.7).
func (l *loader) anchors() (all []policy.Anchor) {
	if !slices.ContainsFunc(l.snapshot.Policy.Connections, func(c *policy.Connection) bool { return c.Remote.Signs() }) {
		return nil
	}
	for _, a := range l.snapshot.Keys.Authorities {
		for _, path := range authorityFiles(a.Path) {
			for _, anchor := range anchorsIn(path) {
				if !slices.Contains(all, anchor) && len(all) < maxAnchors {
					all = append(all, anchor)
				}
			}
		}
	}
	return all
}

// authorityFiles returns a file, or those in a folder that have the suffix of a certificate.
func authorityFiles(path string) []string {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}
	}
	entries, _ := os.ReadDir(path) // sorted
	var files []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".pem", ".crt", ".cer", ".der":
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	return files
}

func anchorsIn(path string) (all []policy.Anchor) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxAuthorityFile {
		return nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	if block, _ := pem.Decode(raw); block == nil {
		raw = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	}
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			all = append(all, policy.AnchorOf(c.RawSubjectPublicKeyInfo))
		}
	}
	return all
}
