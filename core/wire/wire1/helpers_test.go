package wire1_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
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
func parseBody(t wire.PayloadType, body []byte) (wire1.Payload, error) {
	ps, err := wire1.ParsePayloads(t, chainOf(body))
	if err != nil {
		return nil, err
	}
	return ps[0], nil
}

// wantError checks that err is a *wire1.Error with a rule, for the payload t, to be answered with notify.
func wantError(t testing.TB, err error, payload wire.PayloadType, notify wire1.NotifyType) *wire1.Error {
	t.Helper()
	var e *wire1.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want a *wire1.Error", err)
	}
	if e.Payload != payload || e.Notify != notify || e.Rule == "" {
		t.Fatalf("error %+v, want one about %s answered with %v", e, wire1.PayloadName(payload), notify)
	}
	return e
}

// syntaxAnswer is the notify for what is wrong inside a payload.
func syntaxAnswer(t wire.PayloadType) wire1.NotifyType {
	if t == wire1.TypeSA {
		return wire1.BadProposalSyntax
	}
	return wire1.PayloadMalformed
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
