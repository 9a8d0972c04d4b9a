package suite

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

func testCipher(t *testing.T, s Suite) *ISAKMPCipher {
	t.Helper()
	k := testKeys(t, s)
	c, err := NewISAKMPCipher(s, &k)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var phase1 = wire.Header{InitiatorSPI: 3, ResponderSPI: 4, Major: 1, Exchange: wire1.MainMode}

// RFC 2409 appendix B: the last ciphertext block of a message is the IV of the next, whoever sends it.
func TestMessagesOfAnExchangeChainTheirIVs(t *testing.T) {
	t.Parallel()
	for _, c := range []*ISAKMPCipher{testCipher(t, mainSuite), testCipher(t, Suite{Encr: EncrAESCBC, KeyBits: 128, PRF: PRFHMACSHA512})} {
		sealing := c.FirstIV([]byte("g^xi"), []byte("g^xr"))
		opening := sealing
		for n := range 40 { // lengths before, at and after a block
			ps := []wire1.Payload{wire1.Hash{Data: bytes.Repeat([]byte{1}, 20)}, wire1.VendorID{Data: append([]byte{9}, make([]byte, n)...)}}
			var packet []byte
			packet, sealing = c.Seal(phase1, ps, sealing)
			m, err := wire1.Parse(packet)
			if err != nil || m.Header.NextPayload != wire1.TypeHash || len(m.Cipher)%16 != 0 {
				t.Fatalf("%d: %+v, %v", n, m, err)
			}
			var plain []byte
			plain, opening, err = c.Open(m.Cipher, opening)
			if err != nil || opening != sealing || !bytes.Equal(opening.bytes(), m.Cipher[len(m.Cipher)-16:]) {
				t.Fatalf("%d: %v, IV %x", n, err, opening.bytes())
			}
			padding := plain[len(wire1.AppendPayloads(nil, ps)):]
			if len(padding) >= 16 || len(bytes.Trim(padding, "\x00")) > 0 {
				t.Errorf("%d: padding %x", n, padding)
			}
			if got, err := wire1.ParsePayloads(m.Header.NextPayload, plain); err != nil || !reflect.DeepEqual(got, ps) {
				t.Errorf("%d: %v, %v", n, got, err)
			}
		}
	}
}

// RFC 2409 appendix B, written out.
func TestFirstIVsAreHashes(t *testing.T) {
	t.Parallel()
	c := testCipher(t, mainSuite)
	first := c.FirstIV([]byte("g^xi"), []byte("g^xr"))
	if want := c.prf.Digest([]byte("g^xig^xr"))[:16]; !bytes.Equal(first.bytes(), want) {
		t.Errorf("phase 1: %x, want %x", first.bytes(), want)
	}
	exchange := c.ExchangeIV(first, 0x01020304)
	if want := c.prf.Digest(append(first.bytes(), 1, 2, 3, 4))[:16]; !bytes.Equal(exchange.bytes(), want) {
		t.Errorf("an exchange: %x, want %x", exchange.bytes(), want)
	}
}

func TestCiphertextIsWholeBlocks(t *testing.T) {
	t.Parallel()
	c := testCipher(t, mainSuite)
	iv := c.FirstIV(nil, nil)
	for _, n := range []int{0, 1, 15, 17} {
		if _, next, err := c.Open(make([]byte, n), iv); !errors.Is(err, ErrIntegrity) || next != iv {
			t.Errorf("%d octets: %v", n, err)
		}
	}
	packet, next := c.Seal(phase1, nil, iv)
	if m, err := wire1.Parse(packet); err != nil || len(m.Cipher) != 0 || next != iv {
		t.Errorf("no payloads: %x, %v", packet, err)
	}
}

// RFC3947-3.2: the hash is the negotiated one; SHA-1 over the same octets is what IKEv2 sends.
func TestNATDHashIsOfCookiesAddressAndPort(t *testing.T) {
	t.Parallel()
	for _, a := range []string{"192.0.2.1:500", "[2001:db8::1]:4500", "[::ffff:192.0.2.1]:500"} {
		addr := netip.MustParseAddrPort(a)
		want := NATDetectionHash(1, 2, addr)
		if got := NATDHash(PRFHMACSHA1, 1, 2, addr); !bytes.Equal(got, want[:]) {
			t.Errorf("%s: %x, want %x", a, got, want)
		}
		if got := NATDHash(PRFHMACSHA512, 1, 2, addr); len(got) != 64 {
			t.Errorf("%s: SHA-512 gives %d octets", a, len(got))
		}
	}
	if NATDHash(99, 1, 2, netip.AddrPort{}) != nil {
		t.Error("a hash that nobody knows")
	}
}
