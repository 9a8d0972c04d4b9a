package wire2_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

func TestEveryPrefixOfAMessageFails(t *testing.T) {
	t.Parallel()
	raw := unhex(t, initHex)
	for n := range raw {
		if _, err := wire2.Parse(raw[:n]); err == nil {
			t.Errorf("%d of %d octets are a message", n, len(raw))
		}
		// The same with a header that agrees: now the payloads have to notice.
		m, err := wire2.Parse(fixLength(raw[:n]))
		if err == nil {
			t.Errorf("%d of %d octets with that length are a message: %+v", n, len(raw), m)
		}
	}
}

func TestHeaderErrorsSayWhatToAnswer(t *testing.T) {
	t.Parallel()
	change := func(at int, value byte) []byte {
		b := unhex(t, initHex)
		b[at] = value
		return b
	}
	cases := []struct {
		name   string
		packet []byte
		offset int
		notify wire2.NotifyType
	}{
		{"nothing", nil, 0, 0},
		{"27 octets", unhex(t, initHex)[:27], 0, 0},
		{"version 3.0, RFC7296-2.5-2 and 3.1-6", change(17, 0x30), 17, wire2.InvalidMajorVersion},
		{"version 15.15", change(17, 0xff), 17, wire2.InvalidMajorVersion},
		{"version 1.0", change(17, 0x10), 17, 0},
		{"length too small", change(27, 0x17), 24, wire2.InvalidSyntax},
		{"length too large", change(27, 0x19), 24, wire2.InvalidSyntax},
		{"length of 4 GiB", change(24, 0xff), 24, wire2.InvalidSyntax},
		{"an octet after the message", append(unhex(t, initHex), 0), 24, wire2.InvalidSyntax},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := wire2.Parse(c.packet)
			if e := wantError(t, err, wire2.TypeNone, c.notify); e.Offset != c.offset {
				t.Errorf("error %v, want it at octet %d", e, c.offset)
			}
		})
	}
}

// RFC7296-2.5-1, 3.1-7: a higher minor version changes nothing. RFC7296-3.1-8: nor do unknown flags, which are not sent.
func TestMinorVersionAndUnknownFlagsAreIgnored(t *testing.T) {
	t.Parallel()
	raw := unhex(t, initHex)
	raw[17], raw[19] = 0x2f, 0xff
	m, err := wire2.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	all := wire.FlagInitiator | wire.FlagVersion | wire.FlagResponse
	if m.Header.Minor != 15 || m.Header.Flags != all {
		t.Errorf("header %+v", m.Header)
	}
	m.Header.Flags = 0xff
	if sent := m.Append(nil)[19]; sent != byte(all) {
		t.Errorf("sent flags %#x", sent)
	}
}

// RFC7296-2.5-13: payloads are accepted in any order. RFC7296-2.5-8: unknown ones do not disturb.
func TestPayloadOrderIsFree(t *testing.T) {
	t.Parallel()
	m := wire2.Message{Header: initHeader, Payloads: []wire2.Payload{
		initMessage.Payloads[7], wire2.Unknown{Number: 250, Critical: true, Body: []byte{1}}, initMessage.Payloads[2], initMessage.Payloads[0],
	}}
	got, err := wire2.Parse(m.Append(nil))
	if err != nil || !reflect.DeepEqual(got.Payloads, m.Payloads) {
		t.Errorf("decoded %+v, %v", got.Payloads, err)
	}
}

func TestMessageWithoutPayloadsIsItsHeader(t *testing.T) {
	t.Parallel()
	raw := wire2.Message{Header: initHeader}.Append(nil)
	m, err := wire2.Parse(raw)
	if err != nil || len(raw) != wire.HeaderLen || m.Payloads != nil || m.Header.Length != wire.HeaderLen || m.Header.NextPayload != wire2.TypeNone {
		t.Errorf("%x is %+v, %v", raw, m, err)
	}
}

