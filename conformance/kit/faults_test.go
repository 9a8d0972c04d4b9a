package kit

import (
	"math/big"
	"strings"
	"testing"

	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/ke"
)

func TestTheKeyExchangeSuiteCatchesFaults(t *testing.T) {
	t.Parallel()
	open := func(fault string) OpenKE {
		keep := &keeper{}
		return func() ke.Plugin { return &curve{fault: fault, keep: keep, own: new(keeper)} }
	}
	Prove(t, KEChecks(), open, map[string]string{
		"no name":                     "methods are described and constant",
		"wrong size described":        "both sides agree, in sizes as described",
		"sides disagree":              "both sides agree, in sizes as described",
		"same private value":          "every exchange has a fresh private value",
		"state kept in the instance":  "another instance finishes what one initiated",
		"finish wipes its state":      "finish can be asked again and changes nothing",
		"long values cut":             "public values of a wrong size are invalid",
		"low order accepted":          "public values that the group forbids are invalid",
		"top bit refused":             "unusual public values that the group allows are accepted",
		"broken state accepted":       "a state that is none is an error",
		"unknown method taken":        "an unknown method is unsupported",
		"unknown method is internal":  "an unknown method is unsupported",
		"one call at a time or wrong": "calls run at the same time",
		"context ignored":             "a call whose context ended is not performed",
	})
}

func TestTheAuthenticationSuiteCatchesFaults(t *testing.T) {
	t.Parallel()
	fixture := func(fault string) AuthFixture {
		open := func() auth.Plugin { return &authenticator{fault: fault, busy: new(keeper)} }
		return PSKFixture(open, "psk")
	}
	Prove(t, AuthChecks(), fixture, map[string]string{
		"no methods":                  "methods are named and constant",
		"claimed identity lost":       "each side accepts the other's proof, with every PRF",
		"one PRF for all":             "each side accepts the other's proof, with every PRF",
		"only the beginning compared": "a changed proof is refused",
		"empty proof accepted":        "a changed proof is refused",
		"octets ignored":              "a proof of other octets is refused",
		"everything accepted":         "a proof with another key is refused",
		"missing key is internal":     "a missing key is no credential",
		"AUTH method ignored":         "another AUTH method is not accepted",
		"auth setting ignored":        "another auth setting is unsupported",
		"fused signs other octets":    "verify and sign in one call do the same",
		"fused signs anyway":          "no proof leaves when the peer's is wrong",
		"nonces ignored":              "both sides derive one SKEYID, which every input changes",
		"no SKEYID is internal":       "without a key there is no SKEYID",
		"version ignored":             "IKEv1 has no signature of a pre-shared key",
		"one call at a time or wrong": "calls run at the same time",
		"context ignored":             "a call whose context ended is not performed",
	})
}

func TestTheCredentialStoreSuiteCatchesFaults(t *testing.T) {
	t.Parallel()
	fixture := func(fault string) CredFixture {
		id := cred.Identity{Type: 2, Data: []byte("west")}
		known := cred.Query{Purpose: cred.PSK, Remote: id}
		n := new(big.Int)
		return CredFixture{
			Open: func() cred.Plugin {
				n.Add(n, big.NewInt(1))
				return &store{fault: fault, instance: n.String(), known: id, busy: new(keeper)}
			},
			Known: known, Key: []byte(Key),
			Unknown: cred.Query{Purpose: cred.PSK, Remote: cred.Identity{Type: 2, Data: []byte("north")}},
		}
	}
	Prove(t, CredChecks(), fixture, map[string]string{
		"a new ID each time":          "a known identity is found, with a stable reference",
		"inner derivation left out":   "derivations are right, for every scheme and PRF and in order",
		"one scheme for all":          "derivations are right, for every scheme and PRF and in order",
		"out of order":                "derivations are right, for every scheme and PRF and in order",
		"instances differ":            "two instances derive the same",
		"unknown is internal":         "an unknown identity is no credential and named",
		"unknown is not named":        "an unknown identity is no credential and named",
		"any scheme":                  "an unknown scheme, PRF or purpose is unsupported",
		"results are shared":          "a result belongs to the caller",
		"one call at a time or wrong": "calls run at the same time",
		"context ignored":             "a call whose context ended is not performed",
	})
}

// RFC 2409 and RFC 3526 primes end and begin with 64 ones; the digits of pi are C90FDAA2...
func TestMODPPrimesHaveTheirForm(t *testing.T) {
	t.Parallel()
	for id, g := range modp {
		p := MODPPrime(id)
		text := p.Text(16)
		if p.BitLen() != int(g.bits) || !strings.HasPrefix(text, "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd1") || !strings.HasSuffix(text, "ffffffffffffffff") {
			t.Errorf("group %d: %s", id, text)
		}
		if g.bits <= 2048 && !(p.ProbablyPrime(0) && new(big.Int).Rsh(p, 1).ProbablyPrime(0)) {
			t.Errorf("group %d: not a safe prime", id)
		}
	}
	if MODPPrime(31) != nil {
		t.Error("Curve25519 has a MODP prime")
	}
}
