package suite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-ike/parley/sdk/secret"
)

// kdfVector is one sample of the IKEv2 KDF. DKM is keying material taken from prf+, of which a suite uses the front.
type kdfVector struct {
	Source, PRF   string
	Ni, Nr        hexBytes
	Gir           hexBytes
	GirNew        hexBytes `json:"gir_new"`
	SPIi, SPIr    hexBytes
	SKEYSEED      hexBytes
	DKM           hexBytes
	DKMChild      hexBytes `json:"dkm_child"`
	DKMChildDH    hexBytes `json:"dkm_child_dh"`
	SKEYSEEDRekey hexBytes `json:"skeyseed_rekey"`
}

// kdfSuites are suites that use up the DKM of the samples to the octet: 132 and 224.
var kdfSuites = map[string]Suite{
	"PRF_HMAC_SHA1":     {Encr: EncrAESCBC, KeyBits: 128, PRF: PRFHMACSHA1, Integ: IntegHMACSHA1_96, KE: KEMODP2048},
	"PRF_HMAC_SHA2_256": {Encr: EncrAESCBC, KeyBits: 256, PRF: PRFHMACSHA256, Integ: IntegHMACSHA256_128, KE: KEMODP2048},
}

// SP 800-135 samples; RFC 7296 sections 2.13, 2.14, 2.17, 2.18 (RFC7296-2.13-2, RFC7296-2.14-1, RFC7296-2.17-1).
func TestKeyScheduleGivesThePublishedValues(t *testing.T) {
	t.Parallel()
	vectors := load[[]kdfVector](t, "ikev2_kdf.json")
	if len(vectors) != len(kdfSuites) {
		t.Fatalf("%d vectors, want %d", len(vectors), len(kdfSuites))
	}
	for _, v := range vectors {
		t.Run(v.PRF, func(t *testing.T) {
			t.Parallel()
			checkSchedule(t, v, kdfSuites[v.PRF])
		})
	}
}

func checkSchedule(t *testing.T, v kdfVector, s Suite) {
	t.Helper()
	seed, err := SKEYSEED(s.PRF, v.Ni, v.Nr, secret.Bytes(v.Gir))
	want(t, "SKEYSEED", seed, err, v.SKEYSEED)
	k, err := DeriveIKE(s, seed, v.Ni, v.Nr, binary.BigEndian.Uint64(v.SPIi), binary.BigEndian.Uint64(v.SPIr))
	want(t, "DKM", slices.Concat(k.D, k.AI, k.AR, k.EI, k.ER, k.PI, k.PR), err, v.DKM)
	esp := Suite{Encr: s.Encr, KeyBits: s.KeyBits, Integ: s.Integ}
	c, err := DeriveChild(s.PRF, esp, k.D, nil, v.Ni, v.Nr)
	want(t, "DKM(Child SA)", front(c, v.DKMChild), err, v.DKMChild)
	c, err = DeriveChild(s.PRF, esp, k.D, secret.Bytes(v.GirNew), v.Ni, v.Nr)
	want(t, "DKM(Child SA D-H)", front(c, v.DKMChildDH), err, v.DKMChildDH)
	seed, err = SKEYSEEDRekey(s.PRF, k.D, secret.Bytes(v.GirNew), v.Ni, v.Nr)
	want(t, "SKEYSEED(Rekey)", seed, err, v.SKEYSEEDRekey)
}

// front joins the keys in their order; a sample has more octets than they take, or fewer.
func front(c ChildKeys, sample []byte) []byte {
	all := slices.Concat(c.EncrI, c.IntegI, c.EncrR, c.IntegR)
	return all[:min(len(all), len(sample))]
}

func want(t *testing.T, what string, got []byte, err error, sample []byte) {
	t.Helper()
	if err != nil || len(got) == 0 || !bytes.Equal(got, sample[:len(got)]) {
		t.Errorf("%s: got %x, %v, want the front of %x", what, got, err, sample)
	}
}

