package ikev1

import (
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// smallest is the first message of main mode with the fewest octets that can be agreed on: one transform with encryption, hash,
// group and authentication method (RFC 2408 sections 3.4 to 3.6, RFC 2409 appendix A), as scanners send it.
func smallest() []byte {
	body := []byte{0, 0, 0, 44, 0, 0, 0, 1, 0, 0, 0, 1, // SA: IPsec DOI, SIT_IDENTITY_ONLY
		0, 0, 0, 32, 1, 1, 0, 1, // proposal 1: ISAKMP, no SPI, one transform
		0, 0, 0, 24, 1, 1, 0, 0, // transform 1: KEY_IKE
		0x80, 1, 0, 5, 0x80, 2, 0, 2, 0x80, 3, 0, 1, 0x80, 4, 0, 2} // 3DES, SHA, pre-shared key, group 2
	h := wire.Header{InitiatorSPI: 7, NextPayload: wire1.TypeSA, Major: 1, Exchange: wire1.MainMode, Length: uint32(wire.HeaderLen + len(body))}
	return append(h.Append(nil), body...)
}

func TestTheSmallestOfferPassesTheGate(t *testing.T) {
	t.Parallel()
	b := smallest()
	if first, err := InspectFirst(b); err != nil || first.Aggressive || first.Cookie != 7 {
		t.Fatalf("%d octets: %+v, %v", len(b), first, err)
	}
	for n := range len(b) {
		if _, err := InspectFirst(b[:n]); err == nil {
			t.Errorf("its first %d octets pass", n)
		}
	}
	for name, change := range map[string]func([]byte){
		"a responder's cookie": func(b []byte) { b[15] = 1 }, "another first payload": func(b []byte) { b[16] = 5 },
		"version 2": func(b []byte) { b[17] = 0x20 }, "aggressive mode without KE": func(b []byte) { b[18] = 4 },
		"quick mode": func(b []byte) { b[18] = 32 }, "encrypted": func(b []byte) { b[19] = 1 }, "a message ID": func(b []byte) { b[23] = 1 },
		"no initiator's cookie": func(b []byte) { b[7] = 0 },
	} {
		b := smallest()
		change(b)
		if _, err := InspectFirst(b); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}
