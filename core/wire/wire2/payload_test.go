package wire2_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// sample is a payload in both forms. Of the prefixes of its body those shorter than free fail and the others are valid:
// such a payload ends in a field that takes what is left. A payload whose counts and lengths must agree has a free of
// all its octets, with exceptions in cuts.
type sample struct {
	name    string
	payload wire2.Payload
	body    string
	free    int
	cuts    []int
}

var aes128 = wire2.Transform{Type: wire2.TransformENCR, ID: 12, Attributes: []wire2.Attribute{{Type: wire2.AttrKeyLength, TV: true, Value: 128}}}

var samples = []sample{
	{"SA with an ESP proposal", wire2.SA{Proposals: []wire2.Proposal{{
		Number: 1, Protocol: wire2.ProtoESP, SPI: []byte{5, 0x23, 0x57, 0xbb},
		Transforms: []wire2.Transform{aes128, {Type: wire2.TransformINTEG, ID: 2}, {Type: wire2.TransformESN}},
	}}},
		"00 00 0028 01 03 04 03 052357bb" + // proposal 1, ESP, SPI of 4 octets, 3 transforms
			"03 00 000c 01 00 000c 800e0080" + // ENCR_AES_CBC, key length 128
			"03 00 0008 03 00 0002" + // AUTH_HMAC_SHA1_96
			"00 00 0008 05 00 0000", // no extended sequence numbers
		40, nil},
	{"SA with two IKE proposals, unknown numbers and attributes", wire2.SA{Proposals: []wire2.Proposal{
		{Number: 3, Protocol: wire2.ProtoIKE, SPI: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Transforms: []wire2.Transform{
			{Type: 200, ID: 0xfffe, Attributes: []wire2.Attribute{
				{Type: 0x7ffe, Data: []byte{0xaa, 0xbb, 0xcc}}, {Type: 0x1234, TV: true, Value: 0xffff}, {Type: 1}}},
		}},
		{Number: 4, Protocol: 99, SPI: []byte{9}, Transforms: []wire2.Transform{{Type: wire2.TransformKE, ID: 31}}},
	}},
		"02 00 0027 03 01 08 01 0102030405060708" +
			"00 00 0017 c8 00 fffe 7ffe0003aabbcc 9234ffff 00010000" +
			"00 00 0011 04 63 01 01 09" +
			"00 00 0008 04 00 001f",
		56, nil},
	{"KE", wire2.KE{Method: 31, Data: []byte{1, 2, 3}}, "001f 0000 010203", 4, nil},
	{"IDi keeps its RESERVED octets", wire2.IDi{IDType: wire2.IDFQDN, Reserved: [3]byte{1, 2, 3}, Data: []byte("a.b")}, "02 010203 612e62", 4, nil},
	{"IDr without data", wire2.IDr{IDType: wire2.IDNull}, "0d 000000", 4, nil},
	{"CERT", wire2.Cert{Encoding: 4, Data: []byte{0x30, 0}}, "04 3000", 1, nil},
	{"CERTREQ", wire2.CertReq{Encoding: 4, Authorities: bytes.Repeat([]byte{7}, 20)}, "04 0707070707070707070707070707070707070707", 1, nil},
	{"AUTH keeps its RESERVED octets", wire2.Auth{Method: wire2.AuthSharedKeyMIC, Reserved: [3]byte{4, 5, 6}, Data: []byte{8}}, "02 040506 08", 4, nil},
	{"NONCE", wire2.Nonce{Data: bytes.Repeat([]byte{0x5a}, 18)}, "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a", 16, nil},
	{"N without SPI and data", wire2.Notify{Kind: wire2.InitialContact}, "00 00 4000", 4, nil},
	{"N of unknown type", wire2.Notify{Protocol: wire2.ProtoESP, SPI: []byte{1, 2, 3, 4}, Kind: 0x9fff, Data: []byte{9, 9}}, "03 04 9fff 01020304 0909", 8, nil},
	{"D of the IKE SA", wire2.Delete{Protocol: wire2.ProtoIKE}, "01 00 0000", 4, nil},
	{"D of two child SAs", wire2.Delete{Protocol: wire2.ProtoESP, SPISize: 4, SPIs: [][]byte{{1, 2, 3, 4}, {5, 6, 7, 8}}}, "03 04 0002 01020304 05060708", 12, nil},
	{"D of an unknown protocol", wire2.Delete{Protocol: 77, SPISize: 2, SPIs: [][]byte{{1, 2}}}, "4d 02 0001 0102", 6, nil},
	{"V", wire2.VendorID{Data: []byte("parley")}, "7061726c6579", 0, nil},
	{"TSi with IPv4 and unknown selectors", wire2.TSi{Selectors: []wire2.TrafficSelector{
		{Type: wire2.TSIPv4AddrRange, Protocol: 17, StartPort: 100, EndPort: 200, StartAddr: []byte{198, 51, 100, 0}, EndAddr: []byte{198, 51, 100, 66}},
		{Type: 10, Protocol: 5, Unknown: []byte("label")},
		{Type: 200},
	}}, "03 000000 07 11 0010 0064 00c8 c6336400 c6336442 0a 05 0009 6c6162656c c8 00 0004", 33, nil},
	{"TSr with IPv6, opaque ports", wire2.TSr{Selectors: []wire2.TrafficSelector{
		{Type: wire2.TSIPv6AddrRange, StartPort: 65535, StartAddr: make([]byte, 16), EndAddr: bytes.Repeat([]byte{255}, 16)},
	}}, "01 000000 08 00 0028 ffff 0000 00000000000000000000000000000000 ffffffffffffffffffffffffffffffff", 44, nil},
	{"SK", wire2.SK{First: wire2.TypeIDi, Body: []byte{1, 2, 3}}, "010203", 0, nil},
	{"SKF", wire2.SKF{First: wire2.TypeIDi, Number: 1, Total: 2, Body: []byte{4}}, "0001 0002 04", 4, nil},
	{"CP with unknown attribute and R bit", wire2.CP{Kind: 1, Attributes: []wire2.CPAttribute{
		{Type: 1}, {Reserved: true, Type: 0x7ff0, Value: []byte{1, 2}},
	}}, "01 000000 0001 0000 fff0 0002 0102", 14, []int{4, 8}},
	{"EAP", wire2.EAP{Message: []byte{1, 7, 0, 5, 1}}, "01 07 0005 01", 5, nil},
	{"unknown payload", wire2.Unknown{Number: 200, Body: []byte{1}}, "01", 0, nil},
	{"payload of IKEv1", wire2.Unknown{Number: 13, Body: []byte{1}}, "01", 0, nil},
}

