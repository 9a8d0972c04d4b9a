package esp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// suites are all that Lookup accepts.
var suites = []struct {
	name              string
	encr, bits, integ uint16
}{
	{"aes128gcm16", 20, 128, 0}, {"aes192gcm16", 20, 192, 0}, {"aes256gcm16", 20, 256, 0},
	{"chacha20poly1305", 28, 0, 0},
	{"aes128cbc-sha1", 12, 128, 2}, {"aes192cbc-sha256", 12, 192, 12},
	{"3des-sha1", 3, 0, 2}, {"3des-sha256", 3, 0, 12},
	{"aes128cbc-sha256", 12, 128, 12}, {"aes256cbc-sha384", 12, 256, 13}, {"aes256cbc-sha512", 12, 256, 14},
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func counting(n int, from byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

func params(t testing.TB, encr, bits, integ uint16, esn bool) Params {
	t.Helper()
	s, err := Lookup(encr, bits, integ)
	if err != nil {
		t.Fatal(err)
	}
	return Params{Suite: s, SPI: 0x01020304, ESN: esn, Encr: counting(s.EncrKey, 0x80), Integ: counting(s.IntegKey, 0x11), IVKey: [16]byte{7}}
}

func pair(t testing.TB, p Params) (*Sealer, *Opener) {
	t.Helper()
	s, err := NewSealer(p)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewOpener(p)
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

func sealCopy(s *Sealer, payload []byte, seq uint64, next uint8) []byte {
	buf := make([]byte, MaxHeadroom+len(payload)+MaxTailroom)
	copy(buf[MaxHeadroom:], payload)
	return s.Seal(buf, MaxHeadroom, len(payload), seq, next)
}

// RFC 7634 appendix A.
const (
	rfc7634Payload = `45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10000736270809
		0a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637`
	rfc7634Packet = `0102030400000005101112131415161724039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6
		14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e0
		76aaa8266b7fb0f7b11b369907e1ad43`
)

func TestTheExampleOfRFC7634OpensAndSeals(t *testing.T) {
	t.Parallel()
	p := params(t, EncrChaCha20Poly1305, 0, 0, false)
	p.SPI = 0x01020304
	s, o := pair(t, p)
	payload, packet := unhex(t, rfc7634Payload), unhex(t, rfc7634Packet)

	got, next, err := o.Open(nil, packet, 5)
	if err != nil || next != 4 || !bytes.Equal(got, payload) {
		t.Fatalf("Open = %x, %d, %v", got, next, err)
	}
	buf := make([]byte, MaxHeadroom+len(payload)+MaxTailroom)
	copy(buf[MaxHeadroom:], payload)
	made := s.seal(buf, MaxHeadroom, len(payload), 5, 4, counting(8, 0x10))
	if !bytes.Equal(made, packet) {
		t.Fatalf("seal =\n%x, want\n%x", made, packet)
	}
}

func TestEverySuiteRoundTripsEverySizeWithAndWithoutESN(t *testing.T) {
	t.Parallel()
	for _, c := range suites {
		for _, esn := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/esn=%v", c.name, esn), func(t *testing.T) {
				t.Parallel()
				s, o := pair(t, params(t, c.encr, c.bits, c.integ, esn))
				for n := range 120 {
					seq := uint64(n) + 1
					if esn {
						seq += 3 << 32
					}
					payload := counting(n, 1)
					packet := sealCopy(s, payload, seq, 41)
					if len(packet) != s.suite.PacketLen(n) {
						t.Fatalf("%d octets became %d, PacketLen says %d", n, len(packet), s.suite.PacketLen(n))
					}
					got, next, err := o.Open(make([]byte, 3), packet, seq)
					if err != nil || next != 41 || !bytes.Equal(got, payload) {
						t.Fatalf("Open of %d octets = %x, %d, %v", n, got, next, err)
					}
				}
			})
		}
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range suites {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, o := pair(t, params(t, c.encr, c.bits, c.integ, true))
			good := sealCopy(s, counting(20, 1), 1<<32|9, 4)
			for bit := range len(good) * 8 {
				bad := bytes.Clone(good)
				bad[bit/8] ^= 1 << (bit % 8)
				_, low, _ := Header(bad)
				if bit < 32 {
					continue // another SPI is another SA: see the next test
				}
				if _, _, err := o.Open(nil, bad, 1<<32|uint64(low)); !errors.Is(err, ErrIntegrity) {
					t.Fatalf("bit %d flipped was accepted: %v", bit, err)
				}
			}
			if _, _, err := o.Open(nil, good, 2<<32|9); !errors.Is(err, ErrIntegrity) {
				t.Fatal("a wrong high half of the ESN was accepted") // RFC 4303 section 2.2.1
			}
			if _, _, err := o.Open(nil, good, 1<<32|9); err != nil {
				t.Fatalf("the good packet: %v", err)
			}
		})
	}
}

