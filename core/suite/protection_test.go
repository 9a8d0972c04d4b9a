package suite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// allSuites has every encryption algorithm in every key length, and every integrity algorithm.
func allSuites() (all []Suite) {
	for _, e := range encryptions {
		bits := e.KeyBits
		if bits == nil {
			bits = []int{0}
		}
		for _, n := range bits {
			s := Suite{Encr: e.ID, KeyBits: n, PRF: PRFHMACSHA256, KE: KECurve25519}
			if e.AEAD {
				all = append(all, s)
				continue
			}
			for _, i := range integrities {
				s.Integ = i.ID
				all = append(all, s)
			}
		}
	}
	return all
}

func drawSuite(t *rapid.T) Suite {
	s := rapid.SampledFrom(allSuites()).Draw(t, "suite")
	s.PRF = rapid.SampledFrom(prfs).Draw(t, "prf").ID
	return s
}

func forEachSuite(t *testing.T, f func(t *testing.T, s Suite)) {
	t.Helper()
	for _, s := range allSuites() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			f(t, s)
		})
	}
}

// pair returns a sender's and a receiver's protection with equal keys.
func pair(t testing.TB, s Suite) (sender, receiver *Protection) {
	t.Helper()
	encr, integ, err := s.lens()
	if err != nil {
		t.Fatal(err)
	}
	ske, ska := octets(encr), octets(integ)
	for _, p := range []**Protection{&sender, &receiver} {
		if *p, err = NewProtection(s, ske, ska); err != nil {
			t.Fatal(err)
		}
	}
	return sender, receiver
}

// octets returns n different-looking octets, the same in each run.
func octets(n int) secret.Bytes {
	b := make(secret.Bytes, n)
	for i := range b {
		b[i] = byte(17*i + 3)
	}
	return b
}

// testRand is a generator of IVs with a fixed seed.
func testRand() io.Reader { return rand.NewChaCha8([32]byte{1}) }

var testHeader = wire.Header{InitiatorSPI: 0x0102030405060708, ResponderSPI: 0x1112131415161718, Major: 2, Exchange: wire2.Informational, Flags: wire.FlagInitiator, MessageID: 7}

func testInner() []wire2.Payload {
	return []wire2.Payload{wire2.Nonce{Data: octets(20)}, wire2.VendorID{Data: []byte("parley")}}
}

func mustSeal(t testing.TB, p *Protection, inner []wire2.Payload) []byte {
	t.Helper()
	msg, err := p.Seal(testHeader, inner, testRand())
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// RFC 7296 section 3.14 and RFC 7383 section 2.5: what was sealed opens to the same, whatever the length.
func TestSealAndOpenRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSuite(rt)
		sender, receiver := pair(t, s)
		var inner []wire2.Payload
		for _, data := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 0, 4).Draw(rt, "payloads") {
			inner = append(inner, wire2.VendorID{Data: append([]byte{}, data...)})
		}
		msg, err := sender.Seal(testHeader, inner, testRand())
		if err != nil {
			rt.Fatal(err)
		}
		before := bytes.Clone(msg)
		m, err := receiver.Open(msg)
		if err != nil {
			rt.Fatal(err)
		}
		if got, want := wire2.AppendPayloads(nil, m.Payloads), wire2.AppendPayloads(nil, inner); !bytes.Equal(got, want) {
			rt.Fatalf("%v: opened to %x, want %x", s, got, want)
		}
		h := testHeader
		h.NextPayload, h.Length = wire2.TypeSK, uint32(len(msg))
		if m.Header != h {
			rt.Fatalf("header %+v, want %+v", m.Header, h)
		}
		if !bytes.Equal(msg, before) {
			rt.Fatal("Open changed the packet")
		}
	})
}

func TestFragmentsRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSuite(rt)
		sender, receiver := pair(t, s)
		total := rapid.Uint16Min(1).Draw(rt, "total")
		number := rapid.Uint16Range(1, total).Draw(rt, "number")
		piece := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(rt, "piece")
		msg, err := sender.SealFragment(testHeader, wire2.TypeIDi, number, total, piece, testRand())
		if err != nil {
			rt.Fatal(err)
		}
		f, err := receiver.OpenFragment(msg)
		if err != nil {
			rt.Fatal(err)
		}
		first := wire2.TypeNone // RFC7383-2.5-3
		if number == 1 {
			first = wire2.TypeIDi // RFC7383-2.5-2
		}
		if f.First != first || f.Number != number || f.Total != total || !bytes.Equal(f.Body, piece) {
			rt.Fatalf("%v: opened to %+v, want first %d, %d of %d, %x", s, f, first, number, total, piece)
		}
		if _, err := receiver.Open(msg); !errors.Is(err, ErrIntegrity) {
			rt.Fatalf("a fragment opens as a message: %v", err)
		}
	})
}

// The codec reads what we seal as one SK or SKF payload at the end (RFC7296-3.14-1, RFC7383-2.5-1).
func TestSealedMessagesAreOneEncryptedPayload(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, _ := pair(t, s)
		m, err := wire2.Parse(mustSeal(t, sender, testInner()))
		if err != nil {
			t.Fatal(err)
		}
		if sk, ok := wire2.Get[wire2.SK](m.Payloads); !ok || sk.First != wire2.TypeNonce || len(m.Payloads) != 1 {
			t.Errorf("reads as %+v", m.Payloads)
		}
		msg, err := sender.SealFragment(testHeader, wire2.TypeIDi, 1, 2, octets(50), testRand())
		if err != nil {
			t.Fatal(err)
		}
		m, err = wire2.Parse(msg)
		if err != nil {
			t.Fatal(err)
		}
		if skf, ok := wire2.Get[wire2.SKF](m.Payloads); !ok || skf.First != wire2.TypeIDi || skf.Number != 1 || skf.Total != 2 {
			t.Errorf("reads as %+v", m.Payloads)
		}
	})
}

// RFC7296-3.14-7: the checksum covers the entire message.
func TestEveryBitFlipIsRefused(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, receiver := pair(t, s)
		msg := mustSeal(t, sender, testInner())
		fragment, err := sender.SealFragment(testHeader, wire2.TypeIDi, 1, 3, octets(50), testRand())
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(msg) {
			if m, err := receiver.Open(flipped(msg, bit)); !errors.Is(err, ErrIntegrity) || m.Payloads != nil {
				t.Errorf("bit %d of octet %d: %v", bit%8, bit/8, err)
			}
		}
		for bit := range 8 * len(fragment) {
			if f, err := receiver.OpenFragment(flipped(fragment, bit)); !errors.Is(err, ErrIntegrity) || f.Body != nil {
				t.Errorf("fragment, bit %d of octet %d: %v", bit%8, bit/8, err)
			}
		}
		if _, err := receiver.Open(msg); err != nil {
			t.Errorf("after all refusals the message itself: %v", err)
		}
	})
}

func flipped(msg []byte, bit int) []byte {
	b := bytes.Clone(msg)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

func TestEveryTruncationIsRefused(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, receiver := pair(t, s)
		msg := mustSeal(t, sender, testInner())
		fragment, err := sender.SealFragment(testHeader, wire2.TypeIDi, 1, 3, octets(50), testRand())
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(msg) {
			for _, b := range [][]byte{msg[:n], relabelled(msg[:n])} { // as cut on the way, and with lengths made to fit
				if _, err := receiver.Open(b); !errors.Is(err, ErrIntegrity) {
					t.Errorf("%d of %d octets: %v", n, len(msg), err)
				}
			}
		}
		for n := range len(fragment) {
			for _, b := range [][]byte{fragment[:n], relabelled(fragment[:n])} {
				if _, err := receiver.OpenFragment(b); !errors.Is(err, ErrIntegrity) {
					t.Errorf("fragment, %d of %d octets: %v", n, len(fragment), err)
				}
			}
		}
	})
}

// relabelled returns a copy whose header and payload lengths are true.
func relabelled(msg []byte) []byte {
	b := bytes.Clone(msg)
	if len(b) >= wire.HeaderLen+wire.PayloadHeaderLen {
		binary.BigEndian.PutUint32(b[lengthOffset:], uint32(len(b)))
		binary.BigEndian.PutUint16(b[wire.HeaderLen+2:], uint16(len(b)-wire.HeaderLen))
	}
	return b
}