// RFC 7296 section 2.13: a shorter request is a prefix of a longer one, up to 255 rounds.
func TestPRFPlusLengths(t *testing.T) {
	t.Parallel()
	for _, p := range prfs {
		limit := 255 * p.OutLen
		all, err := p.Plus([]byte("key"), []byte("seed"), limit)
		if err != nil || len(all) != limit {
			t.Fatalf("%s: %d octets, %v", p.Name, len(all), err)
		}
		last := p.Sum([]byte("key"), all[limit-2*p.OutLen:limit-p.OutLen], []byte("seed"), []byte{255})
		if !bytes.Equal(all[limit-p.OutLen:], last) {
			t.Errorf("%s: round 255 differs from its definition", p.Name)
		}
		for _, n := range []int{0, 1, p.OutLen - 1, p.OutLen, p.OutLen + 1, 2*p.OutLen + 3, limit - 1} {
			out, err := p.Plus([]byte("key"), []byte("seed"), n)
			if err != nil || !bytes.Equal(out, all[:n]) || cap(out) != n {
				t.Errorf("%s: %d octets are not the front of the stream: %d, cap %d, %v", p.Name, n, len(out), cap(out), err)
			}
		}
		for _, n := range []int{-1, limit + 1} {
			if out, err := p.Plus([]byte("key"), []byte("seed"), n); err == nil {
				t.Errorf("%s: %d octets for %d", p.Name, len(out), n)
			}
		}
	}
}

// RFC 7296 section 2.13: the preferred key of an HMAC is as long as its hash (RFC7296-2.13-2); RFC 4868 section 2.1.1 says
// so for integrity. RFC7296-5-1: no PRF gives less than 128 bits.
func TestHMACKeysAreAsLongAsTheHash(t *testing.T) {
	t.Parallel()
	for _, p := range prfs {
		if n := len(p.Sum(nil)); p.KeyLen != n || p.OutLen != n || 8*n < 128 {
			t.Errorf("%s: key %d, output %d, really %d", p.Name, p.KeyLen, p.OutLen, n)
		}
	}
	for _, i := range integrities {
		if n := i.newMAC(nil).Size(); i.KeyLen != n {
			t.Errorf("%s: key %d, hash %d", i.Name, i.KeyLen, n)
		}
	}
}

// RFC7296-2.13-2, RFC7296-2.14-1, RFC 5282 section 7.1, RFC 7634 section 3: lengths of all keys, for every combination.
func TestKeysHaveTheLengthsOfTheirAlgorithms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawSuite(t)
		encr, integ, err := s.lens()
		if err != nil {
			t.Fatal(err)
		}
		p, _ := LookupPRF(s.PRF)
		k, err := DeriveIKE(s, make([]byte, p.OutLen), []byte("ni"), []byte("nr"), 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			key secret.Bytes
			len int
		}{"d": {k.D, p.KeyLen}, "ai": {k.AI, integ}, "ar": {k.AR, integ}, "ei": {k.EI, encr}, "er": {k.ER, encr}, "pi": {k.PI, p.KeyLen}, "pr": {k.PR, p.KeyLen}} {
			if len(c.key) != c.len || cap(c.key) != c.len {
				t.Errorf("%v: SK_%s has %d octets (cap %d), want %d", s, name, len(c.key), cap(c.key), c.len)
			}
		}
	})
}

// RFC 4106 section 8.1, RFC 7634 section 2: key and salt from the front of KEYMAT, initiator first (RFC7296-2.17-2).
func TestChildKeysOfAnAEADAreKeyAndSalt(t *testing.T) {
	t.Parallel()
	for s, n := range map[Suite]int{
		{Encr: EncrAESGCM16, KeyBits: 128}: 20,
		{Encr: EncrAESGCM16, KeyBits: 192}: 28,
		{Encr: EncrAESGCM16, KeyBits: 256}: 36,
		{Encr: EncrChaCha20Poly1305}:       36,
	} {
		p, _ := LookupPRF(PRFHMACSHA256)
		stream, err := p.Plus([]byte("skd"), []byte("ninr"), 2*n)
		if err != nil {
			t.Fatal(err)
		}
		c, err := DeriveChild(PRFHMACSHA256, s, secret.Bytes("skd"), nil, []byte("ni"), []byte("nr"))
		if err != nil || !c.EncrI.Equal(stream[:n]) || !c.EncrR.Equal(stream[n:]) || len(c.IntegI)+len(c.IntegR) != 0 {
			t.Errorf("%v: keys of %d, %d, %d, %d octets, %v; want twice %d from the front", s, len(c.EncrI), len(c.IntegI), len(c.EncrR), len(c.IntegR), err, n)
		}
	}
}

