package psk_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/plugins/auth/psk"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
)

var (
	_ sdk.Canary         = psk.New()
	_ auth.Authenticator = psk.New()
)

func TestPSKConformsToTheAuthenticationContract(t *testing.T) {
	t.Parallel()
	kit.Auth(t, kit.PSKFixture(func() auth.Plugin { return psk.New() }, "psk"))
}

func TestPSKKnowsItsCanary(t *testing.T) {
	t.Parallel()
	if err := psk.New().Canary(t.Context()); err != nil {
		t.Error(err)
	}
}

// recorder counts what the host is asked, and answers from answer.
type recorder struct {
	cred.Unsupported
	queries []cred.Query
	macs    [][]cred.MAC
	answer  func([]cred.MAC) ([][]byte, error)
}

func (r *recorder) MAC(_ context.Context, q cred.Query, macs []cred.MAC) ([][]byte, error) {
	r.queries, r.macs = append(r.queries, q), append(r.macs, macs)
	return r.answer(macs)
}

func withKey(key string) func([]cred.MAC) ([][]byte, error) {
	return func(macs []cred.MAC) ([][]byte, error) {
		var sums [][]byte
		for _, m := range macs {
			sums = append(sums, authData(key, m.Data))
		}
		return sums, nil
	}
}

// authData is RFC 7296 section 2.15 for PRF_HMAC_SHA2_256, computed here independently of kit and store.
func authData(key string, octets []byte) []byte {
	inner := hmac.New(sha256.New, []byte(key))
	inner.Write([]byte("Key Pad for IKEv2"))
	outer := hmac.New(sha256.New, inner.Sum(nil))
	outer.Write(octets)
	return outer.Sum(nil)
}

var (
	east = auth.Identity{Type: 2, Data: []byte("east.example.net")}
	west = auth.Identity{Type: 2, Data: []byte("west.example.net")}
)

func requests(key string) (auth.Verify, auth.Sign) {
	octets := []byte("message, nonce, MACedID of the initiator")
	v := auth.Verify{Auth: "psk", Local: east, Remote: west, PRF: 5, Octets: octets, Method: 2, Data: authData(key, octets)}
	return v, auth.Sign{Auth: "psk", Local: east, Remote: west, PRF: 5, Octets: []byte("of the responder")}
}

// RFC 7296 section 2.15: AUTH = prf(prf(key, "Key Pad for IKEv2"), octets), method 2.
func TestPSKGivesTheAuthDataOfRFC7296(t *testing.T) {
	t.Parallel()
	host := &recorder{answer: withKey("secret")}
	_, s := requests("secret")
	got, err := psk.New().Sign(t.Context(), host, s)
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != 2 || !bytes.Equal(got.Data, authData("secret", s.Octets)) || got.Certs != nil {
		t.Errorf("got method %d and other data than the derivation gives", got.Method)
	}
	if q := host.queries[0]; q.Purpose != cred.PSK || q.Local.String() != east.String() || q.Remote.String() != west.String() {
		t.Errorf("asked for %+v", q)
	}
}

func TestPSKAsksTheHostOnceForBothDirections(t *testing.T) {
	t.Parallel()
	host := &recorder{answer: withKey("secret")}
	v, s := requests("secret")
	who, signed, err := psk.New().Authenticate(t.Context(), host, v, s)
	if err != nil {
		t.Fatal(err)
	}
	if len(host.macs) != 1 || len(host.macs[0]) != 2 || !bytes.Equal(host.macs[0][0].Data, v.Octets) {
		t.Errorf("asked %d times, want once, for the verification first", len(host.macs))
	}
	if who.String() != west.String() || !bytes.Equal(signed.Data, authData("secret", s.Octets)) {
		t.Errorf("proven %v, or another proof of ours", who)
	}
}

func TestPSKWipesItsProofWhenThePeersIsWrong(t *testing.T) {
	t.Parallel()
	var proofs [][]byte
	host := &recorder{answer: func(macs []cred.MAC) ([][]byte, error) {
		proofs, _ = withKey("secret")(macs)
		return proofs, nil
	}}
	v, s := requests("wrong")
	_, signed, err := psk.New().Authenticate(t.Context(), host, v, s)
	if !errors.Is(err, sdk.ErrRefused) || signed.Data != nil {
		t.Fatalf("got %v and a proof of %d octets", err, len(signed.Data))
	}
	for i, proof := range proofs {
		if !bytes.Equal(proof, make([]byte, len(proof))) {
			t.Errorf("proof %d was not wiped", i)
		}
	}
}

func TestPSKExplainsAnotherAuthMethod(t *testing.T) {
	t.Parallel()
	v, s := requests("secret")
	v.Method = 1
	_, err := psk.New().Verify(t.Context(), &recorder{answer: withKey("secret")}, v)
	_, _, fused := psk.New().Authenticate(t.Context(), &recorder{answer: withKey("secret")}, v, s)
	for _, err := range []error{err, fused} {
		if !errors.Is(err, sdk.ErrUnsupported) || !strings.Contains(err.Error(), "fqdn:west.example.net authenticates with AUTH method 1 (RSA signature)") {
			t.Errorf("got %v", err)
		}
	}
}

// A store that answers nonsense must never make a proof right.
func TestPSKDistrustsAStrangeAnswerOfTheStore(t *testing.T) {
	t.Parallel()
	for name, proofs := range map[string][][]byte{
		"nothing": nil, "empty proofs": {{}, {}}, "no second": {{1}}, "too many": {{1}, {2}, {3}}, "nil": {nil, nil},
	} {
		host := &recorder{answer: func([]cred.MAC) ([][]byte, error) { return proofs, nil }}
		v, s := requests("secret")
		v.Data = nil
		if _, _, err := psk.New().Authenticate(t.Context(), host, v, s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPSKRefusesToMixIdentitiesInOneCall(t *testing.T) {
	t.Parallel()
	v, s := requests("secret")
	s.Remote = auth.Identity{Type: 2, Data: []byte("north.example.net")}
	if _, _, err := psk.New().Authenticate(t.Context(), &recorder{answer: withKey("secret")}, v, s); err == nil {
		t.Error("one key was used for two peers")
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	host := &kit.PSKHost{Key: []byte("secret")}
	v, s := requests("secret")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := psk.New().Authenticate(b.Context(), host, v, s); err != nil {
			b.Fatal(err)
		}
	}
}