func TestPayloadsHaveTheirFormOnTheWire(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			body := unhex(t, s.body)
			if got := wire2.Body(s.payload); !bytes.Equal(got, body) {
				t.Errorf("encoded\n%x, want\n%x", got, body)
			}
			got, err := parseBody(s.payload.Type(), body)
			if err != nil || !reflect.DeepEqual(got, s.payload) {
				t.Errorf("decoded %+v, %v, want %+v", got, err, s.payload)
			}
		})
	}
}

func TestEveryPrefixOfAPayloadFailsOrEndsInAShorterField(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			body := unhex(t, s.body)
			for n := range body {
				p, err := parseBody(s.payload.Type(), body[:n])
				if valid := n >= s.free || slices.Contains(s.cuts, n); !valid {
					wantError(t, err, s.payload.Type(), syntaxAnswer(s.payload))
				} else if err != nil || !bytes.Equal(wire2.Body(p), body[:n]) {
					t.Errorf("%d octets: %+v, %v", n, p, err)
				}
			}
		})
	}
}

// syntaxAnswer returns what a malformed payload is answered with: nothing for a fragment (RFC7383-2.6-1).
func syntaxAnswer(p wire2.Payload) wire2.NotifyType {
	if p.Type() == wire2.TypeSKF {
		return 0
	}
	return wire2.InvalidSyntax
}

func TestOctetsAfterAPayloadsLastFieldAreRefused(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		body := unhex(t, s.body)
		if s.free < len(body) {
			continue // its last field takes them
		}
		switch s.payload.(type) {
		case wire2.IDr, wire2.Notify, wire2.CP:
			continue // likewise, though the sample's is empty; or they may be further attributes
		}
		for _, extra := range []int{1, 4, 8} {
			if p, err := parseBody(s.payload.Type(), append(bytes.Clone(body), make([]byte, extra)...)); err == nil {
				t.Errorf("%s: %d more octets give %+v", s.name, extra, p)
			}
		}
	}
}

