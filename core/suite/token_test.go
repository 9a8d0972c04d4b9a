package suite

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-ike/parley/core/wire/wire2"
)

func TestTokensNameTheirTransforms(t *testing.T) {
	t.Parallel()
	const encr, prf, integ, ke, esn = wire2.TransformENCR, wire2.TransformPRF, wire2.TransformINTEG, wire2.TransformKE, wire2.TransformESN
	for token, want := range map[string]struct {
		transform Transform
		text      string
	}{
		"aes128":           {Transform{encr, 12, 128}, "ENCR_AES_CBC (128 bits)"},
		"aes192":           {Transform{encr, 12, 192}, "ENCR_AES_CBC (192 bits)"},
		"aes256":           {Transform{encr, 12, 256}, "ENCR_AES_CBC (256 bits)"},
		"aes128gcm16":      {Transform{encr, 20, 128}, "ENCR_AES_GCM_16 (128 bits)"},
		"aes256gcm16":      {Transform{encr, 20, 256}, "ENCR_AES_GCM_16 (256 bits)"},
		"aes256gcm":        {Transform{encr, 20, 256}, "ENCR_AES_GCM_16 (256 bits)"},
		"AES256GCM16":      {Transform{encr, 20, 256}, "ENCR_AES_GCM_16 (256 bits)"},
		"chacha20poly1305": {Transform{encr, 28, 0}, "ENCR_CHACHA20_POLY1305"},
		"sha1":             {Transform{integ, 2, 0}, "AUTH_HMAC_SHA1_96"},
		"sha256":           {Transform{integ, 12, 0}, "AUTH_HMAC_SHA2_256_128"},
		"sha384":           {Transform{integ, 13, 0}, "AUTH_HMAC_SHA2_384_192"},
		"sha512":           {Transform{integ, 14, 0}, "AUTH_HMAC_SHA2_512_256"},
		"prfsha1":          {Transform{prf, 2, 0}, "PRF_HMAC_SHA1"},
		"prfsha256":        {Transform{prf, 5, 0}, "PRF_HMAC_SHA2_256"},
		"prfsha384":        {Transform{prf, 6, 0}, "PRF_HMAC_SHA2_384"},
		"prfsha512":        {Transform{prf, 7, 0}, "PRF_HMAC_SHA2_512"},
		"x25519":           {Transform{ke, 31, 0}, "CURVE25519"},
		"curve25519":       {Transform{ke, 31, 0}, "CURVE25519"},
		"x448":             {Transform{ke, 32, 0}, "CURVE448"},
		"ecp256":           {Transform{ke, 19, 0}, "ECP_256"},
		"ecp384":           {Transform{ke, 20, 0}, "ECP_384"},
		"ecp521":           {Transform{ke, 21, 0}, "ECP_521"},
		"modp1024":         {Transform{ke, 2, 0}, "MODP_1024"},
		"modp1536":         {Transform{ke, 5, 0}, "MODP_1536"},
		"modp2048":         {Transform{ke, 14, 0}, "MODP_2048"},
		"modp3072":         {Transform{ke, 15, 0}, "MODP_3072"},
		"modp4096":         {Transform{ke, 16, 0}, "MODP_4096"},
		"modp6144":         {Transform{ke, 17, 0}, "MODP_6144"},
		"modp8192":         {Transform{ke, 18, 0}, "MODP_8192"},
		"mlkem512":         {Transform{ke, 35, 0}, "ML_KEM_512"},
		"mlkem768":         {Transform{ke, 36, 0}, "ML_KEM_768"},
		"mlkem1024":        {Transform{ke, 37, 0}, "ML_KEM_1024"},
		"esn":              {Transform{esn, 1, 0}, "ESN"},
		"noesn":            {Transform{esn, 0, 0}, "NO_ESN"},
	} {
		got, err := ParseToken(token)
		if err != nil || got != want.transform || got.String() != want.text {
			t.Errorf("%s: %v %q %v, want %v %q", token, got, got.String(), err, want.transform, want.text)
		}
	}
}

func TestEveryTokenRoundTrips(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, token := range Tokens() {
		tr, err := ParseToken(token)
		if err != nil || tr.Token() != token {
			t.Errorf("%s: %v, token %q, %v", token, tr, tr.Token(), err)
		}
	}
	for _, v := range vocabulary {
		if seen[v.word] || v.word != strings.ToLower(v.word) {
			t.Errorf("%q: every word is unique and in small letters", v.word)
		}
		seen[v.word] = true
	}
	if n := len(Tokens()); n != 9+4+4+len(keyExchanges)-1+2 {
		t.Errorf("%d preferred tokens: %v", n, Tokens())
	}
}

