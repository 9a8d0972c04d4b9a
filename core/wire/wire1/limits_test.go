package wire1_test

import (
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// proposals returns an SA with n proposals of k transforms with a attributes each.
func proposals(n, k, a int) wire1.SA {
	t := wire1.Transform{Number: 1, ID: 1, Attributes: slices.Repeat([]wire1.Attribute{tv(1, 7)}, a)}
	p := wire1.Proposal{Number: 1, Protocol: wire1.ProtoISAKMP, Transforms: slices.Repeat([]wire1.Transform{t}, k)}
	return wire1.SA{DOI: 1, Situation: 1, Proposals: slices.Repeat([]wire1.Proposal{p}, n)}
}

func spis(n int) wire1.Delete {
	return wire1.Delete{DOI: 1, Protocol: wire1.ProtoESP, SPISize: 4, SPIs: slices.Repeat([][]byte{{1, 2, 3, 4}}, n)}
}

func config(n int) wire1.Config {
	return wire1.Config{Kind: 2, Attributes: slices.Repeat([]wire1.Attribute{{Type: 25}}, n)}
}

func TestLimitsHoldAtTheLimitAndOneAbove(t *testing.T) {
	t.Parallel()
	full := proposals(4, 255, 0).Proposals
	cases := []struct {
		name      string
		at, above wire1.Payload
	}{
		{"proposals", proposals(wire1.MaxProposals, 1, 0), proposals(wire1.MaxProposals+1, 1, 0)},
		{"transforms of an SA", wire1.SA{DOI: 1, Situation: 1, Proposals: append(full, proposals(1, 4, 0).Proposals...)},
			wire1.SA{DOI: 1, Situation: 1, Proposals: append(full, proposals(1, 5, 0).Proposals...)}},
		{"attributes", proposals(1, 2, wire1.MaxAttributes), proposals(1, 2, wire1.MaxAttributes+1)},
		{"short nonce", wire1.Nonce{Data: make([]byte, wire1.MinNonce)}, wire1.Nonce{Data: make([]byte, wire1.MinNonce-1)}},
		{"long nonce", wire1.Nonce{Data: make([]byte, wire1.MaxEncryptedNonce)}, wire1.Nonce{Data: make([]byte, wire1.MaxEncryptedNonce+1)}},
		{"SPIs to delete", spis(wire1.MaxDeleteSPIs), spis(wire1.MaxDeleteSPIs + 1)},
		{"configuration attributes", config(wire1.MaxConfigAttributes), config(wire1.MaxConfigAttributes + 1)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			kind := c.at.Type()
			ps, err := wire1.ParsePayloads(kind, wire1.AppendPayloads(nil, []wire1.Payload{c.at}))
			if err != nil || !reflect.DeepEqual(wire1.Body(ps[0]), wire1.Body(c.at)) {
				t.Errorf("at the limit: %v", err)
			}
			_, err = wire1.ParsePayloads(kind, wire1.AppendPayloads(nil, []wire1.Payload{c.above}))
			wantError(t, err, kind, syntaxAnswer(kind))
		})
	}
}

func TestMessageHasAtMost128Payloads(t *testing.T) {
	t.Parallel()
	ps := slices.Repeat([]wire1.Payload{wire1.VendorID{}}, wire1.MaxPayloads)
	if got, err := wire1.ParsePayloads(wire1.TypeVendorID, wire1.AppendPayloads(nil, ps)); err != nil || len(got) != wire1.MaxPayloads {
		t.Errorf("at the limit: %d payloads, %v", len(got), err)
	}
	_, err := wire1.ParsePayloads(wire1.TypeVendorID, wire1.AppendPayloads(nil, append(ps, wire1.VendorID{})))
	wantError(t, err, wire1.TypeVendorID, wire1.PayloadMalformed)
}

func TestMessageHasAtMost65535Octets(t *testing.T) {
	t.Parallel()
	fill := func(size int) []byte {
		m := wire1.Message{Header: mainHeader, Cipher: make([]byte, size-wire.HeaderLen)}
		m.Header.Flags = wire1.FlagEncryption
		return m.Append(nil)
	}
	if _, err := wire1.Parse(fill(wire1.MaxMessage)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	_, err := wire1.Parse(fill(wire1.MaxMessage + 1))
	wantError(t, err, wire1.TypeNone, wire1.UnequalPayloadLengths)
	_, err = wire1.ParsePayloads(wire1.TypeVendorID, make([]byte, wire1.MaxMessage+1))
	wantError(t, err, wire1.TypeVendorID, wire1.UnequalPayloadLengths)
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
	liar := func(body string) []byte { return chainOf(unhex(t, body)) }
	cases := []struct {
		name    string
		payload wire.PayloadType
		chain   []byte
	}{
		{"claimed transforms", wire1.TypeSA, liar("00000001 00000001 00 00 0010 01 01 00 ff 00000008 01010000")},
		{"claimed SPIs", wire1.TypeDelete, liar("00000001 03 04 ffff 01020304")},
		{"claimed attribute", wire1.TypeConfig, liar("01 00 0000 0001ffff")},
	}
	for _, c := range cases {
		var err error
		used := allocated(func() { _, err = wire1.ParsePayloads(c.payload, c.chain) })
		wantError(t, err, c.payload, syntaxAnswer(c.payload))
		if used > 2<<10 { // the error and the copy
			t.Errorf("%s: %d octets allocated, want at most 2048", c.name, used)
		}
	}
}

// What the smallest structures unfold to is bounded: the worst message needs no more than 40 octets for each of its own.
func TestDecodedMessageIsBoundedByItsSize(t *testing.T) {
	worst := map[string][]wire1.Payload{
		"SPIs":       slices.Repeat([]wire1.Payload{wire1.Delete{DOI: 1, Protocol: 99, SPISize: 1, SPIs: slices.Repeat([][]byte{{1}}, 1024)}}, 60),
		"attributes": slices.Repeat([]wire1.Payload{config(512)}, 31),
		"transforms": slices.Repeat([]wire1.Payload{proposals(4, 20, 32)}, 5),
		"payloads":   slices.Repeat([]wire1.Payload{wire1.VendorID{}}, 128),
	}
	for name, ps := range worst {
		raw := wire1.Message{Header: mainHeader, Payloads: ps}.Append(nil)
		var err error
		used := allocated(func() { _, err = wire1.Parse(raw) })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if limit := 40 * uint64(len(raw)); used > limit {
			t.Errorf("%s: %d octets for a message of %d", name, used, len(raw))
		}
	}
}

// The copy of the message, the list and its three payloads, one proposal, its transforms and their attributes.
func TestParseOfAFirstMessageAllocatesLittle(t *testing.T) {
	raw := unhex(t, mainHex)
	if n := testing.AllocsPerRun(100, func() { _, _ = wire1.Parse(raw) }); n > 9 {
		t.Errorf("%v allocations, want at most 9", n)
	}
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() { buf = mainMessage.Append(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations to encode, want none", n)
	}
	for name, packet := range map[string][]byte{"short": raw[:20], "version": slices.Replace(slices.Clone(raw), 17, 18, 0x30), "length": raw[:100]} {
		if n := testing.AllocsPerRun(100, func() { _, _ = wire1.Parse(packet) }); n > 1 {
			t.Errorf("%s: %v allocations to refuse a header, want the error alone", name, n)
		}
	}
}

func BenchmarkParseMainMode(b *testing.B) {
	raw := unhex(b, mainHex)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire1.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