// RFC7296-2.5-7, 3.2-5, 3.3.1-1, 3.3.2-1, 3.13-1, 3.15-1: RESERVED fields are ignored on receipt and sent as zero.
func TestReservedFieldsAreIgnoredAndSentAsZero(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name       string
		payload    wire.PayloadType
		dirty, out string
	}{
		{"proposal and transform", wire2.TypeSA,
			"00 ff 0010 01 01 00 01 00 ff 0008 02 ff 0005",
			"00 00 0010 01 01 00 01 00 00 0008 02 00 0005"},
		{"KE", wire2.TypeKE, "001f ffff 01", "001f 0000 01"},
		{"TS", wire2.TypeTSi, "01 ffffff c8 00 0004", "01 000000 c8 00 0004"},
		{"CP", wire2.TypeCP, "01 ffffff", "01 000000"},
	}
	for _, c := range cases {
		p, err := parseBody(c.payload, unhex(t, c.dirty))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := wire2.Body(p); !bytes.Equal(got, unhex(t, c.out)) {
			t.Errorf("%s: sent %x", c.name, got)
		}
	}
}

// RFC7296-3.2-2, 3.2-3: the critical bit of a known payload is ignored and never sent; that of an unknown one is kept.
// The RESERVED bits beside it are dropped (RFC7296-3.2-5).
func TestCriticalBitIsKeptForUnknownPayloadsOnly(t *testing.T) {
	t.Parallel()
	in := unhex(t, "c8 ff 0006 0102"+"c9 ff 0005 09"+"00 7f 0005 0a")
	ps, err := wire2.ParsePayloads(wire2.TypeVendorID, in)
	want := []wire2.Payload{
		wire2.VendorID{Data: []byte{1, 2}}, wire2.Unknown{Number: 200, Critical: true, Body: []byte{9}}, wire2.Unknown{Number: 201, Body: []byte{10}},
	}
	if err != nil || !reflect.DeepEqual(ps, want) {
		t.Fatalf("decoded %+v, %v", ps, err)
	}
	if got := wire2.AppendPayloads(nil, ps); !bytes.Equal(got, unhex(t, "c8 00 0006 0102"+"c9 80 0005 09"+"00 00 0005 0a")) {
		t.Errorf("sent %x", got)
	}
}

