package wire2_test

import (
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// proposals returns an SA with n proposals of k transforms with a attributes each.
func proposals(n, k, a int) wire2.SA {
	t := wire2.Transform{Type: wire2.TransformENCR, ID: 12, Attributes: slices.Repeat([]wire2.Attribute{{Type: 14, TV: true, Value: 128}}, a)}
	p := wire2.Proposal{Number: 1, Protocol: wire2.ProtoIKE, Transforms: slices.Repeat([]wire2.Transform{t}, k)}
	return wire2.SA{Proposals: slices.Repeat([]wire2.Proposal{p}, n)}
}

func spis(n int) wire2.Delete {
	return wire2.Delete{Protocol: wire2.ProtoESP, SPISize: 4, SPIs: slices.Repeat([][]byte{{1, 2, 3, 4}}, n)}
}

func selectors(n int) []wire2.TrafficSelector {
	return slices.Repeat([]wire2.TrafficSelector{{Type: 200}}, n)
}

func configuration(n int) wire2.CP {
	return wire2.CP{Kind: 2, Attributes: slices.Repeat([]wire2.CPAttribute{{Type: 25}}, n)}
}

func TestLimitsHoldAtTheLimitAndOneAbove(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name      string
		at, above wire2.Payload
	}{
		{"proposals", proposals(wire2.MaxProposals, 1, 0), proposals(wire2.MaxProposals+1, 1, 0)},
		{"transforms", proposals(1, wire2.MaxTransforms, 1), proposals(1, wire2.MaxTransforms+1, 1)},
		{"transforms of an SA", proposals(8, 128, 0), wire2.SA{Proposals: append(proposals(8, 128, 0).Proposals, proposals(1, 1, 0).Proposals...)}},
		{"attributes", proposals(1, 2, wire2.MaxAttributes), proposals(1, 2, wire2.MaxAttributes+1)},
		{"short nonce", wire2.Nonce{Data: make([]byte, wire2.MinNonce)}, wire2.Nonce{Data: make([]byte, wire2.MinNonce-1)}},
		{"long nonce", wire2.Nonce{Data: make([]byte, wire2.MaxNonce)}, wire2.Nonce{Data: make([]byte, wire2.MaxNonce+1)}},
		{"SPIs to delete", spis(wire2.MaxDeleteSPIs), spis(wire2.MaxDeleteSPIs + 1)},
		{"selectors", wire2.TSi{Selectors: selectors(wire2.MaxSelectors)}, wire2.TSi{Selectors: selectors(wire2.MaxSelectors + 1)}},
		{"selectors, twice the count", wire2.TSr{Selectors: selectors(wire2.MaxSelectors)}, wire2.TSr{Selectors: selectors(2 * 256)}},
		{"configuration attributes", configuration(wire2.MaxCPAttributes), configuration(wire2.MaxCPAttributes + 1)},
		{"payload size", wire2.Cert{Data: make([]byte, 65530)}, wire2.Cert{Data: make([]byte, 65531)}},
	}
	if 8*wire2.MaxTransforms != wire2.MaxSATransforms {
		t.Fatal("the case for MaxSATransforms no longer sits at the limit")
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			kind := c.at.Type()
			ps, err := wire2.ParsePayloads(kind, wire2.AppendPayloads(nil, []wire2.Payload{c.at}))
			if err != nil || !sameButNil(ps[0], c.at) {
				t.Errorf("at the limit: %v", err)
			}
			_, err = wire2.ParsePayloads(kind, wire2.AppendPayloads(nil, []wire2.Payload{c.above}))
			wantError(t, err, kind, wire2.InvalidSyntax)
		})
	}
}

// sameButNil compares payloads; where the sample has an empty field, the decoded one is nil.
func sameButNil(a, b wire2.Payload) bool {
	return reflect.DeepEqual(wire2.Body(a), wire2.Body(b))
}

func TestMessageHasAtMost128Payloads(t *testing.T) {
	t.Parallel()
	ps := slices.Repeat([]wire2.Payload{wire2.VendorID{}}, wire2.MaxPayloads)
	if got, err := wire2.ParsePayloads(wire2.TypeVendorID, wire2.AppendPayloads(nil, ps)); err != nil || len(got) != wire2.MaxPayloads {
		t.Errorf("at the limit: %d payloads, %v", len(got), err)
	}
	_, err := wire2.ParsePayloads(wire2.TypeVendorID, wire2.AppendPayloads(nil, append(ps, wire2.VendorID{})))
	if e := wantError(t, err, wire2.TypeVendorID, wire2.InvalidSyntax); e.Offset != 4*wire2.MaxPayloads {
		t.Errorf("error %v", e)
	}
}

