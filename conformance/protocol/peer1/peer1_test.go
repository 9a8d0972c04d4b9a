package peer1

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

func pair() (a, b *SA) {
	make := func(initiator bool) *SA {
		sa := &SA{Suite: Suite{Group: peer.X25519}, Initiator: initiator, CookieI: 1, CookieR: 2, Ni: []byte("initiator"), Nr: []byte("responder"),
			GI: []byte("g^xi"), GR: []byte("g^xr"), SAi: []byte("offer")}
		sa.Agreed("key", []byte("g^xy"))
		return sa
	}
	return make(true), make(false)
}

func message(exchange uint8, id uint32, ps ...peer.Payload) peer.Message {
	return peer.Message{SPIi: 1, SPIr: 2, Version: Version, Exchange: exchange, ID: id, Payloads: ps}
}

// RFC 2409 appendix B: IVs go from message to message, in phase 1 and in each exchange after it.
func TestMessagesOpenInTheOrderInWhichTheyWereSealed(t *testing.T) {
	t.Parallel()
	a, b := pair()
	for n, m := range []peer.Message{message(MainMode, 0, NATVendor()), message(MainMode, 0, DPDVendor()), message(QuickMode, 7, NATVendor()), message(Informational, 8, NATVendor()), message(QuickMode, 7, DPDVendor())} {
		from, to := a, b
		if n%2 == 1 {
			from, to = b, a
		}
		got, err := to.Open(from.Seal(m, Oddities{}))
		if err != nil || len(got.Payloads) != 1 || !bytes.Equal(got.Payloads[0].Body, m.Payloads[0].Body) {
			t.Fatalf("message %d: %v, %v", n, got, err)
		}
	}
	kept := a.Seal(message(QuickMode, 9, NATVendor()), Oddities{})
	if _, err := b.Open(a.Seal(message(QuickMode, 9, NATVendor()), Oddities{})); !errors.Is(err, ErrOpen) {
		t.Errorf("the second of two messages opens first: %v", err)
	}
	if _, err := b.Open(kept); err != nil {
		t.Errorf("a message that did not open has moved the IV: %v", err)
	}
}

func TestPaddingIsJudged(t *testing.T) {
	t.Parallel()
	for _, pad := range [][]byte{bytes.Repeat([]byte{1}, 12), make([]byte, 28)} {
		a, b := pair()
		if _, err := b.Open(a.Seal(message(QuickMode, 7, NATVendor()), Oddities{Pad: pad})); err == nil {
			t.Errorf("padding % x passes", pad)
		}
	}
}

func TestPayloadsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	p := ESP(3, []byte{1, 2, 3, 4}, 14)
	p.Transforms = append(p.Transforms, Suite{Group: 14}.Transform(2))
	body := SAPayload(p, p).Body
	list, err := ParseSA(body)
	if err != nil || len(list) != 2 || len(list[1].Transforms) != 2 || list[1].Number != 3 || !bytes.Equal(SAPayload(list...).Body, body) {
		t.Errorf("%+v, %v", list, err)
	}
	for at, octet := range map[int]byte{0: 9, 7: 2, 8: 7, 9: 1, 11: 1, 15: 9, 20: 8, 26: 1} {
		wrong := slices.Clone(body)
		wrong[at] = octet
		if _, err := ParseSA(wrong); err == nil {
			t.Errorf("octet %d as %d passes", at, octet)
		}
	}
	d := Delete{DOI: DOI, Protocol: ProtoESP, SPIs: [][]byte{{1, 2, 3, 4}, {5, 6, 7, 8}}}
	if got, err := ParseDelete(d.Payload().Body); err != nil || len(got.SPIs) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFaultsOfFormAreFound(t *testing.T) {
	t.Parallel()
	id := ID{Kind: IDFQDN, Data: []byte("x")}.Payload()
	for want, m := range map[string]peer.Message{
		"":          message(MainMode, 0, id),
		"exchange":  message(MainMode, 1, id),
		"outside":   message(QuickMode, 1, NATVendor()),
		"RESERVED":  message(MainMode, 0, peer.Payload{Type: TypeID, Flags: 1, Body: id.Body}),
		"DOI is 0":  message(MainMode, 0, Notify{Kind: NoProposalChosen}.Payload()),
		"7 octets":  message(MainMode, 0, peer.Payload{Type: TypeNonce, Body: make([]byte, 7)}),
		"cut off":   message(MainMode, 0, peer.Payload{Type: TypeNotify, Body: make([]byte, 7)}),
		"version":   {SPIi: 1, Version: 0x11, Exchange: MainMode},
		"flags":     {SPIi: 1, Version: Version, Exchange: MainMode, Flags: 8},
		"is zero":   {Version: Version, Exchange: MainMode},
		"identity":  message(MainMode, 0, peer.Payload{Type: TypeID, Body: id.Body[:4]}),
		"not the I": message(MainMode, 0, peer.Payload{Type: TypeSA, Body: make([]byte, 8)}),
	} {
		got := strings.Join(Faults(m), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", Describe(m), got, want)
		}
	}
}
