package wire2_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// unhex decodes hexadecimal digits; blanks between fields are for the reader.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// chainOf puts a generic payload header before a body: the last payload of its message.
func chainOf(body []byte) []byte {
	n := len(body) + wire.PayloadHeaderLen
	return append([]byte{0, 0, byte(n >> 8), byte(n)}, body...)
}

// parseBody decodes one payload's body.
func parseBody(t wire.PayloadType, body []byte) (wire2.Payload, error) {
	if t == wire2.TypeSK || t == wire2.TypeSKF {
		return parseProtected(t, body)
	}
	ps, err := wire2.ParsePayloads(t, chainOf(body))
	if err != nil {
		return nil, err
	}
	return ps[0], nil
}

// parseProtected decodes the body of an Encrypted payload, which only a whole message can hold. The first payload inside
// it is an IDi.
func parseProtected(t wire.PayloadType, body []byte) (wire2.Payload, error) {
	h := initHeader
	h.NextPayload, h.Length = t, uint32(wire.HeaderLen+wire.PayloadHeaderLen+len(body))
	chain := chainOf(body)
	chain[0] = byte(wire2.TypeIDi)
	m, err := wire2.Parse(append(h.Append(nil), chain...))
	if err != nil {
		return nil, err
	}
	return m.Payloads[0], nil
}

// wantError checks that err is a *wire2.Error with a rule, for the payload t, to be answered with notify.
func wantError(t testing.TB, err error, payload wire.PayloadType, notify wire2.NotifyType) *wire2.Error {
	t.Helper()
	var e *wire2.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want a *wire2.Error", err)
	}
	if e.Payload != payload || e.Notify != notify || e.Rule == "" {
		t.Fatalf("error %+v, want one about %s answered with %d", e, wire2.PayloadName(payload), notify)
	}
	return e
}

// fixLength returns a copy of the message whose header has the right size.
func fixLength(message []byte) []byte {
	message = bytes.Clone(message)
	h, err := wire.ParseHeader(message)
	if err != nil {
		return message
	}
	h.Length = uint32(len(message))
	h.Append(message[:0])
	return message
}