// keyed returns the cipher of p.
func keyed(t testing.TB, p *Protection) box {
	t.Helper()
	b, err := p.box()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forge returns an authentic message around any inside: payloads, padding and pad length as given.
func forge(t testing.TB, p *Protection, first wire.PayloadType, inside []byte) []byte {
	t.Helper()
	return forgeSpoilt(t, p, first, inside, func([]byte) {})
}

// forgeSpoilt is forge, with a hand on the message before it is sealed.
func forgeSpoilt(t testing.TB, p *Protection, first wire.PayloadType, inside []byte, spoil func(msg []byte)) []byte {
	t.Helper()
	h := testHeader
	h.NextPayload = wire2.TypeSK
	msg := append(h.Append(nil), byte(first), 0, 0, 0)
	msg = append(p.appendIV(msg), inside...)
	total := len(msg) + p.icvLen
	binary.BigEndian.PutUint32(msg[lengthOffset:], uint32(total))
	binary.BigEndian.PutUint16(msg[wire.HeaderLen+2:], uint16(total-wire.HeaderLen))
	spoil(msg)
	sealed, err := p.seal(msg, wire.HeaderLen+wire.PayloadHeaderLen, testRand())
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// RFC7296-3.14-6: any pad length that aligns, and any content, is accepted. RFC 7634 section 3 says so too.
func TestAnyPaddingIsAccepted(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, receiver := pair(t, s)
		payloads := wire2.AppendPayloads(nil, testInner())
		for pad := range 256 {
			inside := append(bytes.Clone(payloads), octets(pad)...)
			inside = append(inside, byte(pad))
			if len(inside)%sender.encr.BlockLen != 0 {
				continue
			}
			m, err := receiver.Open(forge(t, sender, wire2.TypeNonce, inside))
			if err != nil || !reflect.DeepEqual(m.Payloads, testPayloads(t)) {
				t.Errorf("padding of %d octets: %+v, %v", pad, m.Payloads, err)
			}
		}
	})
}

// testPayloads is testInner as the codec reads it.
func testPayloads(t testing.TB) []wire2.Payload {
	t.Helper()
	ps, err := wire2.ParsePayloads(wire2.TypeNonce, wire2.AppendPayloads(nil, testInner()))
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

// A peer, or whoever sits between, cannot tell wrong padding from a wrong checksum (RFC 7296 section 3.14; the attack is
// Vaudenay's). The errors are the same value, so that no text or type differs.
func TestWrongPaddingAndWrongChecksumLookTheSame(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, receiver := pair(t, s)
		inside := append(octets(31), 32) // one octet more than there is
		wrongPadding := forge(t, sender, wire2.TypeNonce, inside)
		_, paddingErr := receiver.Open(wrongPadding)
		_, checksumErr := receiver.Open(flipped(wrongPadding, 8*len(wrongPadding)-1))
		if paddingErr != ErrIntegrity || checksumErr != ErrIntegrity {
			t.Errorf("padding: %v, checksum: %v, want ErrIntegrity itself", paddingErr, checksumErr)
		}
		inside[31] = 31 // as much as there is: an empty message
		if m, err := receiver.Open(forge(t, sender, wire2.TypeNone, inside)); err != nil || len(m.Payloads) != 0 {
			t.Errorf("all padding: %+v, %v", m.Payloads, err)
		}
	})
}

// Only a peer with the keys can send these; they are refused like forgeries and break nothing.
func TestAuthenticMessagesWithFalseLengthsAreRefused(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, receiver := pair(t, s)
		inside := append(make([]byte, 31), 31)
		for name, spoil := range map[string]func(msg []byte){
			"header length short":  func(msg []byte) { msg[lengthOffset+3]-- },
			"header length long":   func(msg []byte) { msg[lengthOffset+3]++ },
			"header length huge":   func(msg []byte) { msg[lengthOffset] = 255 },
			"payload length short": func(msg []byte) { msg[wire.HeaderLen+3]-- },
			"payload length long":  func(msg []byte) { msg[wire.HeaderLen+3]++ },
			"payload length three": func(msg []byte) { msg[wire.HeaderLen+3] = 3 },
			"another payload type": func(msg []byte) { msg[16] = byte(wire2.TypeSA) },
		} {
			if m, err := receiver.Open(forgeSpoilt(t, sender, wire2.TypeNone, inside, spoil)); !errors.Is(err, ErrIntegrity) {
				t.Errorf("%s: %+v, %v", name, m, err)
			}
		}
		if _, err := receiver.Open(forge(t, sender, wire2.TypeNone, inside)); err != nil {
			t.Errorf("the same unspoilt: %v", err)
		}
	})
}

