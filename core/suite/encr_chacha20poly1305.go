package suite

import (
	"crypto/cipher"

	"golang.org/x/crypto/chacha20poly1305"
)

// newChaCha20Poly1305 makes ENCR_CHACHA20_POLY1305: a nonce of 4 octets salt and 8 octets IV, a 16-octet ICV, in IKE as
// in ESP (RFC 7634 sections 2 and 3).
func newChaCha20Poly1305(key []byte) (cipher.AEAD, error) { return chacha20poly1305.New(key) }
