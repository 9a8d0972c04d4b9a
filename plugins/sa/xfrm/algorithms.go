package xfrm

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

// attribute is one netlink attribute.
type attribute struct {
	kind int
	data []byte
}

// cipher says how the kernel names an encryption transform (IANA, IKEv2 transform type 1).
type cipher struct {
	name string
	bits []uint16 // nil: one size
	key  int      // octets of that, the salt not counted
	salt int      // octets at the end of the keying material
	aead bool
}

var ciphers = map[uint16]cipher{
	3:  {name: "cbc(des3_ede)", key: 24},
	12: {name: "cbc(aes)", bits: []uint16{128, 192, 256}},
	20: {name: "rfc4106(gcm(aes))", bits: []uint16{128, 192, 256}, salt: 4, aead: true},
	28: {name: "rfc7539esp(chacha20,poly1305)", key: 32, salt: 4, aead: true},
}

// integrity says how the kernel names an integrity transform (IANA, IKEv2 transform type 3); the ICV must be told, since the
// kernel's own default for SHA2-256 is not RFC 4868's.
type integrity struct {
	name     string
	key, icv int // octets, bits
}

var integrities = map[uint16]integrity{
	2:  {"hmac(sha1)", 20, 96},
	12: {"hmac(sha256)", 32, 128},
	13: {"hmac(sha384)", 48, 192},
	14: {"hmac(sha512)", 64, 256},
}

const aeadICV = 128 // bits

// transforms returns the attributes for the transforms of one direction.
func transforms(c *sa.Child, encr, integ []byte) ([]attribute, error) {
	ci, ok := ciphers[c.Encr]
	if !ok {
		return nil, fmt.Errorf("encryption transform %d: %w", c.Encr, sdk.ErrUnsupported)
	}
	want := ci.key + ci.salt
	if ci.bits != nil {
		want = int(c.KeyBits)/8 + ci.salt
	}
	if len(encr) != want || ci.bits != nil && c.KeyBits != 128 && c.KeyBits != 192 && c.KeyBits != 256 {
		return nil, fmt.Errorf("encryption transform %d of %d bits with %d octets of key: %w", c.Encr, c.KeyBits, len(encr), sdk.ErrInvalid)
	}
	if ci.aead {
		if c.Integ != 0 {
			return nil, fmt.Errorf("integrity transform %d beside an AEAD cipher: %w", c.Integ, sdk.ErrUnsupported)
		}
		a := nl.XfrmAlgoAEAD{AlgKeyLen: uint32(len(encr) * 8), AlgICVLen: aeadICV, AlgKey: encr}
		copy(a.AlgName[:], ci.name)
		return []attribute{{nl.XFRMA_ALG_AEAD, a.Serialize()}}, nil
	}
	in, ok := integrities[c.Integ]
	if !ok {
		return nil, fmt.Errorf("integrity transform %d: %w", c.Integ, sdk.ErrUnsupported)
	}
	if len(integ) != in.key {
		return nil, fmt.Errorf("integrity transform %d with %d octets of key: %w", c.Integ, len(integ), sdk.ErrInvalid)
	}
	a := nl.XfrmAlgo{AlgKeyLen: uint32(len(encr) * 8), AlgKey: encr}
	copy(a.AlgName[:], ci.name)
	b := nl.XfrmAlgoAuth{AlgKeyLen: uint32(len(integ) * 8), AlgTruncLen: uint32(in.icv), AlgKey: integ}
	copy(b.AlgName[:], in.name)
	return []attribute{{nl.XFRMA_ALG_CRYPT, a.Serialize()}, {nl.XFRMA_ALG_AUTH_TRUNC, b.Serialize()}}, nil
}
