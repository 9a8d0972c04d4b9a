package suite

import (
	"crypto/cipher"
	"fmt"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// maxBlock is the largest block of a cipher of IKEv1, in octets.
const maxBlock = 16

// IV is the state of CBC between two messages: the last ciphertext block, or what stands for it before the first message.
// It is a value: a message is decrypted with a copy, and only when it proves authentic does the copy's successor count.
type IV struct {
	octets [maxBlock]byte
	n      int
}

// bytes returns the octets, which share memory with iv.
func (iv *IV) bytes() []byte { return iv.octets[:iv.n] }

// newIV takes the first n octets of b.
func newIV(b []byte, n int) IV {
	iv := IV{n: n}
	copy(iv.octets[:n], b)
	return iv
}

// ISAKMPCipher encrypts and decrypts the messages of an ISAKMP SA in CBC mode, each with the last block of the one before
// as its IV (RFC 2409 appendix B). It authenticates nothing: the HASH payloads do.
type ISAKMPCipher struct {
	block cipher.Block
	prf   *PRF
}

// NewISAKMPCipher returns the cipher of s under keys that DeriveISAKMP has made for it.
func NewISAKMPCipher(s Suite, k *ISAKMPKeys) (*ISAKMPCipher, error) {
	e, ok := LookupEncryption(s.Encr)
	if !ok || e.newBlock == nil || k.prf == nil {
		return nil, fmt.Errorf("%w: %v does not protect IKEv1 messages", ErrUnsupported, s.Encr)
	}
	block, err := e.newBlock(k.Encr)
	if err != nil {
		return nil, fmt.Errorf("suite: %s: %w", e.Name, err)
	}
	return &ISAKMPCipher{block: block, prf: k.prf}, nil
}

// FirstIV returns the IV of the first encrypted message of phase 1: hash(g^xi | g^xr), cut to a block (RFC 2409 appendix
// B).
func (c *ISAKMPCipher) FirstIV(publicI, publicR []byte) IV {
	return newIV(c.prf.Digest(publicI, publicR), c.block.BlockSize())
}

// ExchangeIV returns the IV of the first message of an exchange after phase 1: hash(last block of phase 1 | M-ID), cut to a
// block (RFC 2409 appendix B). last is what the last message of phase 1 left.
func (c *ISAKMPCipher) ExchangeIV(last IV, messageID uint32) IV {
	return newIV(c.prf.Digest(last.bytes(), messageIDOctets(messageID)), c.block.BlockSize())
}

// Seal returns the message with its payloads encrypted, and the IV of the message that follows in the exchange. Of h it
// sets NextPayload, Length and the encryption flag. Padding is zeros to a whole block, none when there is one already (RFC
// 2409 appendix B).
func (c *ISAKMPCipher) Seal(h wire.Header, ps []wire1.Payload, iv IV) (packet []byte, next IV) {
	text := wire1.AppendPayloads(nil, ps)
	size := c.block.BlockSize()
	if partial := len(text) % size; partial != 0 {
		text = append(text, make([]byte, size-partial)...)
	}
	if len(text) > 0 {
		cipher.NewCBCEncrypter(c.block, iv.bytes()).CryptBlocks(text, text)
		iv = newIV(text[len(text)-size:], size)
	}
	h.NextPayload = wire1.FirstType(ps)
	h.Flags |= wire1.FlagEncryption
	return wire1.Message{Header: h, Cipher: text}.Append(nil), iv
}

// Open returns the plaintext of an encrypted message in memory of its own, padding included, for wire1.ParsePayloads, and
// the IV of the message that follows. It fails only where ciphertext is not whole blocks: whether a message is authentic
// its HASH payload tells.
func (c *ISAKMPCipher) Open(ciphertext []byte, iv IV) (plain []byte, next IV, err error) {
	size := c.block.BlockSize()
	if len(ciphertext) == 0 || len(ciphertext)%size != 0 {
		return nil, iv, fmt.Errorf("%w: %d octets are not whole blocks of %d (RFC 2409 appendix B)", ErrIntegrity, len(ciphertext), size)
	}
	plain = make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(c.block, iv.bytes()).CryptBlocks(plain, ciphertext)
	return plain, newIV(ciphertext[len(ciphertext)-size:], size), nil
}
