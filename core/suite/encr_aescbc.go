package suite

import (
	"crypto/aes"
	"crypto/cipher"
)

// newAESCBC makes the block cipher of ENCR_AES_CBC (RFC 3602).
func newAESCBC(key []byte) (cipher.Block, error) { return aes.NewCipher(key) }
