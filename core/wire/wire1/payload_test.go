package wire1_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/parley-ike/parley/core/wire/wire1"
)

// sample is a payload in both forms. Of the prefixes of its body those shorter than free fail and the others are valid:
// such a payload ends in a field that takes what is left. A payload whose counts and lengths must agree has a free of
// all its octets, with exceptions in cuts.
type sample struct {
	name    string
	payload wire1.Payload
	body    string
	free    int
	cuts    []int
}

var samples = []sample{
	{"SA with ESP and IPCOMP taken together", wire1.SA{DOI: 1, Situation: 1, Proposals: []wire1.Proposal{
		{Number: 1, Protocol: wire1.ProtoESP, SPI: []byte{5, 0x23, 0x57, 0xbb}, Transforms: []wire1.Transform{
			{Number: 1, ID: wire1.ESPAESGCM16, Attributes: []wire1.Attribute{tv(6, 128), tv(4, 1)}}}},
		{Number: 1, Protocol: wire1.ProtoIPCOMP, SPI: []byte{1, 2}, Transforms: []wire1.Transform{{Number: 1, ID: 2}, {Number: 2, ID: 3}}},
	}}, "00000001 00000001" +
		"02 00 001c 01 03 04 01 052357bb 00 00 0010 01 14 0000 80060080 80040001" +
		"00 00 001a 01 04 02 02 0102 03 00 0008 01 02 0000 00 00 0008 02 03 0000", 62, nil},
	{"SA with an SPI of ISAKMP, an unknown protocol and odd attributes", wire1.SA{DOI: 1, Situation: 1, Proposals: []wire1.Proposal{
		{Number: 9, Protocol: wire1.ProtoISAKMP, SPI: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Transforms: []wire1.Transform{{Number: 3, ID: 200, Attributes: []wire1.Attribute{
			{Type: 0x7ffe, Data: []byte{0xaa, 0xbb, 0xcc}}, tv(0x1234, 0xffff), {Type: 1}}}}},
		{Number: 10, Protocol: 99, SPI: []byte{9}, Transforms: []wire1.Transform{{Number: 255, ID: 1}}},
	}}, "00000001 00000001" +
		"02 00 0027 09 01 08 01 0102030405060708 00 00 0017 03 c8 0000 7ffe0003aabbcc 9234ffff 00010000" +
		"00 00 0011 0a 63 01 01 09 00 00 0008 ff 01 0000", 64, nil},
	{"SA of another DOI", wire1.SA{DOI: 2, Opaque: []byte{1, 2, 3}}, "00000002 010203", 4, nil},
	{"SA with labels", wire1.SA{DOI: 1, Situation: 7, Opaque: []byte{0, 0, 0, 1, 0}}, "00000001 00000007 0000000100", 8, nil},
	{"KE", wire1.KE{Data: []byte{1, 2, 3}}, "010203", 0, nil},
	{"ID", wire1.ID{IDType: wire1.IDFQDN, Protocol: 17, Port: 500, Data: []byte("a.b")}, "02 11 01f4 612e62", 4, nil},
	{"CERT", wire1.Cert{Encoding: wire1.CertX509Signature, Data: []byte{0x30, 0}}, "04 3000", 1, nil},
	{"CR for any authority", wire1.CertReq{Encoding: wire1.CertX509Signature}, "04", 1, nil},
	{"HASH", wire1.Hash{Data: []byte{1, 2}}, "0102", 0, nil},
	{"SIG", wire1.Sig{Data: []byte{1, 2}}, "0102", 0, nil},
	{"NONCE", wire1.Nonce{Data: bytes.Repeat([]byte{0x5a}, 10)}, "5a5a5a5a5a5a5a5a5a5a", 8, nil},
	{"N of RESPONDER-LIFETIME", wire1.Notify{DOI: 1, Protocol: wire1.ProtoESP, SPI: []byte{1, 2, 3, 4}, Kind: wire1.ResponderLifetime,
		Data: []byte{0x80, 1, 0, 1, 0x80, 2, 0x0e, 0x10}}, "00000001 03 04 6000 01020304 80010001 80020e10", 12, nil},
	{"N of unknown type and DOI", wire1.Notify{Kind: 0x9fff}, "00000000 00 00 9fff", 8, nil},
	{"D of the ISAKMP SA", wire1.Delete{DOI: 1, Protocol: wire1.ProtoISAKMP, SPISize: 16, SPIs: [][]byte{wire1.CookieSPI(1, 2)}},
		"00000001 01 10 0001 0000000000000001 0000000000000002", 24, nil},
	{"D of two IPsec SAs", wire1.Delete{DOI: 1, Protocol: wire1.ProtoESP, SPISize: 4, SPIs: [][]byte{{1, 2, 3, 4}, {5, 6, 7, 8}}},
		"00000001 03 04 0002 01020304 05060708", 16, nil},
	{"D of nothing", wire1.Delete{DOI: 1, Protocol: wire1.ProtoAH, SPISize: 4}, "00000001 02 04 0000", 8, nil},
	{"D of an unknown protocol", wire1.Delete{DOI: 1, Protocol: 77, SPISize: 2, SPIs: [][]byte{{1, 2}}}, "00000001 4d 02 0001 0102", 10, nil},
	{"VID", wire1.VendorID{Data: []byte("parley")}, "7061726c6579", 0, nil},
	{"ATTR", wire1.Config{Kind: wire1.ConfigReply, Identifier: 0x1234, Attributes: []wire1.Attribute{
		{Type: wire1.InternalIP4Address, Data: []byte{10, 0, 0, 1}}, tv(wire1.XAuthStatus, 1), {Type: wire1.InternalIP4DNS}}},
		"02 00 1234 00010004 0a000001 c08f0001 00030000", 20, []int{4, 12, 16}},
	{"NAT-D", wire1.NATD{Hash: []byte{1, 2}}, "0102", 0, nil},
	{"NAT-D of the drafts", wire1.NATD{Draft: true, Hash: []byte{1, 2}}, "0102", 0, nil},
	{"NAT-OA", wire1.NATOA{IDType: wire1.IDIPv4Addr, Data: []byte{192, 0, 2, 1}}, "01 000000 c0000201", 8, nil},
	{"NAT-OA of the drafts", wire1.NATOA{Draft: true, IDType: wire1.IDIPv6Addr, Data: make([]byte, 16)}, "05 000000 00000000000000000000000000000000", 20, nil},
	{"FRAGMENT", wire1.Fragment{ID: 1, Number: 2, Last: true, Data: []byte{7, 8}}, "0001 02 01 0708", 5, nil},
	{"unknown", wire1.Unknown{Number: 200, Body: []byte{9}}, "09", 0, nil},
}

