package suite

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"slices"
	"testing"

	"github.com/parley-ike/parley/sdk/secret"
)

func bodyCipher(t *testing.T, s Suite, nonce string, cookie uint64, padding RevisedPadding) *BodyCipher {
	t.Helper()
	c, err := NewBodyCipher(s, secret.Bytes(nonce), cookie, padding)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// RFC 2409 section 5.3, written out (RFC2409-5.3-4): Ne = prf(N_b, CKY), Ke = prf(Ne, 0) | prf(Ne, K1) for AES-256 under SHA-1, an IV of zero, then the
// last block of the payload before, and padding that counts itself without its last octet.
func TestBodiesAreEncryptedAsSection53Says(t *testing.T) {
	t.Parallel()
	p, _ := LookupPRF(PRFHMACSHA1)
	ne := p.Sum([]byte("the nonce"), []byte{0, 0, 0, 0, 0, 0, 0, 5})
	k1 := p.Sum(ne, []byte{0})
	block, err := aes.NewCipher(slices.Concat(k1, p.Sum(ne, k1))[:32])
	if err != nil {
		t.Fatal(err)
	}
	text := slices.Concat([]byte("0123456789"), []byte{0, 0, 0, 0, 0, 5}, bytes.Repeat([]byte{7}, 16), make([]byte, 15), []byte{15})
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(text, text)
	c := bodyCipher(t, mainSuite, "the nonce", 5, RevisedRFC)
	if one, two := c.Seal([]byte("0123456789")), c.Seal(bytes.Repeat([]byte{7}, 16)); !bytes.Equal(one, text[:16]) || !bytes.Equal(two, text[16:]) {
		t.Errorf("%x %x, want %x", one, two, text)
	}
	if short := bodyCipher(t, Suite{Encr: EncrAESCBC, KeyBits: 128, PRF: PRFHMACSHA1}, "the nonce", 5, RevisedRFC); bytes.Equal(short.Seal(nil), c.Seal(nil)) {
		t.Error("128 bits are as good as 256")
	}
}

func TestBodiesOfEveryLengthComeBack(t *testing.T) {
	t.Parallel()
	for _, padding := range []RevisedPadding{RevisedRFC, RevisedHuawei} {
		seal, open := bodyCipher(t, mainSuite, "n", 1, padding), bodyCipher(t, mainSuite, "n", 1, padding)
		first := seal.Seal([]byte("a body"))
		if got, ok := open.Open(first); !ok || string(got) != "a body" {
			t.Errorf("%x, %v", []byte(got), ok)
		}
		for n := range 50 {
			body := bytes.Repeat([]byte{0}, n)
			got, ok := open.Open(seal.Seal(body))
			if !ok || !bytes.Equal(got, body) {
				t.Errorf("%d octets: %x, %v", n, []byte(got), ok)
			}
		}
		if again := bytes.Equal(seal.Seal([]byte("a body")), first); again != (padding == RevisedHuawei) {
			t.Errorf("padding %d: the IV is zero again: %v", padding, again)
		}
	}
	theirs := bodyCipher(t, mainSuite, "n", 1, RevisedHuawei).Seal([]byte("a body"))
	if got, ok := bodyCipher(t, mainSuite, "n", 1, RevisedRFC).Open(theirs); ok && string(got) == "a body" {
		t.Error("the deviation makes no difference")
	}
}

func TestBodiesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	c := bodyCipher(t, mainSuite, "n", 1, RevisedRFC)
	for _, n := range []int{0, 1, 15, 17} {
		if _, ok := c.Open(make([]byte, n)); ok {
			t.Errorf("%d octets were opened", n)
		}
	}
	for _, padding := range []RevisedPadding{RevisedRFC, RevisedHuawei} {
		for _, last := range []byte{0, 15, 16, 17, 255} {
			c, raw := bodyCipher(t, mainSuite, "n", 1, padding), bodyCipher(t, mainSuite, "n", 1, padding)
			text := append(make([]byte, 15), last)
			cipher.NewCBCEncrypter(raw.block, make([]byte, 16)).CryptBlocks(text, text)
			want := padding == RevisedRFC && last <= 15 || padding == RevisedHuawei && last >= 1 && last <= 16
			if _, ok := c.Open(text); ok != want {
				t.Errorf("padding %d, last octet %d: %v", padding, last, ok)
			}
		}
	}
	for _, s := range []Suite{{}, {PRF: PRFHMACSHA1}, {Encr: EncrAESGCM16, KeyBits: 128, PRF: PRFHMACSHA1}} {
		if _, err := NewBodyCipher(s, secret.Bytes("n"), 1, RevisedRFC); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v: %v", s, err)
		}
	}
}
