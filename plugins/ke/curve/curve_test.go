package curve_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/plugins/ke/curve"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/ke"
)

var _ sdk.Canary = curve.New()

func TestCurveConformsToTheKeyExchangeContract(t *testing.T) {
	t.Parallel()
	kit.KE(t, func() ke.Plugin { return curve.New() })
}

func TestCurveKnowsItsCanary(t *testing.T) {
	t.Parallel()
	if err := curve.New().Canary(t.Context()); err != nil {
		t.Error(err)
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

// RFC 7748 sections 5.2 (two functions values) and 6.1 (the exchange, both ways).
func TestCurveComputesTheExamplesOfRFC7748(t *testing.T) {
	t.Parallel()
	const shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
	tests := []struct{ private, public, shared string }{
		{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
			"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
			"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
		{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
			"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
			"95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
		{"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
			"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", shared},
		{"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
			"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", shared},
	}
	for _, test := range tests {
		got, err := curve.New().Finish(t.Context(), curve.Curve25519, unhex(t, test.private), unhex(t, test.public))
		if err != nil || !got.Equal(unhex(t, test.shared)) {
			t.Errorf("private value %s: got another secret, error %v", test.private, err)
		}
	}
}

// The selection has every kind of edge: twist, non-canonical values, low order, extreme private values.
func TestCurvePassesWycheproof(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/wycheproof_x25519.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			TcID                    int
			Flags                   []string
			Public, Private, Shared string
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	zero := 0
	for _, test := range file.Tests {
		got, err := curve.New().Finish(t.Context(), curve.Curve25519, unhex(t, test.Private), unhex(t, test.Public))
		if slices.Contains(test.Flags, "ZeroSharedSecret") {
			if zero++; !errors.Is(err, sdk.ErrInvalid) {
				t.Errorf("test %d: a low-order public value gave %v", test.TcID, err)
			}
		} else if err != nil || !got.Equal(unhex(t, test.Shared)) {
			t.Errorf("test %d: got another secret, error %v", test.TcID, err)
		}
	}
	if len(file.Tests) < 50 || zero < 20 {
		t.Errorf("only %d tests, %d of them of low order: the selection is incomplete", len(file.Tests), zero)
	}
}

// The standard library is the reference, in both directions and with what Initiate and Respond draw themselves.
func TestCurveAgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	p := curve.New()
	for range 100 {
		theirs, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		state, public, err := p.Initiate(t.Context(), curve.Curve25519)
		if err != nil {
			t.Fatal(err)
		}
		finished, err := p.Finish(t.Context(), curve.Curve25519, state, theirs.PublicKey().Bytes())
		if err != nil || !finished.Equal(agreed(t, theirs, public)) {
			t.Fatalf("private value %x: got another secret, error %v", []byte(state), err)
		}
		public, responded, err := p.Respond(t.Context(), curve.Curve25519, theirs.PublicKey().Bytes())
		if err != nil || !responded.Equal(agreed(t, theirs, public)) {
			t.Fatalf("responding to %x: got another secret, error %v", theirs.PublicKey().Bytes(), err)
		}
	}
}

func agreed(t *testing.T, private *ecdh.PrivateKey, public []byte) []byte {
	t.Helper()
	peer, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := private.ECDH(peer)
	if err != nil {
		t.Fatal(err)
	}
	return shared
}

func TestCurveRefusesValuesOfAnotherSize(t *testing.T) {
	t.Parallel()
	p, good := curve.New(), make([]byte, 32)
	good[0] = 9
	for _, n := range []int{0, 31, 33} {
		if _, err := p.Finish(t.Context(), curve.Curve25519, good, make([]byte, n)); !errors.Is(err, sdk.ErrInvalid) {
			t.Errorf("a public value of %d octets gave %v", n, err)
		}
		if _, err := p.Finish(t.Context(), curve.Curve25519, make([]byte, n), good); err == nil {
			t.Errorf("a state of %d octets was accepted", n)
		}
	}
}

func BenchmarkInitiate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := curve.New().Initiate(b.Context(), curve.Curve25519); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFinish(b *testing.B) {
	p := curve.New()
	state, public, err := p.Initiate(b.Context(), curve.Curve25519)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Finish(b.Context(), curve.Curve25519, state, public); err != nil {
			b.Fatal(err)
		}
	}
}