func TestPayloadsAreDecodedAndEncoded(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			body := unhex(t, s.body)
			p, err := parseBody(s.payload.Type(), body)
			if err != nil || !reflect.DeepEqual(p, s.payload) {
				t.Errorf("decoded %+v, %v, want %+v", p, err, s.payload)
			}
			if got := wire1.Body(s.payload); !bytes.Equal(got, body) {
				t.Errorf("encoded %x, want %x", got, body)
			}
		})
	}
}

func TestPrefixesOfPayloadsFailOrAreShorterPayloads(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		body := unhex(t, s.body)
		for n := range body {
			p, err := parseBody(s.payload.Type(), body[:n])
			switch valid := n >= s.free || slices.Contains(s.cuts, n); {
			case valid != (err == nil):
				t.Errorf("%s: %d of %d octets: %v", s.name, n, len(body), err)
			case valid && !bytes.Equal(wire1.Body(p), body[:n]):
				t.Errorf("%s: %d octets become %x", s.name, n, wire1.Body(p))
			}
		}
	}
}

// RFC2408-2.5.2-2, 5.3-2: RESERVED fields that are not zero are refused, wherever they are.
func TestReservedFieldsAreZero(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]int{"generic header": 29, "proposal": 41, "transform": 49, "RESERVED2": 54, "RESERVED2, second octet": 55} {
		raw := unhex(t, mainHex)
		raw[at] = 0x80
		_, err := wire1.Parse(raw)
		notify := wire1.BadProposalSyntax
		if at == 29 {
			notify = wire1.PayloadMalformed
		}
		if e := wantError(t, err, wire1.TypeSA, notify); e.Offset != at && e.Offset != 54 {
			t.Errorf("%s: %v", name, e)
		}
	}
	_, err := parseBody(wire1.TypeConfig, []byte{1, 1, 0, 0})
	wantError(t, err, wire1.TypeConfig, wire1.PayloadMalformed)
	_, err = parseBody(wire1.TypeNATOA, []byte{1, 0, 0, 1, 192, 0, 2, 1})
	wantError(t, err, wire1.TypeNATOA, wire1.PayloadMalformed)
}

func TestMalformedPayloadsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		payload wire1.Payload
		body    string
	}{
		"RFC2408-3.5-1: a proposal announces a transform": {wire1.SA{}, "00000001 00000001 03 00 0010 01 01 00 01 00 00 0008 01 01 0000"},
		"RFC2408-3.6-1: a transform announces a proposal": {wire1.SA{}, "00000001 00000001 00 00 0010 01 01 00 01 02 00 0008 01 01 0000"},
		"a proposal without transforms":                   {wire1.SA{}, "00000001 00000001 00 00 0008 01 01 00 00"},
		"fewer transforms than counted":                   {wire1.SA{}, "00000001 00000001 00 00 0010 01 01 00 02 00 00 0008 01 01 0000"},
		"more transforms than counted":                    {wire1.SA{}, "00000001 00000001 00 00 0018 01 01 00 01 03 00 0008 01 01 0000 00 00 0008 02 01 0000"},
		"an ESP SPI of 8 octets":                          {wire1.SA{}, "00000001 00000001 00 00 0018 01 03 08 01 0102030405060708 00 00 0008 01 0c 0000"},
		"an ISAKMP SPI of 17 octets":                      {wire1.SA{}, "00000001 00000001 00 00 0021 01 01 11 01 0102030405060708090a0b0c0d0e0f1011 00 00 0008 01 01 0000"},
		"a transform of 7 octets":                         {wire1.SA{}, "00000001 00000001 00 00 000f 01 01 00 01 00 00 0007 01 01 00"},
		"a proposal longer than its payload":              {wire1.SA{}, "00000001 00000001 00 00 0011 01 01 00 01 00 00 0008 01 01 0000"},
		"octets after the last proposal":                  {wire1.SA{}, "00000001 00000001 00 00 0010 01 01 00 01 00 00 0008 01 01 0000 00"},
		"an attribute longer than its transform":          {wire1.SA{}, "00000001 00000001 00 00 0014 01 01 00 01 00 00 000c 01 01 0000 000c0001"},
		"an ISAKMP delete with an SPI of 8 octets":        {wire1.Delete{}, "00000001 01 08 0001 0000000000000001"},
		"an ESP delete with an SPI of 16 octets":          {wire1.Delete{}, "00000001 03 10 0001 00000000000000010000000000000001"},
		"more SPIs counted than there are":                {wire1.Delete{}, "00000001 03 04 0002 01020304"},
		"SPIs of no octets":                               {wire1.Delete{}, "00000001 09 00 0002"},
		"a short IPv4 original address":                   {wire1.NATOA{}, "01 000000 c00002"},
		"fragment 0":                                      {wire1.Fragment{}, "0001 00 00 01"},
		"an empty fragment":                               {wire1.Fragment{}, "0001 01 00"},
		"a fragment with a flag of no meaning":            {wire1.Fragment{}, "0001 01 02 01"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseBody(c.payload.Type(), unhex(t, c.body))
			wantError(t, err, c.payload.Type(), syntaxAnswer(c.payload.Type()))
		})
	}
}

func TestANonceInClearHas8To256Octets(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{7: false, 8: true, 256: true, 257: false} {
		if (wire1.Nonce{Data: make([]byte, n)}).Plain() != want {
			t.Errorf("%d octets: not %v", n, want)
		}
	}
}

func TestTheBodyOfAnIDIsDecodedByItself(t *testing.T) {
	t.Parallel()
	body := unhex(t, "01 11 01f4 0a000302")
	id, err := wire1.ParseID(body)
	if err != nil || !bytes.Equal(wire1.Body(id), body) || id.IDType != wire1.IDIPv4Addr {
		t.Errorf("%+v, %v", id, err)
	}
	for n := range 4 {
		if _, err := wire1.ParseID(body[:n]); err == nil {
			t.Errorf("%d octets are an identity", n)
		}
	}
}
