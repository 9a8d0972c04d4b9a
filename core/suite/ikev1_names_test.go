package suite

import (
	"testing"

	"github.com/parley-ike/parley/core/wire/wire1"
)

// RFC 2409 appendix A, RFC 2407 section 4.4.4 and 4.5, RFC 4106 section 9, RFC 4868 section 4.
func TestIKEv1NumbersTranslateBothWays(t *testing.T) {
	t.Parallel()
	if v, ok := EncrAESCBC.IKEv1(); !ok || v != 7 {
		t.Errorf("AES-CBC is encryption %d", v)
	}
	for id, want := range map[EncrID]uint8{EncrAESCBC: 12, EncrAESGCM16: 20, 19: 19, 18: 18, EncrNull: 11} {
		v, ok := id.ESP()
		back, known := EncrFromESP(v)
		if !ok || v != want || !known || back != id {
			t.Errorf("%v is ESP transform %d, which is %v", id, v, back)
		}
	}
	for id, want := range map[EncrID][2]uint16{EncrAESCBC: {7, 12}, Encr3DES: {5, 3}} {
		v, ok := id.IKEv1()
		esp, known := id.ESP()
		if !ok || !known || v != want[0] || uint16(esp) != want[1] {
			t.Errorf("%v is cipher %d and ESP transform %d", id, v, esp)
		}
	}
	for id, want := range map[PRFID]uint16{PRFHMACSHA1: 2, PRFHMACSHA256: 4, PRFHMACSHA384: 5, PRFHMACSHA512: 6} {
		v, ok := id.IKEv1()
		back, known := PRFFromIKEv1(v)
		if !ok || v != want || !known || back != id {
			t.Errorf("%v is hash %d, which is %v", id, v, back)
		}
	}
	for id, want := range map[IntegID]uint16{IntegHMACSHA1_96: 2, IntegHMACSHA256_128: 5, IntegHMACSHA384_192: 6, IntegHMACSHA512_256: 7} {
		v, ok := id.ESP()
		back, known := IntegFromESP(v)
		if !ok || v != want || !known || back != id {
			t.Errorf("%v is authentication algorithm %d, which is %v", id, v, back)
		}
	}
	for _, id := range []KEID{KEMODP1024, KEMODP2048, KEECP256, KEECP521, KECurve25519, KECurve448} {
		v, ok := id.IKEv1()
		back, known := KEFromIKEv1(v)
		if !ok || v != uint16(id) || !known || back != id {
			t.Errorf("%v is group %d, which is %v", id, v, back)
		}
	}
}

func TestWhatIKEv1CannotSayHasNoNumber(t *testing.T) {
	t.Parallel()
	_, cipher := EncrChaCha20Poly1305.ESP()
	_, aead := EncrAESGCM16.IKEv1()
	_, kem := KEMLKEM768.IKEv1()
	_, none := KENone.IKEv1()
	_, des := EncrFromIKEv1(wire1.EncrDESCBC)
	_, md5 := PRFFromIKEv1(wire1.HashMD5)
	_, espDES := EncrFromESP(wire1.ESPDES)
	_, xcbc := IntegFromESP(wire1.IntegAESXCBC)
	_, group := KEFromIKEv1(0)
	for i, known := range []bool{cipher, aead, kem, none, des, md5, espDES, xcbc, group} {
		if known {
			t.Errorf("case %d has a number", i)
		}
	}
}

// Every cipher that protects messages of IKEv2 in CBC mode, every PRF and every integrity algorithm has a number.
func TestEveryRowThatIKEv1CanUseHasANumber(t *testing.T) {
	t.Parallel()
	for _, e := range encryptions {
		if _, ok := e.ID.IKEv1(); ok != (e.newBlock != nil) {
			t.Errorf("%s: %v", e.Name, ok)
		}
	}
	for _, p := range prfs {
		if _, ok := p.ID.IKEv1(); !ok || p.newHash().Size() != p.OutLen {
			t.Errorf("%s: %v, hash of %d octets", p.Name, ok, p.newHash().Size())
		}
	}
	for _, i := range integrities {
		if _, ok := i.ID.ESP(); !ok {
			t.Errorf("%s has none", i.Name)
		}
	}
}
