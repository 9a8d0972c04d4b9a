package suite

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
)

// box is a keyed cipher with authentication. A message is head octets that are authenticated only, the IV, the padded
// plaintext or its ciphertext, and the ICV.
type box interface {
	// seal takes a message with room for the IV and without ICV, and works in place as far as capacity allows.
	seal(msg []byte, head int, rand io.Reader) ([]byte, error)
	// open returns the padded plaintext in memory of its own, and whether msg is authentic.
	open(msg []byte, head int) (plain []byte, ok bool)
}

// aeadBox is RFC 5282 (and RFC 7634 section 3): the nonce is salt and IV; the associated data is all before the IV.
type aeadBox struct {
	aead    cipher.AEAD
	nonce   []byte // scratch; begins with the salt
	saltLen int
	sealed  *uint64 // the next IV
}

func newAEADBox(e *Encryption, ske []byte, sealed *uint64) (*aeadBox, error) {
	keyLen := len(ske) - e.SaltLen
	aead, err := e.newAEAD(ske[:keyLen])
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, e.SaltLen+e.IVLen)
	copy(nonce, ske[keyLen:])
	return &aeadBox{aead: aead, nonce: nonce, saltLen: e.SaltLen, sealed: sealed}, nil
}

func (b *aeadBox) seal(msg []byte, head int, _ io.Reader) ([]byte, error) {
	iv := b.nonce[b.saltLen:]
	binary.BigEndian.PutUint64(iv, *b.sealed)
	*b.sealed++
	text := head + copy(msg[head:], iv)
	return b.aead.Seal(msg[:text], b.nonce, msg[text:], msg[:head]), nil
}

func (b *aeadBox) open(msg []byte, head int) ([]byte, bool) {
	iv := b.nonce[b.saltLen:]
	text := head + len(iv)
	if len(msg) < text+b.aead.Overhead() {
		return nil, false
	}
	copy(iv, msg[head:])
	plain, err := b.aead.Open(nil, b.nonce, msg[text:], msg[:head])
	return plain, err == nil
}

// cbcBox is RFC 7296 section 3.14: encrypt with a random IV, then authenticate the message as it stands.
type cbcBox struct {
	block  cipher.Block
	mac    hash.Hash // keyed once; Reset returns to the state after the key
	icvLen int
	sum    [sha512.Size]byte // scratch of the longest MAC
}

func newCBCBox(e *Encryption, i *Integrity, ske, ska []byte) (*cbcBox, error) {
	block, err := e.newBlock(ske)
	if err != nil {
		return nil, err
	}
	return &cbcBox{block: block, mac: i.newMAC(ska), icvLen: i.ICVLen}, nil
}

func (b *cbcBox) seal(msg []byte, head int, rand io.Reader) ([]byte, error) {
	text := head + b.block.BlockSize()
	iv := msg[head:text]
	if _, err := io.ReadFull(rand, iv); err != nil {
		return nil, fmt.Errorf("suite: no randomness for an IV: %w", err)
	}
	cipher.NewCBCEncrypter(b.block, iv).CryptBlocks(msg[text:], msg[text:])
	return append(msg, b.icv(msg)...), nil
}

func (b *cbcBox) open(msg []byte, head int) ([]byte, bool) {
	text, end := head+b.block.BlockSize(), len(msg)-b.icvLen
	if end <= text || (end-text)%b.block.BlockSize() != 0 {
		return nil, false
	}
	if !hmac.Equal(b.icv(msg[:end]), msg[end:]) { // before anything is decrypted, in constant time
		return nil, false
	}
	plain := make([]byte, end-text)
	cipher.NewCBCDecrypter(b.block, msg[head:text]).CryptBlocks(plain, msg[text:end])
	return plain, true
}

// icv returns the ICV of msg, valid until the next call.
func (b *cbcBox) icv(msg []byte) []byte {
	b.mac.Reset()
	b.mac.Write(msg)
	return b.mac.Sum(b.sum[:0])[:b.icvLen]
}