func TestMalformedPayloadsAreRefusedWithTheirRule(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		payload wire.PayloadType
		body    string
		offset  int // in the body
	}{
		// RFC7296-3.3-2: lengths and counts agree.
		{"no proposal", wire2.TypeSA, "", 0},
		{"last substruc 1 before a proposal", wire2.TypeSA, "01 00 0010 01 01 00 01 00000008 03000002", 0},
		{"last substruc 2 without another proposal", wire2.TypeSA, "02 00 0010 01 01 00 01 00000008 03000002", 16},
		{"last substruc 0 before another proposal", wire2.TypeSA, "00 00 0010 01 01 00 01 00000008 03000002 00", 16},
		{"proposal length below its header", wire2.TypeSA, "00 00 0003 01 01 00 01 00000008 03000002", 4},
		{"proposal length beyond the payload", wire2.TypeSA, "00 00 0011 01 01 00 01 00000008 03000002", 4},
		{"ESP proposal without SPI", wire2.TypeSA, "00 00 0010 01 03 00 01 00000008 03000002", 6},
		{"IKE proposal with an SPI of 4 octets", wire2.TypeSA, "00 00 0014 01 01 04 01 01020304 00000008 03000002", 6},
		{"no transforms", wire2.TypeSA, "00 00 0008 01 01 00 00", 8},
		{"fewer transforms than counted", wire2.TypeSA, "00 00 0010 01 01 00 02 00000008 03000002", 8},
		{"more transforms than counted", wire2.TypeSA, "00 00 0018 01 01 00 01 03000008 03000002 00000008 03000002", 8},
		{"last substruc 2 before a transform", wire2.TypeSA, "00 00 0018 01 01 00 02 02000008 03000002 00000008 03000002", 8},
		{"last substruc 0 before another transform", wire2.TypeSA, "00 00 0018 01 01 00 02 00000008 03000002 00000008 03000002", 8},
		{"last substruc 3 on the last transform", wire2.TypeSA, "00 00 0010 01 01 00 01 03000008 03000002", 8},
		{"transform length below its header", wire2.TypeSA, "00 00 0010 01 01 00 01 00000007 03000002", 14},
		{"transform length beyond the proposal", wire2.TypeSA, "00 00 0010 01 01 00 01 00000009 03000002", 12},
		{"transform that reaches into the next proposal", wire2.TypeSA, "02 00 0010 01 01 00 01 00000009 03000002 00 00 0010 02 01 00 01 00000008 03000002", 12},
		{"octets after the last transform", wire2.TypeSA, "00 00 0011 01 01 00 01 00000008 03000002 ff", 16},
		{"attribute length beyond the transform", wire2.TypeSA, "00 00 0014 01 01 00 01 0000000c 0100000c 000e0001", 20},
		{"attribute of 3 octets", wire2.TypeSA, "00 00 0013 01 01 00 01 0000000b 0100000c 800e00", 18},
		// RFC7296-3.9-1.
		{"nonce of 15 octets", wire2.TypeNonce, "010203040506070809101112131415", 0},
		{"notify with an SPI beyond its end", wire2.TypeNotify, "03 05 4009 01020304", 4},
		// RFC7296-3.11-3.
		{"delete of IKE with SPIs", wire2.TypeDelete, "01 08 0001 0102030405060708", 1},
		{"delete of ESP with an SPI of 8 octets", wire2.TypeDelete, "03 08 0001 0102030405060708", 1},
		{"delete of IKE with a count", wire2.TypeDelete, "01 00 0001", 2},
		{"delete of many SPIs without octets", wire2.TypeDelete, "63 00 03ff", 2},
		{"delete with fewer SPIs than counted", wire2.TypeDelete, "03 04 0002 01020304", 2},
		{"delete with more SPIs than counted", wire2.TypeDelete, "03 04 0001 01020304 05060708", 2},
		{"no selectors", wire2.TypeTSi, "00 000000", 0},
		{"fewer selectors than counted", wire2.TypeTSr, "02 000000 c8000004", 0},
		{"more selectors than counted", wire2.TypeTSr, "01 000000 c8000004 c8000004", 8},
		{"selector length below its header", wire2.TypeTSi, "01 000000 c8000003", 8},
		{"IPv4 selector of 15 octets", wire2.TypeTSi, "01 000000 0700000f 0000ffff 01020304 010203", 16},
		{"IPv4 selector of 17 octets", wire2.TypeTSi, "01 000000 07000011 0000ffff 01020304 01020304 ff", 20},
		{"IPv6 selector with IPv4 addresses", wire2.TypeTSi, "01 000000 08000010 0000ffff 01020304 01020304", 12},
		// RFC7383-2.5-4, 2.5-5.
		{"fragment 0", wire2.TypeSKF, "0000 0001", 0},
		{"fragment 0 of 0", wire2.TypeSKF, "0000 0000", 0},
		{"fragment 3 of 2", wire2.TypeSKF, "0003 0002", 0},
		{"configuration attribute beyond the payload", wire2.TypeCP, "01 000000 0001 0004 010203", 8},
		// RFC7296-3.16-2.
		{"EAP without header", wire2.TypeEAP, "010700", 0},
		{"EAP longer than it says", wire2.TypeEAP, "01070005 01 ff", 0},
		{"EAP shorter than it says", wire2.TypeEAP, "01070006 01", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			notify, base := wire2.InvalidSyntax, wire.PayloadHeaderLen
			if c.payload == wire2.TypeSKF {
				notify, base = 0, base+wire.HeaderLen
			}
			_, err := parseBody(c.payload, unhex(t, c.body))
			if e := wantError(t, err, c.payload, notify); e.Offset != base+c.offset {
				t.Errorf("error %v, want it at octet %d of the body", e, c.offset)
			}
		})
	}
}

// Proposal numbers are the policy's business: macOS 14 starts the SA of an IKE rekey at 3.
func TestProposalNumbersNeedNotStartAtOne(t *testing.T) {
	t.Parallel()
	p, err := parseBody(wire2.TypeSA, unhex(t, "02 00 0010 03 01 00 01 00000008 02000005 00 00 0010 09 01 00 01 00000008 02000005"))
	if err != nil {
		t.Fatal(err)
	}
	if ps := p.(wire2.SA).Proposals; len(ps) != 2 || ps[0].Number != 3 || ps[1].Number != 9 {
		t.Errorf("proposals %+v", ps)
	}
}

func TestDeleteTakesItsSPISizeFromTheSPIs(t *testing.T) {
	t.Parallel()
	d := wire2.Delete{Protocol: wire2.ProtoESP, SPIs: [][]byte{{1, 2, 3, 4}}}
	if got := wire2.Body(d); !bytes.Equal(got, unhex(t, "03 04 0001 01020304")) {
		t.Errorf("sent %x", got)
	}
}
