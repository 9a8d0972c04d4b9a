package suite

import (
	"crypto/aes"
	"crypto/cipher"
)

// newAESGCM makes ENCR_AES_GCM_16: a nonce of 4 octets salt and 8 octets IV, a 16-octet ICV (RFC 4106, and RFC 5282
// for IKEv2).
func newAESGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
