package suite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/parley-ike/parley/sdk/secret"
)

// ikev1KDF is a case of testdata/ikev1_kdf.json.
type ikev1KDF struct {
	Source, PRF, Mode        string
	Ni, Nr, GXY, PSK, SKEYID hexBytes
	CkyI                     hexBytes `json:"cky_i"`
	CkyR                     hexBytes `json:"cky_r"`
	D                        hexBytes `json:"skeyid_d"`
	A                        hexBytes `json:"skeyid_a"`
	E                        hexBytes `json:"skeyid_e"`
}

// skeyid computes SKEYID in the case's mode. The formula for pre-shared keys is not in this package, because the core has
// none: prf(pre-shared-key, Ni_b | Nr_b) (RFC 2409 section 5).
func (v ikev1KDF) skeyid(p *PRF) (secret.Bytes, error) {
	switch v.Mode {
	case "dsa":
		return SKEYIDSignatures(p.ID, v.Ni, v.Nr, secret.Bytes(v.GXY))
	case "pke":
		return SKEYIDEncryption(p.ID, secret.Bytes(v.Ni), secret.Bytes(v.Nr), v.cookieI(), v.cookieR(), false)
	}
	return p.Sum(v.PSK, v.Ni, v.Nr), nil
}

func (v ikev1KDF) cookieI() uint64 { return binary.BigEndian.Uint64(v.CkyI) }
func (v ikev1KDF) cookieR() uint64 { return binary.BigEndian.Uint64(v.CkyR) }

// Two published samples, and cases of our own for what nobody has published: testdata/README.md.
func TestISAKMPKeysAreThoseOfTheSamples(t *testing.T) {
	t.Parallel()
	modes := map[string]int{}
	for i, v := range load[[]ikev1KDF](t, "ikev1_kdf.json") {
		p, ok := row(prfs, func(p *PRF) bool { return p.Name == v.PRF })
		if !ok {
			t.Fatalf("no PRF %s", v.PRF)
		}
		skeyid, err := v.skeyid(p)
		if err != nil || !bytes.Equal(skeyid, v.SKEYID) {
			t.Errorf("%d (%s): SKEYID %x, %v, want %x", i, v.Mode, []byte(skeyid), err, v.SKEYID)
		}
		k, err := DeriveISAKMP(Suite{Encr: EncrAESCBC, KeyBits: 128, PRF: p.ID}, skeyid, secret.Bytes(v.GXY), v.cookieI(), v.cookieR())
		if err != nil || !bytes.Equal(k.D, v.D) || !bytes.Equal(k.A, v.A) || !bytes.Equal(k.E, v.E) {
			t.Errorf("%d (%s): SKEYID_d %x, _a %x, _e %x, %v", i, v.Mode, []byte(k.D), []byte(k.A), []byte(k.E), err)
		}
		modes[v.Mode+" "+v.PRF]++
	}
	if want := 3 * len(prfs); len(modes) != want {
		t.Errorf("cases for %d combinations of mode and PRF, want all %d: %v", len(modes), want, modes)
	}
}

// RFC 2409 appendix B: K1 = prf(SKEYID_e, 0), K2 = prf(SKEYID_e, K1), and their concatenation cut.
func TestAKeyTooShortIsExpanded(t *testing.T) {
	t.Parallel()
	p, _ := LookupPRF(PRFHMACSHA1)
	e := secret.Bytes(bytes.Repeat([]byte{7}, 20))
	k1 := p.Sum(e, []byte{0})
	k2 := p.Sum(e, k1)
	for n, want := range map[int][]byte{16: e[:16], 20: e, 24: slices.Concat(k1, k2)[:24], 32: slices.Concat(k1, k2)[:32], 40: slices.Concat(k1, k2)} {
		if got := expandKey(p, e, n); !bytes.Equal(got, want) {
			t.Errorf("%d octets: %x, want %x", n, []byte(got), want)
		}
	}
}

