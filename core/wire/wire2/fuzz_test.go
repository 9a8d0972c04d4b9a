package wire2_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
	"pgregory.net/rapid"
)

func addMessages(f *testing.F) {
	f.Add(unhex(f, initHex))
	for _, s := range samples {
		f.Add(wire2.Message{Header: initHeader, Payloads: []wire2.Payload{s.payload}}.Append(nil))
	}
	f.Add(wire2.Message{Header: initHeader, Payloads: []wire2.Payload{proposals(3, 5, 2), wire2.TSi{Selectors: selectors(9)}, configuration(4)}}.Append(nil))
}

// FuzzParse: no input makes the decoder panic, and every refusal is an Error with a place inside the input.
func FuzzParse(f *testing.F) {
	addMessages(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := wire2.Parse(fixLength(b))
		var e *wire2.Error
		if err != nil && (!errors.As(err, &e) || e.Offset < 0 || e.Offset > max(len(b), wire.HeaderLen) || e.Rule == "") {
			t.Fatalf("error %#v", err)
		}
	})
}

// FuzzRoundTrip: decode(encode(decode(x))) is decode(x), and no octet is lost.
func FuzzRoundTrip(f *testing.F) {
	addMessages(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := wire2.Parse(fixLength(b))
		if err != nil {
			return
		}
		again := m.Append(nil)
		if len(again) != len(b) {
			t.Fatalf("%d octets became %d", len(b), len(again))
		}
		if got, err := wire2.Parse(again); err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("decoded %+v, %v, want %+v", got, err, m)
		}
	})
}

// FuzzPayloads does both for payloads without a header, as they come out of an Encrypted payload.
func FuzzPayloads(f *testing.F) {
	for _, s := range samples {
		f.Add(uint8(s.payload.Type()), wire2.AppendPayloads(nil, []wire2.Payload{s.payload}))
	}
	f.Fuzz(func(t *testing.T, first uint8, b []byte) {
		ps, err := wire2.ParsePayloads(wire.PayloadType(first), b)
		if err != nil {
			return
		}
		got, err := wire2.ParsePayloads(wire2.FirstType(ps), wire2.AppendPayloads(nil, ps))
		if err != nil || !reflect.DeepEqual(got, ps) {
			t.Fatalf("decoded %+v, %v, want %+v", got, err, ps)
		}
	})
}

// octets draws 0 to n octets; none are nil, as decoded ones are.
func octets(t *rapid.T, low, high int) []byte {
	b := rapid.SliceOfN(rapid.Byte(), low, high).Draw(t, "octets")
	if len(b) == 0 {
		return nil
	}
	return b
}

func drawTransform(t *rapid.T) wire2.Transform {
	tr := wire2.Transform{Type: wire2.TransformType(rapid.Byte().Draw(t, "type")), ID: rapid.Uint16().Draw(t, "id")}
	for range rapid.IntRange(0, 3).Draw(t, "attributes") {
		a := wire2.Attribute{Type: rapid.Uint16Max(0x7fff).Draw(t, "attribute"), TV: rapid.Bool().Draw(t, "tv")}
		if a.TV {
			a.Value = rapid.Uint16().Draw(t, "value")
		} else {
			a.Data = octets(t, 0, 5)
		}
		tr.Attributes = append(tr.Attributes, a)
	}
	return tr
}

func drawProposal(t *rapid.T) wire2.Proposal {
	p := wire2.Proposal{Number: rapid.Byte().Draw(t, "number"), Protocol: wire2.ProtocolID(rapid.IntRange(1, 5).Draw(t, "protocol"))}
	switch p.Protocol {
	case wire2.ProtoIKE:
		p.SPI = octets(t, 8, 8)
	case wire2.ProtoAH, wire2.ProtoESP:
		p.SPI = octets(t, 4, 4)
	default:
		p.SPI = octets(t, 0, 9)
	}
	p.Transforms = rapid.SliceOfN(rapid.Custom(drawTransform), 1, 5).Draw(t, "transforms")
	return p
}

func drawSelector(t *rapid.T) wire2.TrafficSelector {
	s := wire2.TrafficSelector{Type: wire2.TSType(rapid.IntRange(6, 10).Draw(t, "type")), Protocol: rapid.Byte().Draw(t, "protocol")}
	size := map[wire2.TSType]int{wire2.TSIPv4AddrRange: 4, wire2.TSIPv6AddrRange: 16}[s.Type]
	if size == 0 {
		s.Unknown = octets(t, 0, 40)
		return s
	}
	s.StartPort, s.EndPort = rapid.Uint16().Draw(t, "start"), rapid.Uint16().Draw(t, "end")
	s.StartAddr, s.EndAddr = octets(t, size, size), octets(t, size, size)
	return s
}

func drawPayload(t *rapid.T) wire2.Payload {
	switch rapid.IntRange(0, 7).Draw(t, "payload") {
	case 0:
		return wire2.SA{Proposals: rapid.SliceOfN(rapid.Custom(drawProposal), 1, 4).Draw(t, "proposals")}
	case 1:
		return wire2.TSi{Selectors: rapid.SliceOfN(rapid.Custom(drawSelector), 1, 4).Draw(t, "selectors")}
	case 2:
		return wire2.Notify{Protocol: wire2.ProtocolID(rapid.Byte().Draw(t, "protocol")), SPI: octets(t, 0, 255), Kind: wire2.NotifyType(rapid.Uint16().Draw(t, "kind")), Data: octets(t, 0, 30)}
	case 3:
		return wire2.Unknown{Number: wire.PayloadType(rapid.IntRange(54, 255).Draw(t, "number")), Critical: rapid.Bool().Draw(t, "critical"), Body: octets(t, 0, 30)}
	case 4:
		return wire2.Nonce{Data: octets(t, 16, 256)}
	case 5:
		return wire2.IDr{IDType: wire2.IDType(rapid.Byte().Draw(t, "type")), Reserved: [3]byte(octets(t, 3, 3)), Data: octets(t, 0, 30)}
	case 6:
		return wire2.KE{Method: rapid.Uint16().Draw(t, "method"), Data: octets(t, 0, 100)}
	}
	return wire2.CP{Kind: rapid.Byte().Draw(t, "kind"), Attributes: []wire2.CPAttribute{{
		Reserved: rapid.Bool().Draw(t, "r"), Type: rapid.Uint16Max(0x7fff).Draw(t, "type"), Value: octets(t, 0, 20)}}}
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ps := rapid.SliceOfN(rapid.Custom(drawPayload), 1, 6).Draw(t, "payloads")
		m := wire2.Message{Header: initHeader, Payloads: ps}
		got, err := wire2.Parse(m.Append(nil))
		if err != nil || !reflect.DeepEqual(got.Payloads, ps) {
			t.Fatalf("decoded %+v, %v, want %+v", got.Payloads, err, ps)
		}
	})
}