func TestAnUnknownTokenSuggestsNearOnes(t *testing.T) {
	t.Parallel()
	for token, near := range map[string]string{
		"aes265gcm16":           "aes256gcm16",
		"sha-256":               "sha256",
		"prfsha265":             "prfsha256",
		"x25591":                "x25519",
		"modp2084":              "modp2048",
		"chacha20-poly1305":     "chacha20poly1305",
		"aes198gcm1":            "aes128gcm16", // one of four as near
		"blowfish":              "",
		strings.Repeat("a", 50): "",
	} {
		_, err := ParseToken(token)
		var e *TokenError
		if !errors.As(err, &e) || len(e.Near) > maxSuggestions {
			t.Fatalf("%s: %v", token, err)
		}
		if near == "" && len(e.Near) != 0 || near != "" && !slices.Contains(e.Near, near) {
			t.Errorf("%s: suggests %v, want %q", token, e.Near, near)
		}
	}
	_, err := ParseToken("sha265")
	if got, want := err.Error(), `suite: unknown algorithm "sha265": did you mean sha256`; !strings.HasPrefix(got, want) {
		t.Errorf("error %q, want the start %q", got, want)
	}
	_, err = ParseToken("blowfish")
	if got := err.Error(); !strings.Contains(got, "aes256gcm16") {
		t.Errorf("error %q does not list what there is", got)
	}
}

func TestParseTokenTakesAnyText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.String().Draw(t, "token")
		tr, err := ParseToken(token)
		if err == nil && tr.Token() == "" {
			t.Fatalf("%q gives %v, which has no token", token, tr)
		}
	})
}

func TestSuitesReadAsTheirAlgorithms(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]Suite{
		"AES_GCM_16_256/PRF_HMAC_SHA2_384/CURVE25519":      {Encr: EncrAESGCM16, KeyBits: 256, PRF: PRFHMACSHA384, KE: KECurve25519},
		"AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_1024": {Encr: EncrAESCBC, KeyBits: 128, PRF: PRFHMACSHA1, Integ: IntegHMACSHA1_96, KE: KEMODP1024},
		"CHACHA20_POLY1305/PRF_HMAC_SHA2_256/ECP_256":      {Encr: EncrChaCha20Poly1305, PRF: PRFHMACSHA256, KE: KEECP256},
		"AES_GCM_16_256":                    {Encr: EncrAESGCM16, KeyBits: 256},
		"AES_CBC_256/HMAC_SHA2_256_128/ESN": {Encr: EncrAESCBC, KeyBits: 256, Integ: IntegHMACSHA256_128, ESN: true},
		"NONE":                              {},
	} {
		if got := s.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A peer may offer anything: each number has a name of some kind.
func TestTransformsThatWeLackHaveNamesToo(t *testing.T) {
	t.Parallel()
	for want, tr := range map[string]Transform{
		"ENCR_CAST":                    {Type: wire2.TransformENCR, ID: 6},
		"ENCR_CAMELLIA_CBC (256 bits)": {Type: wire2.TransformENCR, ID: 23, KeyBits: 256},
		"ENCR_999":                     {Type: wire2.TransformENCR, ID: 999},
		"PRF_AES128_XCBC":              {Type: wire2.TransformPRF, ID: 4},
		"PRF_99":                       {Type: wire2.TransformPRF, ID: 99},
		"AUTH_AES_XCBC_96":             {Type: wire2.TransformINTEG, ID: 5},
		"NONE":                         {Type: wire2.TransformINTEG, ID: 0},
		"AUTH_99":                      {Type: wire2.TransformINTEG, ID: 99},
		"ECP_224":                      {Type: wire2.TransformKE, ID: 26},
		"KE_1024":                      {Type: wire2.TransformKE, ID: 1024},
		"ESN_7":                        {Type: wire2.TransformESN, ID: 7},
		"TRANSFORM_9_2":                {Type: 9, ID: 2},
	} {
		if got := tr.String(); got != want {
			t.Errorf("%#v: got %q, want %q", tr, got, want)
		}
		if got := tr.Token(); got != "" {
			t.Errorf("%#v: token %q for what we lack", tr, got)
		}
	}
}
