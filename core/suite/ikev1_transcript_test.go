package suite

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/sdk/secret"
)

// transcript is a handshake recorded against a Cisco router, with the private values of its initiator:
// core/wire/wire1/testdata/README.md. Phase 1 is AES-128-CBC and SHA-1.
type transcript struct {
	Messages []struct{ Initiator, Responder hexBytes }
	DH       hexBytes `json:"dh_private_pkcs8"`
	PSK      string   `json:"psk_ascii"`
	Nonce    hexBytes `json:"phase1_initiator_nonce"`
	QMNonce  hexBytes `json:"quick_mode_initiator_nonce"`
	SPIi     hexBytes `json:"quick_mode_initiator_spi"`
	SPIr     hexBytes `json:"quick_mode_responder_spi"`
	RSA      string   `json:"initiator_rsa_private_pkcs1_b64"`
	RSAPeer  string   `json:"responder_rsa_public_spki_b64"`
	NonceR   hexBytes `json:"responder_nonce_expected"`
}

var recordedSuite = Suite{Encr: EncrAESCBC, KeyBits: 128, PRF: PRFHMACSHA1}

func loadTranscript(t *testing.T, name string) transcript {
	t.Helper()
	all := load[struct{ Transcripts map[string]transcript }](t, "../../wire/wire1/testdata/cisco-ikev1.json")
	tr, ok := all.Transcripts[name]
	if !ok {
		t.Fatalf("no transcript %s", name)
	}
	return tr
}