func TestAnSAOfAnotherSPIRefusesThePacket(t *testing.T) {
	t.Parallel()
	for _, c := range suites {
		p := params(t, c.encr, c.bits, c.integ, false)
		s, _ := pair(t, p)
		p.SPI++
		_, o := pair(t, p)
		packet := sealCopy(s, counting(20, 1), 1, 4)
		binary.BigEndian.PutUint32(packet, p.SPI) // the SPI is authenticated, not only looked up
		if _, _, err := o.Open(nil, packet, 1); !errors.Is(err, ErrIntegrity) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestEveryPrefixIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range suites {
		s, o := pair(t, params(t, c.encr, c.bits, c.integ, false))
		packet := sealCopy(s, counting(50, 1), 1, 4)
		for n := range packet {
			if _, _, err := o.Open(nil, packet[:n], 1); !errors.Is(err, ErrIntegrity) {
				t.Fatalf("%s: prefix of %d octets: %v", c.name, n, err)
			}
		}
	}
}

func TestWrongPaddingInsideAnAuthenticPacketIsRefused(t *testing.T) {
	t.Parallel()
	for _, body := range [][]byte{{9, 4}, {1, 2, 2, 2, 2, 4}, {0, 1, 4}, {255, 4}} {
		if _, _, err := trim(body); !errors.Is(err, ErrIntegrity) {
			t.Errorf("trim(%v): %v", body, err) // RFC 4303 section 2.4
		}
	}
	if got, next, err := trim([]byte{8, 9, 1, 2, 2, 4}); err != nil || next != 4 || len(got) != 2 {
		t.Errorf("trim of good padding = %v, %d, %v", got, next, err)
	}
}

func TestTFCPaddingStaysForTheCallerToCut(t *testing.T) {
	t.Parallel()
	s, o := pair(t, params(t, EncrAESGCM16, 128, 0, false))
	payload := append(counting(40, 1), make([]byte, 100)...) // RFC 4303 section 2.7
	got, _, err := o.Open(nil, sealCopy(s, payload, 1, 4), 1)
	if err != nil || !bytes.Equal(got, payload) {
		t.Fatalf("%d octets, %v", len(got), err)
	}
}

func TestIVsOfCBCAreNotTheCounterAndDifferByKey(t *testing.T) {
	t.Parallel()
	p := params(t, EncrAESCBC, 128, IntegHMACSHA256_128, false)
	a, _ := pair(t, p)
	p.IVKey[0]++
	b, _ := pair(t, p)
	one, two := sealCopy(a, nil, 1, 4)[8:24], sealCopy(a, nil, 2, 4)[8:24]
	other := sealCopy(b, nil, 1, 4)[8:24]
	if bytes.Equal(one, two) || bytes.Equal(one, other) || bytes.HasPrefix(one, make([]byte, 4)) {
		t.Errorf("IVs %x %x %x are predictable (RFC 3602 section 3)", one, two, other)
	}
}

func TestIVsOfAEADSuitesAreTheSequenceNumber(t *testing.T) {
	t.Parallel()
	for _, encr := range []uint16{EncrAESGCM16, EncrChaCha20Poly1305} {
		s, _ := pair(t, params(t, encr, 256, 0, true))
		if got := binary.BigEndian.Uint64(sealCopy(s, nil, 7<<32|5, 4)[8:]); got != 7<<32|5 {
			t.Errorf("IV %x: two sequence numbers could share one (RFC 4106 section 3.1)", got)
		}
	}
}

func TestLookupRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]uint16{{20, 0, 0}, {20, 128, 12}, {20, 64, 0}, {12, 128, 0}, {12, 128, 1}, {12, 512, 2}, {28, 128, 0}, {3, 128, 2}, {3, 0, 0}, {11, 0, 2}, {21, 128, 0}} {
		if _, err := Lookup(c[0], c[1], c[2]); !errors.Is(err, ErrUnsupported) {
			t.Errorf("Lookup(%v): %v", c, err)
		}
	}
}