func TestAnAuthenticMessageWithoutPadLengthIsRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []Suite{{Encr: EncrAESGCM16, KeyBits: 128}, {Encr: EncrChaCha20Poly1305}} {
		sender, receiver := pair(t, s)
		if _, err := receiver.Open(forge(t, sender, wire2.TypeNone, nil)); err != ErrIntegrity {
			t.Errorf("%v: %v", s, err)
		}
	}
}

// RFC7296-3.14-4: CBC takes whole blocks, an IV and one more at least, even from a peer whose checksum is right.
func TestAuthenticCBCMessagesAreWholeBlocks(t *testing.T) {
	t.Parallel()
	for _, i := range integrities {
		sender, receiver := pair(t, Suite{Encr: EncrAESCBC, KeyBits: 256, Integ: i.ID})
		h := testHeader
		h.NextPayload = wire2.TypeSK
		for n := range 65 { // octets between payload header and checksum
			msg := append(h.Append(nil), make([]byte, wire.PayloadHeaderLen+n+i.ICVLen)...)
			msg = relabelled(msg)
			end := len(msg) - i.ICVLen
			copy(msg[end:], keyed(t, sender).(*cbcBox).icv(msg[:end]))
			_, ok := keyed(t, receiver).open(msg, wire.HeaderLen+wire.PayloadHeaderLen)
			if ok != (n >= 32 && n%16 == 0) {
				t.Errorf("%s: %d octets are accepted: %t", i.Name, n, ok)
			}
			if _, err := receiver.Open(msg); !ok && err != ErrIntegrity {
				t.Errorf("%s: %d octets: %v", i.Name, n, err)
			}
		}
	}
}

// RFC7296-3.14-4 and -5: aligned, and no longer than needed; Overhead is what the worst length takes.
func TestPaddingIsMinimal(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, receiver := pair(t, s)
		worst, block := 0, sender.encr.BlockLen
		for n := range 2*block + 1 {
			msg, err := sender.SealFragment(testHeader, wire2.TypeIDi, 1, 1, octets(n), testRand())
			if err != nil {
				t.Fatal(err)
			}
			head := wire.HeaderLen + wire.PayloadHeaderLen + fragmentLen
			plain, ok := keyed(t, receiver).open(msg, head)
			if !ok || len(plain)%block != 0 || len(plain) <= n || len(plain)-n > block {
				t.Errorf("%d octets are padded to %d", n, len(plain))
			}
			worst = max(worst, len(msg)-wire.HeaderLen-fragmentLen-n)
		}
		if worst != sender.Overhead() {
			t.Errorf("overhead is %d octets, Overhead says %d", worst, sender.Overhead())
		}
	})
}

// RFC7296-3.14-3 for CBC, RFC 5282 section 3 for AEADs: no IV comes twice; the next message is another one.
func TestIVsDoNotRepeat(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, _ := pair(t, s)
		random := testRand()
		seen := map[string]bool{}
		for i := range 50 {
			msg, err := sender.Seal(testHeader, testInner(), random)
			at := wire.HeaderLen + wire.PayloadHeaderLen
			if i%2 == 1 {
				msg, err = sender.SealFragment(testHeader, wire2.TypeIDi, 1, 1, octets(9), random)
				at += fragmentLen
			}
			if err != nil {
				t.Fatal(err)
			}
			iv := string(msg[at : at+sender.encr.IVLen])
			if seen[iv] {
				t.Fatalf("IV %x comes twice", iv)
			}
			seen[iv] = true
		}
	})
}

func TestWithoutRandomnessCBCSealsNothing(t *testing.T) {
	t.Parallel()
	sender, _ := pair(t, Suite{Encr: EncrAESCBC, KeyBits: 128, Integ: IntegHMACSHA256_128})
	if msg, err := sender.Seal(testHeader, testInner(), bytes.NewReader(octets(15))); !errors.Is(err, io.ErrUnexpectedEOF) || msg != nil {
		t.Errorf("sealed %x, %v", msg, err)
	}
}