func TestMessageHasAtMost65535Octets(t *testing.T) {
	t.Parallel()
	fill := func(size int) []byte { // of two payloads, because one of that size cannot be
		body := make([]byte, (size-wire.HeaderLen)/2-wire.PayloadHeaderLen)
		m := wire2.Message{Header: initHeader, Payloads: []wire2.Payload{
			wire2.VendorID{Data: body}, wire2.VendorID{Data: make([]byte, size-wire.HeaderLen-2*wire.PayloadHeaderLen-len(body))}}}
		return m.Append(nil)
	}
	if _, err := wire2.Parse(fill(wire2.MaxMessage)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	_, err := wire2.Parse(fill(wire2.MaxMessage + 1))
	wantError(t, err, wire2.TypeNone, wire2.InvalidSyntax)
	_, err = wire2.ParsePayloads(wire2.TypeVendorID, fill(wire2.MaxMessage + 29)[wire.HeaderLen:])
	wantError(t, err, wire2.TypeVendorID, wire2.InvalidSyntax)
}

// allocated returns how many octets f allocates. Tests that use it are not parallel, so that nothing else allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestHostileCountsDoNotAllocate(t *testing.T) {
	// Eight thousand transforms in 63 proposals: refused at the 1025th, whatever follows.
	sa := proposals(63, 128, 0)
	many := wire2.AppendPayloads(nil, []wire2.Payload{sa})
	// One proposal that counts 255 transforms, a delete that counts 65535 SPIs, a TS payload that counts 255 selectors:
	// nothing of that is there.
	liar := func(body string) []byte { return chainOf(unhex(t, body)) }
	cases := []struct {
		name    string
		payload wire.PayloadType
		chain   []byte
		most    uint64 // octets
	}{
		{"thousands of transforms", wire2.TypeSA, many, 64<<10 + 64<<10}, // the copy of the message and as much again
		{"claimed transforms", wire2.TypeSA, liar("00 00 0010 01 01 00 ff 00000008 03000002"), 1 << 10},
		{"claimed SPIs", wire2.TypeDelete, liar("03 04 ffff 01020304"), 1 << 10},
		{"claimed selectors", wire2.TypeTSi, liar("ff 000000 07000010"), 1 << 10},
	}
	for _, c := range cases {
		var err error
		used := allocated(func() { _, err = wire2.ParsePayloads(c.payload, c.chain) })
		wantError(t, err, c.payload, wire2.InvalidSyntax)
		if used > c.most {
			t.Errorf("%s: %d octets allocated, want at most %d", c.name, used, c.most)
		}
	}
}

// What the smallest structures unfold to is bounded: the worst message needs no more than 32 octets for each of its own.
func TestDecodedMessageIsBoundedByItsSize(t *testing.T) {
	worst := map[string][]wire2.Payload{
		"selectors":  slices.Repeat([]wire2.Payload{wire2.TSi{Selectors: selectors(255)}}, 63),
		"SPIs":       slices.Repeat([]wire2.Payload{wire2.Delete{Protocol: 99, SPISize: 1, SPIs: slices.Repeat([][]byte{{1}}, 1024)}}, 63),
		"attributes": slices.Repeat([]wire2.Payload{configuration(512)}, 31),
		"transforms": slices.Repeat([]wire2.Payload{proposals(8, 16, 8)}, 12),
		"payloads":   slices.Repeat([]wire2.Payload{wire2.VendorID{}}, 128),
	}
	for name, ps := range worst {
		raw := wire2.Message{Header: initHeader, Payloads: ps}.Append(nil)
		var err error
		used := allocated(func() { _, err = wire2.Parse(raw) })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if limit := 32 * uint64(len(raw)); used > limit {
			t.Errorf("%s: %d octets for a message of %d", name, used, len(raw))
		}
	}
}

// A handshake decodes two or three messages of this kind. The copy of the message, the list and its payloads, the
// proposals, and two allocations for each proposal's transforms and attributes.
func TestParseOfIKESAInitAllocatesLittle(t *testing.T) {
	raw := unhex(t, initHex)
	if n := testing.AllocsPerRun(100, func() { _, _ = wire2.Parse(raw) }); n > 15 {
		t.Errorf("%v allocations, want at most 15", n)
	}
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { buf = initMessage.Append(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations to encode, want none", n)
	}
	for name, packet := range map[string][]byte{"short": raw[:20], "version": slices.Replace(slices.Clone(raw), 17, 18, 0x30), "length": raw[:100]} {
		if n := testing.AllocsPerRun(100, func() { _, _ = wire2.Parse(packet) }); n > 1 {
			t.Errorf("%s: %v allocations to refuse a header, want the error alone", name, n)
		}
	}
}

func BenchmarkParseIKESAInit(b *testing.B) {
	raw := unhex(b, initHex)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire2.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendIKESAInit(b *testing.B) {
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = initMessage.Append(buf[:0])
	}
}