func testKeys(t *testing.T, s Suite) ISAKMPKeys {
	t.Helper()
	k, err := DeriveISAKMP(s, bytes.Repeat([]byte{1}, 20), bytes.Repeat([]byte{2}, 128), 3, 4)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var mainSuite = Suite{Encr: EncrAESCBC, KeyBits: 256, PRF: PRFHMACSHA1}

// RFC 2409 section 5.5, written out for SHA-1 and 36 octets (AES-GCM with 256 bits takes 32 and a salt of 4: RFC 4106
// section 8.1).
func TestKEYMATIsExpandedAndDiffersByDirection(t *testing.T) {
	t.Parallel()
	k := testKeys(t, mainSuite)
	ni, nr, shared := []byte("initiator"), []byte("responder"), secret.Bytes("g(qm)^xy")
	for _, pfs := range []secret.Bytes{nil, shared} {
		keymat := func(spi byte) []byte {
			seed := slices.Concat(pfs, []byte{3, 0, 0, 0, spi}, ni, nr)
			k1 := k.prf.Sum(k.D, seed)
			return slices.Concat(k1, k.prf.Sum(k.D, k1, seed))
		}
		got, err := k.DeriveChild(Suite{Encr: EncrAESGCM16, KeyBits: 256}, pfs, 8, 9, ni, nr)
		if err != nil || !bytes.Equal(got.EncrI, keymat(9)[:36]) || !bytes.Equal(got.EncrR, keymat(8)[:36]) {
			t.Errorf("AES-GCM: %x %x, %v", []byte(got.EncrI), []byte(got.EncrR), err)
		}
		got, err = k.DeriveChild(Suite{Encr: EncrAESCBC, KeyBits: 128, Integ: IntegHMACSHA1_96}, pfs, 8, 9, ni, nr)
		if err != nil || !bytes.Equal(got.EncrI, keymat(9)[:16]) || !bytes.Equal(got.IntegI, keymat(9)[16:36]) || !bytes.Equal(got.IntegR, keymat(8)[16:36]) {
			t.Errorf("AES-CBC: %x %x %x, %v", []byte(got.EncrI), []byte(got.IntegI), []byte(got.IntegR), err)
		}
	}
}

func TestISAKMPKeysNeedACipherAPRFAndASecret(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		suite  Suite
		shared secret.Bytes
		want   error
	}{
		"no PRF":           {Suite{Encr: EncrAESCBC, KeyBits: 128}, secret.Bytes{1}, ErrUnsupported},
		"an AEAD":          {Suite{Encr: EncrAESGCM16, KeyBits: 128, PRF: PRFHMACSHA1}, secret.Bytes{1}, ErrUnsupported},
		"no cipher":        {Suite{PRF: PRFHMACSHA1}, secret.Bytes{1}, ErrUnsupported},
		"a key of 64 bits": {Suite{Encr: EncrAESCBC, KeyBits: 64, PRF: PRFHMACSHA1}, secret.Bytes{1}, ErrUnsupported},
		"no secret":        {mainSuite, nil, ErrNoSharedSecret},
	} {
		if _, err := DeriveISAKMP(c.suite, secret.Bytes{1}, c.shared, 1, 2); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := SKEYIDSignatures(PRFHMACSHA1, []byte{1}, []byte{2}, nil); !errors.Is(err, ErrNoSharedSecret) {
		t.Errorf("SKEYID without a secret: %v", err)
	}
	if _, err := SKEYIDEncryption(99, nil, nil, 1, 2, false); !errors.Is(err, ErrUnsupported) {
		t.Errorf("SKEYID of an unknown PRF: %v", err)
	}
	k := testKeys(t, mainSuite)
	if _, err := k.DeriveChild(Suite{Encr: EncrAESCBC, KeyBits: 128}, nil, 1, 2, nil, nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("ESP without integrity: %v", err)
	}
	if _, err := NewISAKMPCipher(mainSuite, &ISAKMPKeys{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a cipher without keys: %v", err)
	}
}

func TestISAKMPKeysAreWiped(t *testing.T) {
	t.Parallel()
	k := testKeys(t, mainSuite)
	all := []secret.Bytes{k.SKEYID, k.D, k.A, k.E, k.Encr}
	k.Wipe()
	for i, b := range all {
		if len(b) == 0 || !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("key %d is %x", i, []byte(b))
		}
	}
}