// RFC7383-2.5-4, RFC7383-2.5-5 when sending; RFC 7383 section 2.6 when receiving.
func TestFragmentNumbersAreChecked(t *testing.T) {
	t.Parallel()
	sender, receiver := pair(t, Suite{Encr: EncrAESGCM16, KeyBits: 256})
	for _, n := range [][2]uint16{{0, 0}, {0, 1}, {2, 1}, {1, 0}} {
		if _, err := sender.SealFragment(testHeader, wire2.TypeIDi, n[0], n[1], octets(9), nil); err == nil {
			t.Errorf("fragment %d of %d was sealed", n[0], n[1])
		}
		msg := forgeFragment(t, sender, wire2.TypeNone, n[0], n[1])
		if _, err := receiver.OpenFragment(msg); !errors.Is(err, ErrIntegrity) {
			t.Errorf("fragment %d of %d was opened: %v", n[0], n[1], err)
		}
	}
	if _, err := receiver.OpenFragment(forgeFragment(t, sender, wire2.TypeIDi, 2, 2)); !errors.Is(err, ErrIntegrity) {
		t.Errorf("fragment 2 names a first payload (RFC7383-2.5-3): %v", err)
	}
	if _, err := receiver.OpenFragment(forgeFragment(t, sender, wire2.TypeNone, 2, 2)); err != nil {
		t.Errorf("a right one of the same making: %v", err)
	}
}

func forgeFragment(t *testing.T, p *Protection, first wire.PayloadType, number, total uint16) []byte {
	t.Helper()
	h := testHeader
	h.NextPayload = wire2.TypeSKF
	msg := append(h.Append(nil), byte(first), 0, 0, 0)
	msg = binary.BigEndian.AppendUint16(msg, number)
	msg = binary.BigEndian.AppendUint16(msg, total)
	head := len(msg)
	msg, err := p.finish(append(p.appendIV(msg), "piece"...), head, nil)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// RFC 5282 section 5.1: unencrypted payloads before the Encrypted payload are covered; no exchange has any, and they are
// left out of the result.
func TestPayloadsBeforeTheEncryptedOneAreCoveredAndLeftOut(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, receiver := pair(t, s)
		h := testHeader
		h.NextPayload = wire2.TypeVendorID
		msg := append(h.Append(nil), byte(wire2.TypeSK), 0, 0, 7, 'a', 'b', 'c')
		at := len(msg)
		msg = append(msg, byte(wire2.TypeNone), 0, 0, 0)
		inside := append(make([]byte, 15), 15)
		msg = append(sender.appendIV(msg), inside...)
		total := len(msg) + sender.icvLen
		binary.BigEndian.PutUint32(msg[lengthOffset:], uint32(total))
		binary.BigEndian.PutUint16(msg[at+2:], uint16(total-at))
		msg, err := sender.seal(msg, at+wire.PayloadHeaderLen, testRand())
		if err != nil {
			t.Fatal(err)
		}
		if m, err := receiver.Open(msg); err != nil || len(m.Payloads) != 0 {
			t.Errorf("opened to %+v, %v", m.Payloads, err)
		}
		if _, err := receiver.Open(flipped(msg, 8*(wire.HeaderLen+5))); !errors.Is(err, ErrIntegrity) {
			t.Errorf("changed in the clear payload: %v", err)
		}
	})
}

// An authentic message with a malformed inside is told apart: the peer learns of it (RFC 7296 section 3.10.1).
func TestAMalformedInsideIsAWireError(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, receiver := pair(t, s)
		inside := append([]byte{0, 0, 0, 200}, make([]byte, 11)...) // a payload longer than all there is
		_, err := receiver.Open(forge(t, sender, wire2.TypeNonce, append(inside, 0)))
		var e *wire2.Error
		if !errors.As(err, &e) || errors.Is(err, ErrIntegrity) {
			t.Errorf("got %v, want a *wire2.Error", err)
		}
	})
}

