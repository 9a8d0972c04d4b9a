package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/parley-ike/parley/sdk/secret"
)

// Params describe one SA, that is one direction.
type Params struct {
	Suite Suite
	SPI   uint32
	ESN   bool         // 64-bit sequence numbers (RFC 4303 section 2.2.1)
	Encr  secret.Bytes // keying material; for an AEAD cipher the salt is its last 4 octets
	Integ secret.Bytes
	// IVKey makes the IVs of ciphers in CBC mode: they must be unpredictable (RFC 3602 section 3), and are the sequence number
	// encrypted under this key, by AES whatever the cipher. 16 fresh random octets from the caller; unused by AEAD ciphers and by an Opener.
	IVKey [16]byte
}

// ivSetter is what the standard library's CBC modes offer so that a key schedule serves many packets.
type ivSetter interface {
	cipher.BlockMode
	SetIV([]byte)
}

// keys are the key schedules of one SA with the scratch memory that keeps packets free of allocations.
type keys struct {
	suite Suite
	spi   uint32
	esn   bool

	aead  cipher.AEAD
	nonce [12]byte // salt, then the IV of the packet
	aad   [12]byte // SPI and sequence number, 32 or 64 bits of it (RFC 4106 section 5)

	block cipher.Block
	mac   hash.Hash
	sum   [64]byte
	high  [4]byte
}

func newKeys(p Params) (*keys, error) {
	if len(p.Encr) != p.Suite.EncrKey || len(p.Integ) != p.Suite.IntegKey {
		return nil, fmt.Errorf("esp: keys of %d and %d octets given, encryption transform %d and integrity transform %d need %d and %d",
			len(p.Encr), len(p.Integ), p.Suite.Encr, p.Suite.Integ, p.Suite.EncrKey, p.Suite.IntegKey)
	}
	k := &keys{suite: p.Suite, spi: p.SPI, esn: p.ESN}
	key := p.Encr
	if p.Suite.hasSalt {
		copy(k.nonce[:saltLen], key[len(key)-saltLen:])
		key = key[:len(key)-saltLen]
	}
	var err error
	switch p.Suite.Encr {
	case EncrChaCha20Poly1305:
		k.aead, err = chacha20poly1305.New(key)
	case EncrAESGCM16:
		if k.block, err = aes.NewCipher(key); err == nil {
			k.aead, err = cipher.NewGCM(k.block)
		}
	case EncrAESCBC:
		k.block, err = aes.NewCipher(key)
		k.mac = hmac.New(p.Suite.hash, p.Integ)
	case Encr3DES:
		k.block, err = des.NewTripleDESCipher(key)
		k.mac = hmac.New(p.Suite.hash, p.Integ)
	default:
		err = ErrUnsupported
	}
	if err != nil {
		return nil, fmt.Errorf("esp: key schedule: %w", err)
	}
	return k, nil
}

// icv computes the ICV of suites in CBC mode over a packet without its ICV, with the high half of an extended sequence number
// behind it (RFC 4303 section 2.2.1).
func (k *keys) icv(covered []byte, seq uint64) []byte {
	k.mac.Reset()
	k.mac.Write(covered)
	if k.esn {
		putUint32(k.high[:], uint32(seq>>32))
		k.mac.Write(k.high[:])
	}
	return k.mac.Sum(k.sum[:0])[:k.suite.ICV]
}

// additional returns the additional authenticated data of AEAD suites (RFC 4106 section 5, RFC 7634 section 2.1).
func (k *keys) additional(seq uint64) []byte {
	putUint32(k.aad[:], k.spi)
	if !k.esn {
		putUint32(k.aad[4:], uint32(seq))
		return k.aad[:8]
	}
	putUint32(k.aad[4:], uint32(seq>>32))
	putUint32(k.aad[8:], uint32(seq))
	return k.aad[:12]
}
