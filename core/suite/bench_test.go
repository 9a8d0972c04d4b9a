package suite

import (
	"io"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// BenchmarkSymmetricPSKSide measures all symmetric work of one side of an IKEv2 handshake with a pre-shared key: SKEYSEED,
// SK_*, the own AUTH and the peer's, KEYMAT, one message sealed and one opened, and what goes with them.
func BenchmarkSymmetricPSKSide(b *testing.B) {
	for _, s := range []Suite{
		{Encr: EncrAESGCM16, KeyBits: 256, PRF: PRFHMACSHA256, KE: KECurve25519},
		{Encr: EncrChaCha20Poly1305, PRF: PRFHMACSHA256, KE: KECurve25519},
		{Encr: EncrAESCBC, KeyBits: 256, PRF: PRFHMACSHA256, Integ: IntegHMACSHA256_128, KE: KECurve25519},
		{Encr: EncrAESGCM16, KeyBits: 256, PRF: PRFHMACSHA384, KE: KEECP384},
	} {
		b.Run(s.String(), func(b *testing.B) {
			side := newSide(b, s)
			b.ReportAllocs()
			for b.Loop() {
				side.handshake(b)
			}
		})
	}
}

type side struct {
	s                  Suite
	ni, nr, shared     []byte
	message1, message2 []byte
	idBody             []byte
	inner              []wire2.Payload
	incoming           []byte
	random             io.Reader
}

func newSide(b *testing.B, s Suite) *side {
	b.Helper()
	sd := &side{
		s: s, random: testRand(), ni: octets(32), nr: octets(32), shared: octets(32),
		message1: octets(400), message2: octets(400), idBody: octets(24),
		inner: []wire2.Payload{
			wire2.IDi{IDType: wire2.IDFQDN, Data: octets(20)},
			wire2.Auth{Method: wire2.AuthSharedKeyMIC, Data: octets(32)},
			wire2.VendorID{Data: octets(100)}, // stands for SA, TSi and TSr, whose codec is not measured here
		},
	}
	keys := sd.keys(b)
	peer, err := NewProtection(s, keys.ER, keys.AR)
	if err != nil {
		b.Fatal(err)
	}
	sd.incoming = mustSeal(b, peer, sd.inner)
	return sd
}

func (sd *side) keys(b *testing.B) IKEKeys {
	seed, err := SKEYSEED(sd.s.PRF, sd.ni, sd.nr, sd.shared)
	if err != nil {
		b.Fatal(err)
	}
	k, err := DeriveIKE(sd.s, seed, sd.ni, sd.nr, 1, 2)
	if err != nil {
		b.Fatal(err)
	}
	return k
}

func (sd *side) handshake(b *testing.B) {
	k := sd.keys(b)
	prf, _ := LookupPRF(sd.s.PRF)
	for _, octets := range [][]byte{
		SignedOctets(sd.s.PRF, sd.message1, sd.nr, k.PI, sd.idBody),
		SignedOctets(sd.s.PRF, sd.message2, sd.ni, k.PR, sd.idBody),
	} {
		prf.Sum(prf.Sum(sd.shared, []byte("Key Pad for IKEv2")), octets)
	}
	out, err := NewProtection(sd.s, k.EI, k.AI)
	if err != nil {
		b.Fatal(err)
	}
	in, err := NewProtection(sd.s, k.ER, k.AR)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := out.Seal(testHeader, sd.inner, sd.random); err != nil {
		b.Fatal(err)
	}
	if _, err := in.Open(sd.incoming); err != nil {
		b.Fatal(err)
	}
	if _, err := DeriveChild(sd.s.PRF, Suite{Encr: sd.s.Encr, KeyBits: sd.s.KeyBits, Integ: sd.s.Integ}, k.D, nil, sd.ni, sd.nr); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkSealAndOpen(b *testing.B) {
	for _, s := range []Suite{
		{Encr: EncrAESGCM16, KeyBits: 256},
		{Encr: EncrChaCha20Poly1305},
		{Encr: EncrAESCBC, KeyBits: 256, Integ: IntegHMACSHA256_128},
	} {
		b.Run(s.String(), func(b *testing.B) {
			sender, receiver := pair(b, s)
			piece, random := octets(1000), testRand()
			b.SetBytes(int64(len(piece) + wire.HeaderLen))
			b.ReportAllocs()
			for b.Loop() {
				msg, err := sender.SealFragment(testHeader, wire2.TypeIDi, 1, 1, piece, random)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := receiver.OpenFragment(msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