func TestOnlyTheRightKeysOpen(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, _ := pair(t, s)
		msg := mustSeal(t, sender, testInner())
		encr, integ, _ := s.lens()
		ske, ska := octets(encr), octets(integ)
		spoilt := ska // CBC: the checksum decides
		if integ == 0 {
			spoilt = ske // AEAD: the salt is part of the key
		}
		spoilt[len(spoilt)-1] ^= 1
		other, err := NewProtection(s, ske, ska)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Open(msg); err != ErrIntegrity {
			t.Errorf("opened with other keys: %v", err)
		}
	})
}

func TestNewProtectionRefusesKeysOfOtherLengths(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		encr, integ, _ := s.lens()
		for _, n := range [][2]int{{encr - 1, integ}, {encr + 1, integ}, {encr, integ + 1}, {encr - 1, integ + 1}, {0, integ}, {integ, encr + 1}} {
			if p, err := NewProtection(s, octets(n[0]), octets(n[1])); err == nil || p != nil {
				t.Errorf("keys of %d and %d octets are accepted", n[0], n[1])
			}
		}
	})
	if p, err := NewProtection(Suite{Encr: EncrAESCBC, KeyBits: 256}, octets(32), nil); !errors.Is(err, ErrUnsupported) || p != nil {
		t.Errorf("CBC without integrity: %v", err)
	}
}

// Keys may be wiped once a protection is made.
func TestAProtectionKeepsNoReferenceToItsKeys(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, _ := pair(t, s)
		encr, integ, _ := s.lens()
		ske, ska := octets(encr), octets(integ)
		receiver, err := NewProtection(s, ske, ska)
		if err != nil {
			t.Fatal(err)
		}
		ske.Wipe()
		ska.Wipe()
		if _, err := receiver.Open(mustSeal(t, sender, testInner())); err != nil {
			t.Errorf("after the wipe: %v", err)
		}
	})
}

func TestSealRefusesWhatExceedsAMessage(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, receiver := pair(t, s)
		room := wire2.MaxMessage - wire.HeaderLen - fragmentLen - sender.Overhead()
		msg, err := sender.SealFragment(testHeader, wire2.TypeIDi, 1, 1, octets(room), testRand())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := receiver.OpenFragment(msg); err != nil {
			t.Error(err)
		}
		if _, err := sender.SealFragment(testHeader, wire2.TypeIDi, 1, 1, octets(room+sender.encr.BlockLen), testRand()); !errors.Is(err, ErrTooLong) {
			t.Errorf("too long a piece: %v", err)
		}
		if _, err := sender.Seal(testHeader, []wire2.Payload{wire2.VendorID{Data: octets(40000)}, wire2.VendorID{Data: octets(40000)}}, testRand()); !errors.Is(err, ErrTooLong) {
			t.Errorf("too long a message: %v", err)
		}
	})
}

// A piece as long as FragmentRoom says makes a message of at most that many octets, and one octet more does not fit
// (RFC7383-2.5.1-1).
func TestFragmentRoomIsExact(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, _ := pair(t, s)
		for limit := 148; limit < 700; limit++ {
			room := sender.FragmentRoom(limit)
			fits, err := sender.SealFragment(testHeader, wire2.TypeIDi, 1, 1, octets(room), testRand())
			if err != nil || len(fits) > limit {
				t.Fatalf("%d octets of room for %d: a message of %d (%v)", room, limit, len(fits), err)
			}
			more, _ := sender.SealFragment(testHeader, wire2.TypeIDi, 1, 1, octets(room+1), testRand())
			if len(more) <= limit {
				t.Fatalf("one octet more than %d fits into %d, too", room, limit)
			}
		}
		if sender.FragmentRoom(0) != 1 {
			t.Error("no room")
		}
	})
}

// Keys that were wiped neither seal nor open, instead of doing so with zeros (RFC 7296 section 2.12).
func TestWipedKeysServeNoMore(t *testing.T) {
	t.Parallel()
	forEachSuite(t, func(t *testing.T, s Suite) {
		sender, receiver := pair(t, s)
		packet, err := sender.Seal(testHeader, testInner(), testRand())
		if err != nil {
			t.Fatal(err)
		}
		sender.Wipe()
		receiver.Wipe()
		if _, err := sender.Seal(testHeader, testInner(), testRand()); err == nil {
			t.Error("a message was sealed")
		}
		if _, err := receiver.Open(packet); err == nil {
			t.Error("a message was opened")
		}
	})
}
