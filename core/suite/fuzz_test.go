package suite

import (
	"errors"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// FuzzOpen feeds a receiver with packets of a stranger, who never gets in, and with the insides of an authenticated but
// hostile peer; neither may make it panic.
func FuzzOpen(f *testing.F) {
	suites := []Suite{
		{Encr: EncrAESGCM16, KeyBits: 256},
		{Encr: EncrChaCha20Poly1305},
		{Encr: EncrAESCBC, KeyBits: 128, Integ: IntegHMACSHA256_128},
	}
	own := map[string]bool{} // the stranger may replay our seeds: these are authentic
	for i, s := range suites {
		sender, _ := pair(f, s)
		msg := mustSeal(f, sender, testInner())
		fragment, err := sender.SealFragment(testHeader, wire2.TypeIDi, 1, 3, octets(50), testRand())
		if err != nil {
			f.Fatal(err)
		}
		own[string(msg)], own[string(fragment)] = true, true
		f.Add(byte(i), byte(wire2.TypeSK), msg)
		f.Add(byte(i), byte(wire2.TypeSKF), fragment)
		f.Add(byte(i), byte(wire2.TypeNonce), append(wire2.AppendPayloads(nil, testInner()), 0))
		f.Add(byte(i), byte(wire2.TypeNone), []byte{255})
	}
	f.Fuzz(func(t *testing.T, which, first byte, data []byte) {
		sender, receiver := pair(t, suites[int(which)%len(suites)])
		_, err := receiver.Open(data)
		_, fragmentErr := receiver.OpenFragment(data)
		if (!errors.Is(err, ErrIntegrity) || !errors.Is(fragmentErr, ErrIntegrity)) && !own[string(data)] {
			t.Fatalf("a stranger's packet: %v, %v", err, fragmentErr)
		}
		block := sender.encr.BlockLen
		inside := data[:min(len(data), 4096)/block*block]
		if len(inside) == 0 {
			return
		}
		_, err = receiver.Open(forge(t, sender, wire.PayloadType(first), inside))
		var malformed *wire2.Error
		if err != nil && err != ErrIntegrity && !errors.As(err, &malformed) {
			t.Fatalf("a peer's inside: %T %v", err, err)
		}
	})
}
