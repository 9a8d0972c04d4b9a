package wire1_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// FuzzParse: no input makes the decoder panic, every refusal is an Error with a place inside the input, and what is
// accepted encodes to the same octets, up to three zeros of padding.
func FuzzParse(f *testing.F) {
	f.Add(unhex(f, mainHex))
	for _, s := range samples {
		f.Add(wire1.Message{Header: mainHeader, Payloads: []wire1.Payload{s.payload}}.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = fixLength(b)
		m, err := wire1.Parse(b)
		var e *wire1.Error
		switch {
		case err == nil:
			again := m.Append(nil)
			if !bytes.HasPrefix(b, again[:24]) || !bytes.HasPrefix(b[28:], again[28:]) || len(b)-len(again) > 3 {
				t.Fatalf("%x became %x", b, again)
			}
		case !errors.As(err, &e) || e.Offset < 0 || e.Offset > max(len(b), wire.HeaderLen) || e.Rule == "":
			t.Fatalf("error %#v", err)
		}
	})
}

// FuzzPayloads does the same for what was encrypted, where any padding may follow.
func FuzzPayloads(f *testing.F) {
	for _, s := range samples {
		f.Add(uint8(s.payload.Type()), wire1.AppendPayloads(nil, []wire1.Payload{s.payload}))
	}
	f.Fuzz(func(t *testing.T, first uint8, b []byte) {
		ps, err := wire1.ParsePayloads(wire.PayloadType(first), b)
		if err != nil {
			return
		}
		if again := wire1.AppendPayloads(nil, ps); !bytes.HasPrefix(b, again) {
			t.Fatalf("%x became %x", b, again)
		}
		for _, p := range ps {
			exercise(t, p)
		}
	})
}

// exercise calls what interprets a payload's octets: none of it may panic, and a range is one again.
func exercise(t *testing.T, p wire1.Payload) {
	switch p := p.(type) {
	case wire1.VendorID:
		_ = p.String()
	case wire1.Config:
		for _, a := range p.Attributes {
			if v, ok := a.Number(); ok {
				if got, ok := wire1.NumberAttribute(a.Type, v).Number(); !ok || got != v {
					t.Fatalf("number %d became %d", v, got)
				}
			}
		}
	case wire1.ID:
		first, last, ok := p.Range()
		if !ok {
			return
		}
		f, l, ok := wire1.RangeID(p.Protocol, p.Port, first, last).Range()
		if !ok || !reflect.DeepEqual([]any{f, l}, []any{first, last}) {
			t.Fatalf("range %v to %v became %v to %v", first, last, f, l)
		}
	}
}