// RFC7296-3.1-1, 3.14-1, RFC7383-2.5-1: an encrypted payload is the last; its next payload is the first inside.
func TestEncryptedPayloadIsLast(t *testing.T) {
	t.Parallel()
	encrypted := []wire2.Payload{
		wire2.SK{First: wire2.TypeIDi, Body: []byte{1, 2, 3}},
		wire2.SK{First: wire2.TypeNone, Body: []byte{1, 2, 3}},
		wire2.SKF{First: wire2.TypeIDi, Number: 1, Total: 2, Body: []byte{4}},
		wire2.SKF{First: wire2.TypeNone, Number: 2, Total: 2, Body: []byte{4}},
	}
	for _, p := range encrypted {
		for _, before := range [][]wire2.Payload{nil, {wire2.VendorID{Data: []byte{1}}}} {
			m := wire2.Message{Header: initHeader, Payloads: append(before, p)}
			raw := m.Append(nil)
			got, err := wire2.Parse(raw)
			if err != nil || !reflect.DeepEqual(got.Payloads, m.Payloads) {
				t.Errorf("decoded %+v, %v, want %+v", got.Payloads, err, m.Payloads)
			}
			raw = fixLength(append(raw, 0, 0, 0, 4))
			_, err = wire2.Parse(raw)
			wantError(t, err, p.Type(), syntaxAnswer(p))
		}
	}
}

// RFC7296-3.1-2: an encrypted payload does not contain another.
func TestEncryptedPayloadsAreNotNested(t *testing.T) {
	t.Parallel()
	for _, p := range []wire2.Payload{wire2.SK{Body: []byte{1}}, wire2.SKF{Number: 1, Total: 1}} {
		_, err := wire2.ParsePayloads(p.Type(), wire2.AppendPayloads(nil, []wire2.Payload{p}))
		wantError(t, err, p.Type(), wire2.InvalidSyntax)
	}
}

func TestInnerPayloadsAreDecodedWithoutHeader(t *testing.T) {
	t.Parallel()
	ps := initMessage.Payloads
	got, err := wire2.ParsePayloads(wire2.FirstType(ps), wire2.AppendPayloads(nil, ps))
	if err != nil || !reflect.DeepEqual(got, ps) {
		t.Errorf("decoded %+v, %v", got, err)
	}
	got, err = wire2.ParsePayloads(wire2.TypeNone, nil)
	if err != nil || got != nil {
		t.Errorf("no payloads: %+v, %v", got, err)
	}
	_, err = wire2.ParsePayloads(wire2.TypeNone, []byte{0})
	wantError(t, err, wire2.TypeNone, wire2.InvalidSyntax)
}

// The receive buffer is used again, and one payload's user must not reach the next payload.
func TestDecodedPayloadsOwnTheirMemory(t *testing.T) {
	t.Parallel()
	raw := unhex(t, initHex)
	m, err := wire2.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	ke, _ := wire2.Get[wire2.KE](m.Payloads)
	_ = append(ke.Data, bytes.Repeat([]byte{0xff}, 64)...)
	if !reflect.DeepEqual(m, initMessage) {
		t.Errorf("the message became %+v", m)
	}
	inner := chainOf([]byte{1, 2, 3})
	ps, err := wire2.ParsePayloads(wire2.TypeVendorID, inner)
	if err != nil {
		t.Fatal(err)
	}
	clear(inner)
	if !reflect.DeepEqual(ps, []wire2.Payload{wire2.VendorID{Data: []byte{1, 2, 3}}}) {
		t.Errorf("the payload became %+v", ps)
	}
}

func TestGetFindsTheFirstOfItsType(t *testing.T) {
	t.Parallel()
	ps := []wire2.Payload{
		wire2.Notify{Kind: wire2.Cookie, Data: []byte{1}}, wire2.Cert{Encoding: 4}, wire2.Cert{Encoding: 5},
		wire2.Notify{Kind: wire2.RekeySA}, wire2.Notify{Kind: wire2.Cookie, Data: []byte{2}},
	}
	if c, ok := wire2.Get[wire2.Cert](ps); !ok || c.Encoding != 4 {
		t.Errorf("Get[Cert] = %+v, %v", c, ok)
	}
	if _, ok := wire2.Get[wire2.KE](ps); ok {
		t.Error("Get[KE] found one")
	}
	if n, ok := wire2.GetNotify(ps, wire2.Cookie); !ok || n.Data[0] != 1 {
		t.Errorf("GetNotify(COOKIE) = %+v, %v", n, ok)
	}
	if _, ok := wire2.GetNotify(ps, wire2.InitialContact); ok {
		t.Error("GetNotify(INITIAL_CONTACT) found one")
	}
	if got := wire2.FirstType(ps); got != wire2.TypeNotify || wire2.FirstType(nil) != wire2.TypeNone {
		t.Errorf("FirstType = %d", got)
	}
}
