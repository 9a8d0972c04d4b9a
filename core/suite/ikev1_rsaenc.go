package suite

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/sdk/secret"
)

// SKEYIDEncryption returns SKEYID for authentication with public key encryption: prf(hash(Ni_b | Nr_b), CKY-I | CKY-R) (RFC
// 2409 section 5). With bare it is prf(Ni_b | Nr_b, CKY-I | CKY-R), a Cisco router's deviation.
func SKEYIDEncryption(prf PRFID, ni, nr secret.Bytes, cookieI, cookieR uint64, bare bool) (secret.Bytes, error) {
	p, err := lookupPRF(prf)
	if err != nil {
		return nil, err
	}
	key := append(ni.Clone(), nr...)
	defer key.Wipe()
	if !bare {
		digest := p.Digest(key)
		defer clear(digest)
		return p.Sum(digest, wire1.CookieSPI(cookieI, cookieR)), nil
	}
	return p.Sum(key, wire1.CookieSPI(cookieI, cookieR)), nil
}

// RevisedPadding is how bodies are padded in the revised mode of public key encryption (RFC 2409 section 5.3).
type RevisedPadding uint8

const (
	// RevisedRFC counts the octets of padding without the last one, and chains IVs over payloads.
	RevisedRFC RevisedPadding = iota
	// RevisedHuawei is the deviation of a Huawei gateway: the last octet counts itself, and each payload begins with an IV of zero.
	RevisedHuawei
)

// BodyCipher encrypts or decrypts the bodies of the payloads that follow the nonce in the revised mode of public key encryption,
// in the order in which they stand (RFC 2409 section 5.3). It is for one direction and one message.
type BodyCipher struct {
	block   cipher.Block
	iv      IV
	padding RevisedPadding
}

// NewBodyCipher returns the cipher of the side whose nonce and cookie are given: Ne = prf(N_b, CKY), and Ke is Ne cut or expanded
// (RFC 2409 section 5.3, appendix B). Of s it takes Encr, KeyBits and PRF.
func NewBodyCipher(s Suite, nonce secret.Bytes, cookie uint64, padding RevisedPadding) (*BodyCipher, error) {
	p, err := lookupPRF(s.PRF)
	if err != nil {
		return nil, err
	}
	n, err := s.isakmpKeyLen()
	if err != nil {
		return nil, err
	}
	ne := secret.Bytes(p.Sum(nonce, binary.BigEndian.AppendUint64(nil, cookie)))
	defer ne.Wipe()
	ke := expandKey(p, ne, n)
	defer ke.Wipe()
	e, _ := LookupEncryption(s.Encr)
	block, err := e.newBlock(ke)
	if err != nil {
		return nil, fmt.Errorf("suite: %s: %w", e.Name, err)
	}
	return &BodyCipher{block: block, iv: IV{n: block.BlockSize()}, padding: padding}, nil
}

// Seal returns the next body encrypted. There is always padding; its last octet counts it.
func (c *BodyCipher) Seal(body []byte) []byte {
	size := c.block.BlockSize()
	n := size - len(body)%size
	text := append(bytes.Clone(body), make([]byte, n)...)
	text[len(text)-1] = byte(n - 1)
	if c.padding == RevisedHuawei {
		text[len(text)-1] = byte(n)
	}
	cipher.NewCBCEncrypter(c.block, c.iv.bytes()).CryptBlocks(text, text)
	c.chain(text)
	return text
}

// Open returns the next body. It is not authenticated, and a peer may have sent anything: false says that it is not whole blocks, or
// that its padding cannot be, which a wrong key shows as well.
func (c *BodyCipher) Open(ciphertext []byte) (secret.Bytes, bool) {
	size := c.block.BlockSize()
	if len(ciphertext) == 0 || len(ciphertext)%size != 0 {
		return nil, false
	}
	text := make(secret.Bytes, len(ciphertext))
	cipher.NewCBCDecrypter(c.block, c.iv.bytes()).CryptBlocks(text, ciphertext)
	c.chain(ciphertext)
	n := int(text[len(text)-1])
	if c.padding != RevisedHuawei {
		n++
	}
	if n == 0 || n > size {
		return nil, false
	}
	return text[:len(text)-n], true
}

// chain notes the last ciphertext block for the next body.
func (c *BodyCipher) chain(ciphertext []byte) {
	if c.padding != RevisedHuawei {
		c.iv = newIV(ciphertext[len(ciphertext)-c.iv.n:], c.iv.n)
	}
}
