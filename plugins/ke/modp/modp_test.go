package modp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/secret"
)

var _ sdk.Canary = New()

// The kit offers 0, 1, p-1, p and more to both verbs (RFC 6989 section 2.1).
func TestMODPConformsToTheKeyExchangeContract(t *testing.T) {
	t.Parallel()
	kit.KE(t, func() ke.Plugin { return New() })
}

func TestMODPKnowsItsCanary(t *testing.T) {
	t.Parallel()
	if err := New().Canary(t.Context()); err != nil {
		t.Error(err)
	}
}

func prime(g *group) *big.Int {
	modulus, _ := g.values()
	return new(big.Int).SetBytes(modulus.Nat().Bytes(modulus))
}

// RFC 2409 section 6.2 and RFC 3526 sections 3 to 7: each prime from its formula, and RFC 6989 section 2.1: (p-1)/2 is prime as well.
func TestThePrimesAreThoseOfTheRFCs(t *testing.T) {
	t.Parallel()
	for _, g := range groups {
		p := prime(g)
		if p.Cmp(kit.MODPPrime(g.id)) != 0 || p.BitLen() != g.bits {
			t.Errorf("MODP-%d: another prime than the formula gives", g.bits)
		}
		if _, base := g.values(); base.BitLenVarTime() != 2 || base.IsOdd() == 1 {
			t.Errorf("MODP-%d: the generator is not 2", g.bits)
		}
		// Baillie-PSW alone: these numbers are not chosen by an adversary. The largest take seconds, and the formula fixes
		// them already.
		if g.bits > 4096 {
			continue
		}
		if !p.ProbablyPrime(0) || !new(big.Int).Rsh(p, 1).ProbablyPrime(0) {
			t.Errorf("MODP-%d: not a safe prime", g.bits)
		}
	}
}

// RFC 3526 section 8, RFC 7919 appendix A, SP 800-56A revision 3 appendix D (twice the strength): the larger of them.
func TestPrivateExponentsAreLongEnoughAndShort(t *testing.T) {
	t.Parallel()
	least := map[int]int{1024: 256, 2048: 256, 3072: 275, 4096: 325, 6144: 375, 8192: 400}
	for _, g := range groups {
		if bits := 8 * g.exponent; bits < least[g.bits] || bits > least[g.bits]+8 {
			t.Errorf("MODP-%d: private exponents of %d bits, want %d rounded up to octets", g.bits, bits, least[g.bits])
		}
		state, _, err := New().Initiate(t.Context(), g.id)
		if err != nil || len(state) != g.exponent {
			t.Errorf("MODP-%d: a state of %d octets, error %v", g.bits, len(state), err)
		}
	}
}

func TestMODPComputesTheExampleOfRFC5114(t *testing.T) {
	t.Parallel()
	g := newGroup(24, 2048, 32, rfc5114P, unhex(t, rfc5114G))
	for _, test := range []struct{ private, public, peer string }{
		{rfc5114PrivateA, rfc5114PublicA, rfc5114PublicB},
		{rfc5114PrivateB, rfc5114PublicB, rfc5114PublicA},
	} {
		x := unhex(t, test.private)
		if !bytes.Equal(g.public(x), unhex(t, test.public)) {
			t.Error("another public value than RFC 5114 appendix A.3 gives")
		}
		y, err := g.decode(unhex(t, test.peer))
		if err != nil {
			t.Fatal(err)
		}
		if !g.shared(x, y).Equal(unhex(t, rfc5114Shared)) {
			t.Error("another secret than RFC 5114 appendix A.3 gives")
		}
	}
}

func TestMODPAgreesWithAnIndependentComputation(t *testing.T) {
	t.Parallel()
	for _, g := range groups {
		state, public, err := New().Initiate(t.Context(), g.id)
		if err != nil {
			t.Fatal(err)
		}
		p, x := prime(g), new(big.Int).SetBytes(state)
		want := new(big.Int).Exp(big.NewInt(2), x, p).FillBytes(make([]byte, g.size()))
		if !bytes.Equal(public, want) {
			t.Errorf("MODP-%d: the public value is not 2^x mod p", g.bits)
		}
		shared, err := New().Finish(t.Context(), g.id, state, public)
		if err != nil {
			t.Fatal(err)
		}
		want = new(big.Int).Exp(new(big.Int).SetBytes(public), x, p).FillBytes(make([]byte, g.size()))
		if !shared.Equal(want) {
			t.Errorf("MODP-%d: the secret is not y^x mod p", g.bits)
		}
	}
}

// RFC7296-3.4-1 and RFC 7296 section 2.14: with the exponent 1 both values are 2, all zeros in front.
func TestMODPValuesArePaddedToTheModulus(t *testing.T) {
	t.Parallel()
	for _, g := range groups {
		one := make(secret.Bytes, g.exponent)
		one[g.exponent-1] = 1
		two := make([]byte, g.size())
		two[g.size()-1] = 2
		if !bytes.Equal(g.public(one), two) {
			t.Errorf("MODP-%d: the public value 2 is not padded", g.bits)
		}
		shared, err := New().Finish(t.Context(), g.id, one, two)
		if err != nil || !shared.Equal(two) {
			t.Errorf("MODP-%d: the secret 2 is not padded, error %v", g.bits, err)
		}
	}
}

// RFC 6989 section 2.1: the bounds themselves are out, their neighbours in.
func TestMODPAcceptsExactlyTheLegalRange(t *testing.T) {
	t.Parallel()
	for _, g := range groups {
		p := prime(g)
		for _, test := range []struct {
			name  string
			value *big.Int
			legal bool
		}{
			{"0", big.NewInt(0), false}, {"1", big.NewInt(1), false}, {"2", big.NewInt(2), true},
			{"p-2", new(big.Int).Sub(p, big.NewInt(2)), true},
			{"p-1", new(big.Int).Sub(p, big.NewInt(1)), false}, {"p", p, false},
		} {
			_, err := g.decode(test.value.FillBytes(make([]byte, g.size())))
			if test.legal && err != nil || !test.legal && !errors.Is(err, sdk.ErrInvalid) {
				t.Errorf("MODP-%d: %s: got %v", g.bits, test.name, err)
			}
		}
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

func BenchmarkMODP(b *testing.B) {
	p := New()
	for _, m := range p.Methods() {
		b.Run(fmt.Sprintf("Initiate/%d", m.ID), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := p.Initiate(b.Context(), m.ID); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("Finish/%d", m.ID), func(b *testing.B) {
			state, public, err := p.Initiate(b.Context(), m.ID)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Finish(b.Context(), m.ID, state, public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
