package ecp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"github.com/parley-ike/parley/conformance/kit"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/ke"
	"github.com/parley-ike/parley/sdk/secret"
)

var _ sdk.Canary = New()

// The kit offers points off the curve (RFC 6989 section 2.3) to both verbs.
func TestECPConformsToTheKeyExchangeContract(t *testing.T) {
	t.Parallel()
	kit.KE(t, func() ke.Plugin { return New() })
}

func TestECPKnowsItsCanary(t *testing.T) {
	t.Parallel()
	if err := New().Canary(t.Context()); err != nil {
		t.Error(err)
	}
}

// RFC 5903 section 8: both public values from the private ones, and the secret both ways.
func TestECPComputesTheExamplesOfRFC5903(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		checkPublic(t, v.method, v.private, v.public)
		checkPublic(t, v.method, v.responderPrivate, v.responderPublic)
		checkShared(t, v.method, v.private, v.responderPublic, v.shared)
		checkShared(t, v.method, v.responderPrivate, v.public, v.shared)
	}
}

func checkPublic(t *testing.T, method uint16, private, want string) {
	t.Helper()
	g, err := find(t.Context(), method)
	if err != nil {
		t.Fatal(err)
	}
	key, err := g.curve.NewPrivateKey(unhex(private))
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(encode(key.PublicKey())); got != want {
		t.Errorf("method %d: public value %s, want %s", method, got, want)
	}
}

func checkShared(t *testing.T, method uint16, private, public, want string) {
	t.Helper()
	got, err := New().Finish(t.Context(), method, unhex(private), unhex(public))
	if err != nil || !got.Equal(unhex(want)) {
		t.Errorf("method %d: got another secret, error %v", method, err)
	}
}

// RFC 6989 section 2.3: a point of another curve of the same size is no point of this one. (x, 1) is on no curve of ours
// for the x of the example.
func TestECPRefusesPointsOffTheCurve(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		public := unhex(v.responderPublic)
		clear(public[len(public)/2:])
		public[len(public)-1] = 1
		if _, err := New().Finish(t.Context(), v.method, unhex(v.private), public); !errors.Is(err, sdk.ErrInvalid) {
			t.Errorf("method %d: got %v, want an invalid value", v.method, err)
		}
	}
}

// A private value is below the order of the group: a state of zeros or ones is refused, not used.
func TestECPRefusesAStateOutsideTheGroup(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		state := make(secret.Bytes, len(v.private)/2)
		if _, err := New().Finish(t.Context(), v.method, state, unhex(v.public)); err == nil {
			t.Errorf("method %d: the zero state was accepted", v.method)
		}
	}
}

func BenchmarkECP(b *testing.B) {
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