func TestKeysOfAWrongSizeAreRefusedWithoutShowingThem(t *testing.T) {
	t.Parallel()
	p := params(t, EncrAESGCM16, 128, 0, false)
	p.Encr = []byte("supersecret")
	_, err := NewSealer(p)
	if err == nil || strings.Contains(err.Error(), "supersecret") || !strings.Contains(err.Error(), "11") {
		t.Fatalf("error %v", err)
	}
	if _, err := NewOpener(p); err == nil {
		t.Fatal("opener accepted a short key")
	}
}

func TestMaxPayloadIsTheLargestThatFits(t *testing.T) {
	t.Parallel()
	for _, c := range suites {
		s, _ := Lookup(c.encr, c.bits, c.integ)
		for space := range 1600 {
			n := s.MaxPayload(space)
			if n > 0 && s.PacketLen(n) > space || space >= s.minPacket() && s.PacketLen(n+1) <= space {
				t.Fatalf("%s: MaxPayload(%d) = %d, packets of %d and %d", c.name, space, n, s.PacketLen(n), s.PacketLen(n+1))
			}
		}
	}
}

func TestPacketsCostNoAllocation(t *testing.T) {
	for _, c := range suites {
		s, o := pair(t, params(t, c.encr, c.bits, c.integ, true))
		buf := make([]byte, MaxHeadroom+1400+MaxTailroom)
		out := make([]byte, 0, 2048)
		if n := testing.AllocsPerRun(100, func() {
			packet := s.Seal(buf, MaxHeadroom, 1400, 5, 4)
			if _, _, err := o.Open(out, packet, 5); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per packet", c.name, n)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(uint8(3), uint64(5), unhex(f, rfc7634Packet))
	f.Add(uint8(0), uint64(1), make([]byte, 60))
	f.Add(uint8(4), uint64(1), make([]byte, 36))
	f.Fuzz(func(t *testing.T, which uint8, seq uint64, packet []byte) {
		c := suites[int(which)%len(suites)]
		_, o := pair(t, params(t, c.encr, c.bits, c.integ, seq > 1<<32))
		if payload, _, err := o.Open(nil, packet, seq); err == nil && len(payload) > len(packet) {
			t.Fatalf("%d octets became %d", len(packet), len(payload))
		}
	})
}

func BenchmarkSealOpen1400(b *testing.B) {
	for _, c := range suites {
		b.Run(c.name, func(b *testing.B) {
			s, o := pair(b, params(b, c.encr, c.bits, c.integ, true))
			buf, out := make([]byte, MaxHeadroom+1400+MaxTailroom), make([]byte, 0, 2048)
			b.SetBytes(1400)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := o.Open(out, s.Seal(buf, MaxHeadroom, 1400, 5, 4), 5); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
