package config

import (
	"slices"

	"github.com/parley-ike/parley/core/policy"
)

// rsaDeviation reads how the peer deviates from RSA encryption as RFC 2409 has it.
func (s *section) rsaDeviation(c *policy.Connection) {
	words := policy.RSADeviationWords()
	word := c.RSADeviation.String()
	s.choice("rsa_deviation", &word, words...)
	if i := slices.Index(words, word); i >= 0 {
		c.RSADeviation = policy.RSADeviation(i)
	}
}

// checkRSAEncryption judges what a connection says of authentication by RSA encryption, which IKEv1 alone has.
func (l *loader) checkRSAEncryption(s *section, c *policy.Connection, local, remote *section) {
	if !c.Local.Decrypts() && !c.Remote.Decrypts() {
		if c.RSADeviation != policy.NoRSADeviation {
			s.fail(s.valueAt("rsa_deviation"), "rsa_deviation is about RSA encryption: add auth = %q to local and remote, or leave it out", policy.AuthRSAEncryption)
		}
		return
	}
	at := orSelf(local, s)
	if c.Version != 1 {
		at.fail(at.valueAt("auth"), "IKEv2 has no authentication by RSA encryption: write version = 1, or auth = %q", policy.AuthSignature)
		return
	}
	if c.RSADeviation == policy.HuaweiRSA && c.Local.Auth != policy.AuthRevisedRSAEncryption {
		s.fail(s.valueAt("rsa_deviation"), "rsa_deviation = \"huawei\" is about the revised mode: write auth = %q, or leave it out", policy.AuthRevisedRSAEncryption)
	}
	l.hasDecryptionKeys(c, at, orSelf(remote, s))
}

// hasDecryptionKeys reports what RSA encryption lacks: a private key of ours for decryption, and a public key of the peer. In the
// revised mode the peer may send a certificate, for which an authority has to vouch.
func (l *loader) hasDecryptionKeys(c *policy.Connection, local, remote *section) {
	if slices.ContainsFunc(l.snapshot.Plugins, func(p Plugin) bool { return slices.Contains(p.Kinds, "cred") }) {
		return
	}
	if !slices.ContainsFunc(l.snapshot.Keys.Own, func(k Certificate) bool { return decrypts(k.Purpose) && overlap(k.ID, c.Local.Identity) }) {
		us := c.Local.Identity.String()
		local.fail(local.valueAt("auth"), "there is no private key by which %s decrypts: add credentials { private_key %q { file = %q  purpose = \"decryption\" } }; a key that signs does not do",
			us, us, c.Name+".key")
	}
	if !slices.ContainsFunc(l.snapshot.Keys.Peers, func(k PublicKey) bool { return decrypts(k.Purpose) && overlap(k.ID, c.Remote.Identity) }) &&
		(c.Remote.Auth != policy.AuthRevisedRSAEncryption || len(l.snapshot.Keys.Authorities) == 0) {
		remote.fail(remote.valueAt("auth"), "there is no public key to encrypt with for the peer %v: add credentials { public_key %q { file = %q  purpose = \"decryption\" } }",
			c.Remote.Identity, c.Remote.Identity.String(), c.Name+".pub")
	}
}

func decrypts(purpose string) bool { return purpose == "decryption" }
