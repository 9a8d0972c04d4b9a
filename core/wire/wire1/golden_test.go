package wire1_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// mainHex is the first message of a main mode (RFC 2409 section 5.4), put together by hand from the figures of RFC 2408
// that are named.
var mainHex = "0102030405060708 0000000000000000 01 10 02 00 00000000 000000b0" + // figure 2, next payload SA, length 176
	"0d 00 0068 00000001 00000001" + // figures 3 and 6: SA of 104 octets, next payload VID, DOI IPsec, SIT_IDENTITY_ONLY
	"00 00 005c 01 01 00 02" + // figure 7: the last one, 92 octets, proposal 1, ISAKMP, no SPI, 2 transforms
	"03 00 0028 01 01 0000" + // figure 8: more follow, 40 octets, transform 1, KEY_IKE
	"80010007 800e0100 80020004 80030001 8004000e" + // figure 4: AES-CBC, 256 bits, SHA2-256, pre-shared key, MODP 2048
	"800b0001 000c0004 00015180" + // 86400 seconds in the variable form, as many peers send them
	"00 00 002c 02 01 0000" + // the last one, 44 octets, transform 2
	"80010005 80020002 80030003 80040002" + // 3DES-CBC, SHA, RSA signatures, MODP 1024
	"800b0001 800c7080 800b0002 000c0004 00465000" + // 28800 seconds and 4608000 kilobytes
	"0d 00 0014 4a131c81070358455c5728f20e95452f" + // figure 19: RFC 3947
	"00 00 0018 4048b7d56ebce88525e7de7f00d6c2d3 80000000" // FRAGMENTATION

var mainHeader = wire.Header{
	InitiatorSPI: 0x0102030405060708, NextPayload: wire1.TypeSA, Major: 1, Exchange: wire1.MainMode, Length: 176,
}

func tv(t, v uint16) wire1.Attribute { return wire1.Attribute{Type: t, TV: true, Value: v} }

var mainMessage = wire1.Message{
	Header: mainHeader,
	Payloads: []wire1.Payload{
		wire1.SA{DOI: wire1.DOIIPsec, Situation: wire1.SituationIdentityOnly, Proposals: []wire1.Proposal{{
			Number: 1, Protocol: wire1.ProtoISAKMP,
			Transforms: []wire1.Transform{
				{Number: 1, ID: wire1.KeyIKE, Attributes: []wire1.Attribute{
					tv(wire1.AttrEncryption, wire1.EncrAESCBC), tv(wire1.AttrKeyLength, 256), tv(wire1.AttrHash, wire1.HashSHA256),
					tv(wire1.AttrAuthMethod, uint16(wire1.AuthPSK)), tv(wire1.AttrGroup, 14),
					tv(wire1.AttrLifeType, wire1.LifeSeconds), {Type: wire1.AttrLifeDuration, Data: []byte{0, 1, 0x51, 0x80}},
				}},
				{Number: 2, ID: wire1.KeyIKE, Attributes: []wire1.Attribute{
					tv(wire1.AttrEncryption, wire1.Encr3DESCBC), tv(wire1.AttrHash, wire1.HashSHA), tv(wire1.AttrAuthMethod, uint16(wire1.AuthRSASig)),
					tv(wire1.AttrGroup, 2), tv(wire1.AttrLifeType, wire1.LifeSeconds), tv(wire1.AttrLifeDuration, 28800),
					tv(wire1.AttrLifeType, wire1.LifeKilobytes), {Type: wire1.AttrLifeDuration, Data: []byte{0, 0x46, 0x50, 0}},
				}},
			},
		}}},
		wire1.VendorNATT.ID(),
		wire1.VendorFragmentation.ID(),
	},
}

func TestMainModeIsDecodedAndEncodedAsTheFiguresSay(t *testing.T) {
	t.Parallel()
	raw := unhex(t, mainHex)
	m, err := wire1.Parse(raw)
	if err != nil || !reflect.DeepEqual(m, mainMessage) {
		t.Errorf("decoded\n%+v, %v, want\n%+v", m, err, mainMessage)
	}
	if got := mainMessage.Append([]byte{0xee}); !bytes.Equal(got, append([]byte{0xee}, raw...)) {
		t.Errorf("encoded\n%x, want\n%x", got[1:], raw)
	}
}

// An error here names an octet, so that a reader of the log can put a finger on the capture.
func TestErrorsNameOffsetPayloadAndRule(t *testing.T) {
	t.Parallel()
	raw := unhex(t, mainHex)
	raw[40] = 1 // next payload of the proposal
	_, err := wire1.Parse(raw)
	e := wantError(t, err, wire1.TypeSA, wire1.BadProposalSyntax)
	want := "wire1: at octet 40 (SA payload) this rule is broken: next payload is 2 in a proposal, 3 in a transform, 0 in the last one (RFC 2408 sections 3.5, 3.6)"
	if e.Error() != want {
		t.Errorf("error %q", e)
	}
}

// Quick mode's first message after decryption (RFC 2409 section 5.5): the hash covers the octets after the HASH payload,
// and the encoding of the decoded payloads is those octets.
func TestPayloadsAfterAHashEncodeToTheOctetsThatItCovers(t *testing.T) {
	t.Parallel()
	covered := "0a 00 0030 00000001 00000001" + // SA, next payload NONCE
		"00 00 0024 01 03 04 01 cafebabe" + // proposal 1, ESP
		"00 00 0018 01 0c 0000 80010001 80020e10 80040001 80050002" + // ESP_AES-CBC, 3600 s, tunnel, HMAC-SHA
		"05 00 0014" + strings.Repeat("4e", 16) + // nonce
		"05 00 0010 04 00 0000 0a010000 ffff0000" + // IDci: 10.1.0.0/16
		"00 00 000c 01 06 0050 0a020001" // IDcr: 10.2.0.1, TCP port 80
	plain := unhex(t, "01 00 0018"+strings.Repeat("a5", 20)+covered)
	for _, padding := range []string{"", "00", "0000000000000000", "ffeeddcc", "000000000000000000000000000000000f"} {
		ps, err := wire1.ParsePayloads(wire1.TypeHash, append(bytes.Clone(plain), unhex(t, padding)...))
		if err != nil || len(ps) != 5 {
			t.Fatalf("padding %q: %d payloads, %v", padding, len(ps), err)
		}
		if got := wire1.AppendPayloads(nil, ps[1:]); !bytes.Equal(got, unhex(t, covered)) {
			t.Errorf("padding %q: encoded %x", padding, got)
		}
	}
}