func parse1(t *testing.T, packet []byte) wire1.Message {
	t.Helper()
	m, err := wire1.Parse(packet)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bodyOf returns the body of the first payload of a type.
func bodyOf[T wire1.Payload](t *testing.T, ps []wire1.Payload) []byte {
	t.Helper()
	p, ok := wire1.Get[T](ps)
	if !ok {
		t.Fatalf("no %T in %v", p, ps)
	}
	return wire1.Body(p)
}

// sharedSecret computes g^xy from the initiator's private value and the responder's public one, with leading zeros.
func (tr transcript) sharedSecret(t *testing.T, public []byte) secret.Bytes {
	t.Helper()
	var key struct { // PKCS #8 with PKCS #3 parameters
		Version   int
		Algorithm struct {
			ID         asn1.ObjectIdentifier
			Parameters struct {
				P, G *big.Int
				L    int `asn1:"optional"`
			}
		}
		Private []byte
	}
	if _, err := asn1.Unmarshal(tr.DH, &key); err != nil {
		t.Fatal(err)
	}
	x := new(big.Int)
	if _, err := asn1.Unmarshal(key.Private, &x); err != nil {
		t.Fatal(err)
	}
	p := key.Algorithm.Parameters.P
	return new(big.Int).Exp(new(big.Int).SetBytes(public), x, p).FillBytes(make([]byte, (p.BitLen()+7)/8))
}

// session is what both sides of a transcript know after phase 1.
type session struct {
	keys   ISAKMPKeys
	cipher *ISAKMPCipher
	first  IV // of the first encrypted message of phase 1
	phase1 PhaseOne
}

// newSession derives the keys. first is the first message of each side, ke the one with its KE payload.
func newSession(t *testing.T, tr transcript, skeyid secret.Bytes, first wire1.Message, keI, keR []wire1.Payload, cookieR uint64) session {
	t.Helper()
	x := PhaseOne{
		PublicI: bodyOf[wire1.KE](t, keI), PublicR: bodyOf[wire1.KE](t, keR),
		CookieI: first.Header.InitiatorSPI, CookieR: cookieR, SAi: bodyOf[wire1.SA](t, first.Payloads),
	}
	k, err := DeriveISAKMP(recordedSuite, skeyid, tr.sharedSecret(t, x.PublicR), x.CookieI, x.CookieR)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewISAKMPCipher(recordedSuite, &k)
	if err != nil {
		t.Fatal(err)
	}
	return session{keys: k, cipher: c, first: c.FirstIV(x.PublicI, x.PublicR), phase1: x}
}

// open decrypts a recorded message, and shows that we encrypt its payloads to the same octets.
func (s session) open(t *testing.T, packet []byte, iv IV, ours bool) ([]wire1.Payload, IV) {
	t.Helper()
	m := parse1(t, packet)
	plain, next, err := s.cipher.Open(m.Cipher, iv)
	if err != nil {
		t.Fatal(err)
	}
	ps, err := wire1.ParsePayloads(m.Header.NextPayload, plain)
	if err != nil {
		t.Fatalf("%x: %v", plain, err)
	}
	if again, _ := s.cipher.Seal(m.Header, ps, iv); ours && !bytes.Equal(again, packet) {
		t.Errorf("encrypted again\n%x, want\n%x (plain %x)", again, packet, plain)
	}
	return ps, next
}

func wantHash(t *testing.T, what string, ps []wire1.Payload, want []byte) {
	t.Helper()
	if got := bodyOf[wire1.Hash](t, ps); !EqualHash(got, want) {
		t.Errorf("%s: %x was recorded, we compute %x", what, got, want)
	}
}

// quickMode decrypts the three messages of a quick mode and checks their hashes and the SPIs (RFC 2409 section 5.5).
func (s session) quickMode(t *testing.T, tr transcript, messages [][]byte, last IV) {
	t.Helper()
	mid := parse1(t, messages[0]).Header.MessageID
	iv := s.cipher.ExchangeIV(last, mid)
	one, iv := s.open(t, messages[0], iv, true)
	two, iv := s.open(t, messages[1], iv, false)
	three, _ := s.open(t, messages[2], iv, true)
	ni, nr := bodyOf[wire1.Nonce](t, one), bodyOf[wire1.Nonce](t, two)
	if !bytes.Equal(ni, tr.QMNonce) {
		t.Errorf("nonce %x, want %x", ni, tr.QMNonce)
	}
	wantHash(t, "HASH(1)", one, s.keys.Hash1(mid, wire1.AppendPayloads(nil, one[1:])))
	wantHash(t, "HASH(2)", two, s.keys.Hash2(mid, ni, wire1.AppendPayloads(nil, two[1:])))
	wantHash(t, "HASH(3)", three, s.keys.Hash3(mid, ni, nr))
	for side, c := range map[string]struct {
		ps  []wire1.Payload
		spi []byte
	}{"initiator": {one, tr.SPIi}, "responder": {two, tr.SPIr}} {
		sa, _ := wire1.Get[wire1.SA](c.ps)
		if len(sa.Proposals) != 1 || !bytes.Equal(sa.Proposals[0].SPI, c.spi) {
			t.Errorf("%s: %+v, want SPI %x", side, sa, c.spi)
		}
	}
	spiI, spiR := binary.BigEndian.Uint32(tr.SPIi), binary.BigEndian.Uint32(tr.SPIr)
	if _, err := s.keys.DeriveChild(Suite{Encr: EncrAESCBC, KeyBits: 128, Integ: IntegHMACSHA1_96}, nil, spiI, spiR, ni, nr); err != nil {
		t.Error(err)
	}
}

// RFC 2409 section 5.4, main mode with a pre-shared key.
func TestRecordedMainModeIsOurs(t *testing.T) {
	t.Parallel()
	tr := loadTranscript(t, "main-psk")
	sa, ke := parse1(t, tr.Messages[0].Initiator), parse1(t, tr.Messages[1].Initiator)
	answer := parse1(t, tr.Messages[1].Responder)
	ni, nr := bodyOf[wire1.Nonce](t, ke.Payloads), bodyOf[wire1.Nonce](t, answer.Payloads)
	p, _ := LookupPRF(PRFHMACSHA1)
	s := newSession(t, tr, p.Sum([]byte(tr.PSK), ni, nr), sa, ke.Payloads, answer.Payloads, answer.Header.ResponderSPI)
	five, iv := s.open(t, tr.Messages[2].Initiator, s.first, true)
	wantHash(t, "HASH_I", five, s.keys.HashI(s.phase1, bodyOf[wire1.ID](t, five)))
	six, iv := s.open(t, tr.Messages[2].Responder, iv, false)
	wantHash(t, "HASH_R", six, s.keys.HashR(s.phase1, bodyOf[wire1.ID](t, six)))
	s.quickMode(t, tr, [][]byte{tr.Messages[3].Initiator, tr.Messages[3].Responder, tr.Messages[4].Initiator}, iv)
}

// RFC 2409 section 5.4, aggressive mode with a pre-shared key, whose third message this initiator sent in clear.
func TestRecordedAggressiveModeIsOurs(t *testing.T) {
	t.Parallel()
	tr := loadTranscript(t, "aggressive-psk")
	one, two, three := parse1(t, tr.Messages[0].Initiator), parse1(t, tr.Messages[0].Responder), parse1(t, tr.Messages[1].Initiator)
	p, _ := LookupPRF(PRFHMACSHA1)
	skeyid := p.Sum([]byte(tr.PSK), bodyOf[wire1.Nonce](t, one.Payloads), bodyOf[wire1.Nonce](t, two.Payloads))
	s := newSession(t, tr, skeyid, one, one.Payloads, two.Payloads, two.Header.ResponderSPI)
	wantHash(t, "HASH_R", two.Payloads, s.keys.HashR(s.phase1, bodyOf[wire1.ID](t, two.Payloads)))
	wantHash(t, "HASH_I", three.Payloads, s.keys.HashI(s.phase1, bodyOf[wire1.ID](t, one.Payloads)))
	s.quickMode(t, tr, [][]byte{tr.Messages[2].Initiator, tr.Messages[2].Responder, tr.Messages[3].Initiator}, s.first)
}

// RFC 2409 section 5.2, main mode with RSA encryption: that router takes prf(Ni_b | Nr_b, ...) for SKEYID, and only the
// compatibility switch understands it.
func TestRecordedRSAEncryptionIsOursWithTheRoutersDeviation(t *testing.T) {
	t.Parallel()
	tr := loadTranscript(t, "main-rsa-encryption")
	sa, ke := parse1(t, tr.Messages[0].Initiator), parse1(t, tr.Messages[1].Initiator)
	answer := parse1(t, tr.Messages[1].Responder)
	idir, nr := tr.decrypt(t, bodyOf[wire1.ID](t, answer.Payloads)), tr.decrypt(t, bodyOf[wire1.Nonce](t, answer.Payloads))
	if hex.EncodeToString(idir) != "011101f40a000302" || !bytes.Equal(nr, tr.NonceR) {
		t.Errorf("responder's identity %x and nonce %x", idir, nr)
	}
	for _, bare := range []bool{true, false} {
		skeyid, err := SKEYIDEncryption(PRFHMACSHA1, secret.Bytes(tr.Nonce), nr, sa.Header.InitiatorSPI, answer.Header.ResponderSPI, bare)
		if err != nil {
			t.Fatal(err)
		}
		s := newSession(t, tr, skeyid, sa, ke.Payloads, answer.Payloads, answer.Header.ResponderSPI)
		if !bare {
			plain, _, err := s.cipher.Open(parse1(t, tr.Messages[2].Initiator).Cipher, s.first)
			if ps, syntax := wire1.ParsePayloads(wire1.TypeHash, plain); err != nil || syntax == nil {
				t.Errorf("the RFC's SKEYID decrypts this router's message: %v, %v", ps, err)
			}
			continue
		}
		five, iv := s.open(t, tr.Messages[2].Initiator, s.first, true)
		six, iv := s.open(t, tr.Messages[2].Responder, iv, false)
		wantHash(t, "HASH_R", six, s.keys.HashR(s.phase1, idir))
		if len(five) != 1 {
			t.Errorf("message 5 has %d payloads", len(five))
		}
		s.quickMode(t, tr, [][]byte{tr.Messages[3].Initiator, tr.Messages[3].Responder, tr.Messages[4].Initiator}, iv)
	}
}

// decrypt opens what was encrypted for the initiator.
func (tr transcript) decrypt(t *testing.T, ciphertext []byte) secret.Bytes {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(tr.RSA)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	em := new(big.Int).Exp(new(big.Int).SetBytes(ciphertext), key.D, key.N).FillBytes(make([]byte, key.Size()))
	_, plain, ok := bytes.Cut(em[2:], []byte{0}) // 0 | 2 | padding | 0 | message (RFC 8017 section 7.2.2)
	if em[0] != 0 || em[1] != 2 || !ok {
		t.Fatalf("not PKCS #1: %x", em)
	}
	return plain
}
