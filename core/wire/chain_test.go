package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/parley-ike/parley/core/wire"
)

// chainHex is two payloads after figure 5 of RFC 7296 section 3.2: type 43 with a body of 3 octets, then a critical one
// of type 200 whose RESERVED bits are set and that has no body.
const chainHex = "c8000007aabbcc" + "00ff0004"

func TestChainYieldsEachPayload(t *testing.T) {
	t.Parallel()
	c := wire.NewChain(43, unhex(t, chainHex), wire.HeaderLen)
	p, ok := c.Next()
	if !ok || p.Type != 43 || p.Next != 200 || p.Critical || p.Offset != 28 || !bytes.Equal(p.Body, []byte{0xaa, 0xbb, 0xcc}) {
		t.Errorf("first payload %+v, %v", p, ok)
	}
	if cap(p.Body) != 3 {
		t.Errorf("the body's capacity %d reaches the next payload", cap(p.Body))
	}
	p, ok = c.Next()
	if !ok || p.Type != 200 || p.Next != 0 || !p.Critical || p.Offset != 35 || len(p.Body) != 0 {
		t.Errorf("second payload %+v, %v", p, ok)
	}
	if _, ok = c.Next(); ok || c.Finish() != nil || c.Current() != 200 {
		t.Errorf("end: %v, %v, current %d", ok, c.Finish(), c.Current())
	}
}

func drain(first wire.PayloadType, b []byte) (n int, err error) {
	c := wire.NewChain(first, b, 0)
	for _, ok := c.Next(); ok; _, ok = c.Next() {
		n++
	}
	return n, c.Finish()
}

func TestEveryPrefixOfAChainFails(t *testing.T) {
	t.Parallel()
	raw := unhex(t, chainHex)
	for n := range raw {
		var syntax *wire.SyntaxError
		if _, err := drain(43, raw[:n]); !errors.As(err, &syntax) {
			t.Errorf("%d octets: error %v", n, err)
		}
	}
}

func TestChainRefusesWrongLengths(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		first  wire.PayloadType
		raw    string
		offset int
	}{
		"payload length 0":             {43, "00000000", 2},
		"payload length 3":             {43, "00000003", 2},
		"payload longer than its data": {43, "0000000501"[:8], 4},
		"octets after the last":        {43, "00000004ff", 4},
		"octets after no payload":      {0, "ff", 0},
		"a payload announced, none":    {43, "21000004", 4},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := drain(c.first, unhex(t, c.raw))
			var syntax *wire.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset != c.offset {
				t.Errorf("error %v, want one at octet %d", err, c.offset)
			}
		})
	}
}

func TestEmptyChainIsValid(t *testing.T) {
	t.Parallel()
	if n, err := drain(0, nil); n != 0 || err != nil {
		t.Errorf("%d payloads, %v", n, err)
	}
}

// An Encrypted payload announces the first payload inside, not one behind it (RFC 7296 section 3.14).
func TestStoppedChainExpectsNothingMore(t *testing.T) {
	t.Parallel()
	c := wire.NewChain(46, unhex(t, "23000006abcd"), 0)
	p, _ := c.Next()
	c.Stop()
	if _, ok := c.Next(); ok || c.Finish() != nil || p.Next != 35 {
		t.Errorf("more payloads: %v, %v, next %d", ok, c.Finish(), p.Next)
	}
}

// RFC 2409 appendix B: an encrypted IKEv1 message is padded after its last payload.
func TestRestIsWhatFollowsTheChain(t *testing.T) {
	t.Parallel()
	c := wire.NewChain(8, unhex(t, "00000005ff000000"), 0)
	c.Next()
	if rest := c.Rest(); len(rest) != 3 || c.Finish() != nil {
		t.Errorf("rest %x, %v", rest, c.Finish())
	}
}

func FuzzChain(f *testing.F) {
	f.Add(uint8(43), unhex(f, chainHex))
	f.Add(uint8(46), unhex(f, "23000006abcd"))
	f.Add(uint8(0), []byte{})
	f.Fuzz(func(t *testing.T, first uint8, b []byte) {
		size := 0
		c := wire.NewChain(wire.PayloadType(first), b, 0)
		for p, ok := c.Next(); ok; p, ok = c.Next() {
			if p.Offset != size {
				t.Fatalf("payload at octet %d, want %d", p.Offset, size)
			}
			size += wire.PayloadHeaderLen + len(p.Body)
		}
		if c.Finish() == nil && size != len(b) {
			t.Fatalf("payloads cover %d of %d octets and nothing failed", size, len(b))
		}
	})
}

func BenchmarkParseHeader(b *testing.B) {
	raw := unhex(b, headerHex)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.ParseHeader(raw); err != nil {
			b.Fatal(err)
		}
	}
}
