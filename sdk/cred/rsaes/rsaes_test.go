package rsaes_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"testing"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred/rsaes"
)

func load(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pkcs8(t testing.TB, der []byte) *rsa.PrivateKey {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

// Project Wycheproof: good ciphertexts give their message; bad paddings give something, and never what the padding hides.
func TestWycheproofsCasesGiveTheirMessageOrAnUnpredictableOne(t *testing.T) {
	t.Parallel()
	var file struct {
		TestGroups []struct {
			PrivateKeyPkcs8 string
			Tests           []struct {
				TcID            int
				Msg, Ct, Result string
				Comment         string
			}
		}
	}
	load(t, "wycheproof.json", &file)
	cases := 0
	for _, g := range file.TestGroups {
		key := pkcs8(t, unhex(t, g.PrivateKeyPkcs8))
		for _, c := range g.Tests {
			cases++
			got, err := rsaes.Decrypt(key, unhex(t, c.Ct))
			switch valid := c.Result == "valid"; {
			case len(c.Ct)/2 != key.Size() || new(big.Int).SetBytes(unhex(t, c.Ct)).Cmp(key.N) >= 0:
				if !errors.Is(err, sdk.ErrInvalid) {
					t.Errorf("case %d (%s): %v, want an error that everybody can foresee", c.TcID, c.Comment, err)
				}
			case err != nil:
				t.Errorf("case %d (%s): %v", c.TcID, c.Comment, err)
			case valid && hex.EncodeToString(got) != c.Msg:
				t.Errorf("case %d (%s): another message", c.TcID, c.Comment)
			case !valid && c.Msg != "" && hex.EncodeToString(got) == c.Msg:
				t.Errorf("case %d (%s): the message of a bad padding", c.TcID, c.Comment)
			}
		}
	}
	if cases < 60 {
		t.Errorf("%d cases", cases)
	}
}

// draft-irtf-cfrg-rsa-guidance section 7: the synthetic messages are the same as another implementation's, octet by octet.
func TestSyntheticMessagesAreThoseOfOpenSSL(t *testing.T) {
	t.Parallel()
	var file struct {
		Key   string
		Cases []struct{ Ct, Msg string }
	}
	load(t, "openssl.json", &file)
	block, _ := pem.Decode([]byte(file.Key))
	key := pkcs8(t, block.Bytes)
	for n, c := range file.Cases {
		got, err := rsaes.Decrypt(key, unhex(t, c.Ct))
		if err != nil || hex.EncodeToString(got) != c.Msg {
			t.Errorf("case %d: %d octets and %v, want the %d of OpenSSL", n, len(got), err, len(c.Msg)/2)
		}
	}
	if len(file.Cases) != 24 {
		t.Errorf("%d cases", len(file.Cases))
	}
}

func newKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// encrypt is RFC 8017 section 7.2.1 with a padding of ones.
func encrypt(t testing.TB, key *rsa.PrivateKey, message []byte) []byte {
	t.Helper()
	padded := bytes.Repeat([]byte{1}, key.Size())
	padded[0], padded[1], padded[key.Size()-len(message)-1] = 0, 2, 0
	copy(padded[key.Size()-len(message):], message)
	c := new(big.Int).Exp(new(big.Int).SetBytes(padded), big.NewInt(int64(key.E)), key.N)
	return c.FillBytes(make([]byte, key.Size()))
}

// RFC 8017 section 7.2.2 step 3: fewer than eight octets of padding are a bad one.
func TestAShortPaddingIsBad(t *testing.T) {
	t.Parallel()
	key := newKey(t, 1024)
	for pad := range 9 {
		message := bytes.Repeat([]byte{'m'}, key.Size()-3-pad)
		got, err := rsaes.Decrypt(key, encrypt(t, key, message))
		if good := pad == 8; err != nil || bytes.Equal(got, message) != good {
			t.Errorf("%d octets of padding: the message came out: %v, %v", pad, !good, err)
		}
	}
}

// Of every size, the empty message and the longest one included, and a modulus whose length is no multiple of eight bits.
func TestMessagesOfEverySizeComeBack(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{1024, 1531} {
		key := newKey(t, bits)
		for size := range key.Size() - 11 + 1 {
			want := bytes.Repeat([]byte{byte(size), 0}, size)[:size]
			if got, err := rsaes.Decrypt(key, encrypt(t, key, want)); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d octets under %d bits: %x, %v", size, bits, got, err)
			}
		}
	}
}

// The same ciphertext gives the same synthetic message, one that differs in a bit another, and lengths spread over all that fit:
// so a peer sees neither that a message is synthetic nor which padding was bad.
func TestSyntheticMessagesAreStableAndSpread(t *testing.T) {
	t.Parallel()
	key := newKey(t, 1024)
	lengths := map[int]int{}
	for n := range 400 {
		ciphertext := new(big.Int).Mod(new(big.Int).SetBytes(bytes.Repeat([]byte{byte(n), byte(n >> 8), 7}, 42)), key.N).FillBytes(make([]byte, key.Size()))
		a, errA := rsaes.Decrypt(key, ciphertext)
		b, errB := rsaes.Decrypt(key, ciphertext)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Fatalf("ciphertext %d: %x and %x, %v, %v", n, a, b, errA, errB)
		}
		lengths[len(a)]++
		ciphertext[key.Size()-1] ^= 1
		if c, err := rsaes.Decrypt(key, ciphertext); err != nil || len(a) > 8 && bytes.Equal(a, c) {
			t.Fatalf("ciphertext %d with another bit: the same message, %v", n, err)
		}
	}
	for length := range lengths {
		if length > key.Size()-11 {
			t.Errorf("a synthetic message of %d octets, longer than any true one", length)
		}
	}
	if len(lengths) < 100 { // of 118; by chance some 114 are met
		t.Errorf("only %d lengths among 400 messages", len(lengths))
	}
}

func TestWhatEverybodyCanSeeIsRefused(t *testing.T) {
	t.Parallel()
	key := newKey(t, 1024)
	good := encrypt(t, key, []byte("message"))
	for name, ciphertext := range map[string][]byte{
		"nothing": nil, "cut off": good[1:], "longer": append([]byte{0}, good...),
		"the modulus": key.N.Bytes(), "above it": bytes.Repeat([]byte{0xff}, key.Size()),
	} {
		if got, err := rsaes.Decrypt(key, ciphertext); !errors.Is(err, sdk.ErrInvalid) || got != nil {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

func BenchmarkDecrypt(b *testing.B) {
	key := newKey(b, 2048)
	good := encrypt(b, key, make([]byte, 32))
	bad := bytes.Clone(good)
	bad[255] ^= 1
	for name, ciphertext := range map[string][]byte{"good": good, "bad": bad} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := rsaes.Decrypt(key, ciphertext); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
