package suite

import (
	"crypto/cipher"
	"crypto/des"
)

// newTripleDES makes the block cipher of ENCR_3DES (RFC 2451), whose key has three parts of 8 octets. That two parts are equal, which the RFC
// has us look for, does not happen by chance.
func newTripleDES(key []byte) (cipher.Block, error) { return des.NewTripleDESCipher(key) }
