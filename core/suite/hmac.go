package suite

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

// HMAC (RFC 2104) serves both the PRF_HMAC_* and the AUTH_HMAC_* transforms (RFC 2404, RFC 4868). SHA-1 remains sound
// in HMAC and is what older peers have.

func newHMACSHA1(key []byte) hash.Hash   { return hmac.New(sha1.New, key) }
func newHMACSHA256(key []byte) hash.Hash { return hmac.New(sha256.New, key) }
func newHMACSHA384(key []byte) hash.Hash { return hmac.New(sha512.New384, key) }
func newHMACSHA512(key []byte) hash.Hash { return hmac.New(sha512.New, key) }
