package suite

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The example of NIST SP 800-67 appendix B.1 for the block, and what OpenSSL makes of the same in CBC mode (openssl enc -des-ede3-cbc -nopad).
func TestTripleDESGivesThePublishedValues(t *testing.T) {
	t.Parallel()
	unhex := func(s string) []byte { b, _ := hex.DecodeString(s); return b }
	key, text := unhex("0123456789abcdef23456789abcdef01456789abcdef0123"), []byte("The qufck brown fox jump")
	block, err := newTripleDES(key)
	if err != nil {
		t.Fatal(err)
	}
	var ecb []byte
	for i := 0; i < len(text); i += 8 {
		out := make([]byte, 8)
		block.Encrypt(out, text[i:])
		ecb = append(ecb, out...)
	}
	if want := unhex("a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900"); !bytes.Equal(ecb, want) {
		t.Errorf("blocks %x, want %x", ecb, want)
	}
	e, _ := LookupEncryption(Encr3DES)
	i, _ := LookupIntegrity(IntegHMACSHA1_96)
	b, err := newCBCBox(e, i, key, make([]byte, i.KeyLen))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := b.seal(append(make([]byte, e.IVLen), text...), 0, bytes.NewReader(unhex("f69f2445df4f9b17")))
	if want := unhex("a5c282bad0de3774becd2e04386b589fb5057d8552fc4336"); err != nil || !bytes.Equal(sealed[e.IVLen:len(sealed)-i.ICVLen], want) {
		t.Errorf("ciphertext %x, want %x (%v)", sealed[e.IVLen:len(sealed)-i.ICVLen], want, err)
	}
	if plain, ok := b.open(sealed, 0); !ok || !bytes.Equal(plain, text) {
		t.Errorf("plaintext %q %t", plain, ok)
	}
}
