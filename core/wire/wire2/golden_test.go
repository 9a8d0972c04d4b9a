package wire2_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// initHex is an IKE_SA_INIT request (RFC 7296 section 1.2), put together by hand from the figures that are named.
var initHex = "0102030405060708 0000000000000000 21 20 22 08 00000000 00000118" + // figure 4, next payload SA, length 280
	"22 00 0054" + // figure 5: SA of 84 octets, next payload KE
	"02 00 0024 01 01 00 03" + // figure 7: more follow, 36 octets, proposal 1, IKE, no SPI, 3 transforms
	"03 00 000c 01 00 0014 800e0100" + // figures 8 and 9: ENCR_AES_GCM_16, key length 256
	"03 00 0008 02 00 0006" + // PRF_HMAC_SHA2_384
	"00 00 0008 04 00 001f" + // Curve25519
	"00 00 002c 02 01 00 04" + // the last one, 44 octets, proposal 2, IKE, no SPI, 4 transforms
	"03 00 000c 01 00 000c 800e0080" + // ENCR_AES_CBC, key length 128
	"03 00 0008 02 00 0005" + // PRF_HMAC_SHA2_256
	"03 00 0008 03 00 000c" + // AUTH_HMAC_SHA2_256_128
	"00 00 0008 04 00 000e" + // 2048-bit MODP group
	"28 00 0028 001f 0000" + strings.Repeat("c5", 32) + // figure 10: KE of Curve25519, next payload nonce
	"29 00 0024" + strings.Repeat("0a", 32) + // figure 15: nonce, next payload notify
	"29 00 001c 00 00 4004" + strings.Repeat("51", 20) + // figure 16: NAT_DETECTION_SOURCE_IP
	"29 00 001c 00 00 4005" + strings.Repeat("52", 20) + // NAT_DETECTION_DESTINATION_IP
	"29 00 0008 00 00 402e" + // IKEV2_FRAGMENTATION_SUPPORTED (RFC7383-2.3-1)
	"2b 00 000e 00 00 402f 0002 0003 0004" + // SIGNATURE_HASH_ALGORITHMS, next payload vendor ID
	"00 00 000e 5061726c657920312e30" // figure 18

var initHeader = wire.Header{
	InitiatorSPI: 0x0102030405060708, NextPayload: wire2.TypeSA, Major: 2, Exchange: wire2.IKESAInit,
	Flags: wire.FlagInitiator, Length: 280,
}

var initMessage = wire2.Message{
	Header: initHeader,
	Payloads: []wire2.Payload{
		wire2.SA{Proposals: []wire2.Proposal{
			{Number: 1, Protocol: wire2.ProtoIKE, Transforms: []wire2.Transform{
				{Type: wire2.TransformENCR, ID: 20, Attributes: []wire2.Attribute{{Type: wire2.AttrKeyLength, TV: true, Value: 256}}},
				{Type: wire2.TransformPRF, ID: 6},
				{Type: wire2.TransformKE, ID: 31},
			}},
			{Number: 2, Protocol: wire2.ProtoIKE, Transforms: []wire2.Transform{
				{Type: wire2.TransformENCR, ID: 12, Attributes: []wire2.Attribute{{Type: wire2.AttrKeyLength, TV: true, Value: 128}}},
				{Type: wire2.TransformPRF, ID: 5},
				{Type: wire2.TransformINTEG, ID: 12},
				{Type: wire2.TransformKE, ID: 14},
			}},
		}},
		wire2.KE{Method: 31, Data: bytes.Repeat([]byte{0xc5}, 32)},
		wire2.Nonce{Data: bytes.Repeat([]byte{0x0a}, 32)},
		wire2.Notify{Kind: wire2.NATDetectionSourceIP, Data: bytes.Repeat([]byte{0x51}, 20)},
		wire2.Notify{Kind: wire2.NATDetectionDestinationIP, Data: bytes.Repeat([]byte{0x52}, 20)},
		wire2.Notify{Kind: wire2.IKEv2FragmentationSupport},
		wire2.Notify{Kind: wire2.SignatureHashAlgorithms, Data: []byte{0, 2, 0, 3, 0, 4}},
		wire2.VendorID{Data: []byte("Parley 1.0")},
	},
}

func TestIKESAInitIsDecodedAndEncodedAsTheFiguresSay(t *testing.T) {
	t.Parallel()
	raw := unhex(t, initHex)
	m, err := wire2.Parse(raw)
	if err != nil || !reflect.DeepEqual(m, initMessage) {
		t.Errorf("decoded\n%+v, %v, want\n%+v", m, err, initMessage)
	}
	if got := initMessage.Append([]byte{0xee}); !bytes.Equal(got, append([]byte{0xee}, raw...)) {
		t.Errorf("encoded\n%x, want\n%x", got[1:], raw)
	}
}

// An error here names an octet, so that a reader of the log can put a finger on the capture.
func TestErrorsNameOffsetPayloadAndRule(t *testing.T) {
	t.Parallel()
	raw := unhex(t, initHex)
	raw[32] = 1 // last substruc of proposal 1
	_, err := wire2.Parse(raw)
	e := wantError(t, err, wire2.TypeSA, wire2.InvalidSyntax)
	want := "wire2: at octet 32 (SA payload) this rule is broken: last substruc is 0, or 2 before a proposal, 3 before a transform (RFC 7296 sections 3.3.1, 3.3.2)"
	if e.Error() != want {
		t.Errorf("error %q", e)
	}
}
