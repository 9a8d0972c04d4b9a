package suite

import (
	"bytes"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

type rfc7634 struct {
	ESP    hexBytes `json:"esp_packet"`
	Plain  hexBytes `json:"plain"`
	IKE    hexBytes `json:"ike_message"`
	Notify hexBytes `json:"notify"`
}

// key7634 is the key 80..9f and the salt a0..a3 of both appendices of RFC 7634.
func key7634() (key []byte) {
	for o := byte(0x80); o <= 0xa3; o++ {
		key = append(key, o)
	}
	return key
}

const iv7634 = 0x1011121314151617

// RFC 7634 appendix A: the box serves any packet of header, IV, ciphertext and ICV, ESP included.
func TestChaCha20Poly1305GivesTheESPPacketOfRFC7634(t *testing.T) {
	t.Parallel()
	v := load[rfc7634](t, "chacha20_poly1305.json")
	e, _ := LookupEncryption(EncrChaCha20Poly1305)
	b, err := newAEADBox(e, key7634(), new(uint64))
	if err != nil {
		t.Fatal(err)
	}
	*b.sealed = iv7634
	const head = 8 // SPI and sequence number
	sealed, err := b.seal(bytes.Join([][]byte{v.ESP[:head], make([]byte, e.IVLen), v.Plain}, nil), head, nil)
	if err != nil || !bytes.Equal(sealed, v.ESP) {
		t.Errorf("sealed to %x, %v, want %x", sealed, err, v.ESP)
	}
}

// RFC 7634 appendix B: a whole INFORMATIONAL request. It pins the layout of RFC 7296 section 3.14 and the associated
// data of RFC 5282 section 5.1 for every AEAD.
func TestSealGivesTheIKEMessageOfRFC7634(t *testing.T) {
	t.Parallel()
	v := load[rfc7634](t, "chacha20_poly1305.json")
	p := protection7634(t)
	inner, err := wire2.ParsePayloads(wire2.TypeNotify, v.Notify)
	if err != nil {
		t.Fatal(err)
	}
	h := wire.Header{
		InitiatorSPI: 0xc0c1c2c3c4c5c6c7, ResponderSPI: 0xd0d1d2d3d4d5d6d7, Major: 2,
		Exchange: wire2.Informational, MessageID: 9, // appendix B: no flags
	}
	sealed, err := p.Seal(h, inner, nil)
	if err != nil || !bytes.Equal(sealed, v.IKE) {
		t.Errorf("sealed to\n%x, %v, want\n%x", sealed, err, v.IKE)
	}
}

func TestOpenReadsTheIKEMessageOfRFC7634(t *testing.T) {
	t.Parallel()
	v := load[rfc7634](t, "chacha20_poly1305.json")
	m, err := protection7634(t).Open(v.IKE)
	if err != nil {
		t.Fatal(err)
	}
	n, ok := wire2.Get[wire2.Notify](m.Payloads)
	if !ok || n.Kind != wire2.SetWindowSize || !bytes.Equal(n.Data, []byte{0, 0, 0, 10}) {
		t.Errorf("opened to %+v", m.Payloads)
	}
	if m.Header.MessageID != 9 || m.Header.Exchange != wire2.Informational {
		t.Errorf("header %+v", m.Header)
	}
}

func protection7634(t *testing.T) *Protection {
	t.Helper()
	p, err := NewProtection(Suite{Encr: EncrChaCha20Poly1305, PRF: PRFHMACSHA256, KE: KECurve25519}, key7634(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.sealed = iv7634
	return p
}
