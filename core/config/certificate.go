package config

import (
	"slices"

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
	if s.has("send_certificate") && !e.Signs() {
		s.fail(s.valueAt("send_certificate"), "send_certificate is about signatures: add auth = %q, or leave it out", policy.AuthSignature)
	}
}