func TestDerivationsRefuseWhatTheyCannotDo(t *testing.T) {
	t.Parallel()
	good := Suite{Encr: EncrAESGCM16, KeyBits: 256, PRF: PRFHMACSHA256, KE: KECurve25519}
	for name, s := range map[string]Suite{
		"no encryption":                    {PRF: PRFHMACSHA256, Integ: IntegHMACSHA256_128},
		"null encryption":                  {Encr: EncrNull, PRF: PRFHMACSHA256, Integ: IntegHMACSHA256_128},
		"unknown encryption":               {Encr: 7, PRF: PRFHMACSHA256, Integ: IntegHMACSHA256_128},
		"AES without key length":           {Encr: EncrAESGCM16, PRF: PRFHMACSHA256},
		"AES with odd key length":          {Encr: EncrAESGCM16, KeyBits: 129, PRF: PRFHMACSHA256},
		"fixed key with key length":        {Encr: EncrChaCha20Poly1305, KeyBits: 256, PRF: PRFHMACSHA256},
		"AEAD and integrity (RFC 5282, 8)": {Encr: EncrAESGCM16, KeyBits: 256, PRF: PRFHMACSHA256, Integ: IntegHMACSHA256_128},
		"CBC without integrity":            {Encr: EncrAESCBC, KeyBits: 256, PRF: PRFHMACSHA256},
		"no PRF":                           {Encr: EncrAESGCM16, KeyBits: 256},
	} {
		if k, err := DeriveIKE(s, secret.Bytes("seed"), nil, nil, 1, 2); !errors.Is(err, ErrUnsupported) || k.D != nil {
			t.Errorf("%s: DeriveIKE gave %v", name, err)
		}
		if s.PRF == PRFNone {
			continue
		}
		if c, err := DeriveChild(PRFHMACSHA256, s, secret.Bytes("seed"), nil, nil, nil); !errors.Is(err, ErrUnsupported) || c.EncrI != nil {
			t.Errorf("%s: DeriveChild gave %v", name, err)
		}
	}
	if _, err := SKEYSEED(99, nil, nil, secret.Bytes("g")); !errors.Is(err, ErrUnsupported) {
		t.Errorf("SKEYSEED with an unknown PRF: %v", err)
	}
	if _, err := SKEYSEEDRekey(99, nil, secret.Bytes("g"), nil, nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("SKEYSEEDRekey with an unknown PRF: %v", err)
	}
	if _, err := DeriveChild(99, good, nil, nil, nil, nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("DeriveChild with an unknown PRF: %v", err)
	}
}

// RFC7296-2.18-1: an IKE SA always rests on a key exchange.
func TestAnEmptySharedSecretGivesNoIKEKeys(t *testing.T) {
	t.Parallel()
	if _, err := SKEYSEED(PRFHMACSHA256, []byte("ni"), []byte("nr"), nil); !errors.Is(err, ErrNoSharedSecret) {
		t.Errorf("SKEYSEED: %v", err)
	}
	if _, err := SKEYSEEDRekey(PRFHMACSHA256, secret.Bytes("d"), secret.Bytes{}, []byte("ni"), []byte("nr")); !errors.Is(err, ErrNoSharedSecret) {
		t.Errorf("SKEYSEEDRekey: %v", err)
	}
}

func TestWipeLeavesNoKey(t *testing.T) {
	t.Parallel()
	s := kdfSuites["PRF_HMAC_SHA2_256"]
	k, err := DeriveIKE(s, secret.Bytes("seed"), []byte("ni"), []byte("nr"), 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	c, err := DeriveChild(s.PRF, s, k.D, nil, []byte("ni"), []byte("nr"))
	if err != nil {
		t.Fatal(err)
	}
	k.Wipe()
	c.Wipe()
	left := slices.Concat(k.D, k.AI, k.AR, k.EI, k.ER, k.PI, k.PR, c.EncrI, c.IntegI, c.EncrR, c.IntegR)
	if len(left) == 0 || !bytes.Equal(left, make([]byte, len(left))) {
		t.Error("octets of keys remain after Wipe")
	}
}

// RFC 7296 section 2.15, InitiatorSignedOctets.
func TestSignedOctetsAreMessageNonceAndMACedID(t *testing.T) {
	t.Parallel()
	p, _ := LookupPRF(PRFHMACSHA256)
	got := SignedOctets(PRFHMACSHA256, []byte("message"), []byte("nonce"), secret.Bytes("sk_p"), []byte("\x02\x00\x00\x00east"))
	want := append([]byte("messagenonce"), p.Sum([]byte("sk_p"), []byte("\x02\x00\x00\x00east"))...)
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got := SignedOctets(99, nil, nil, nil, nil); got != nil {
		t.Errorf("octets for an unknown PRF: %x", got)
	}
}
