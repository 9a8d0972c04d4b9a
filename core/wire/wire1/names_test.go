package wire1_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/wire/wire1"
)

func TestNumbersHaveTheRFCsNames(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"QUICK_MODE":                      wire1.ExchangeName(32),
		"EXCHANGE_34":                     wire1.ExchangeName(34),
		"NAT-D":                           wire1.PayloadName(20),
		"PAYLOAD_99":                      wire1.PayloadName(99),
		"IPCOMP":                          fmt.Sprint(wire1.ProtoIPCOMP),
		"ID_USER_FQDN":                    fmt.Sprint(wire1.IDUserFQDN),
		"X.509 Certificate - Signature":   fmt.Sprint(wire1.CertX509Signature),
		"ISAKMP_CFG_SET":                  fmt.Sprint(wire1.ConfigSet),
		"XAUTH-STATUS":                    wire1.ConfigAttributeName(16527),
		"UNITY_SPLIT_INCLUDE":             wire1.ConfigAttributeName(28676),
		"NO-PROPOSAL-CHOSEN":              fmt.Sprint(wire1.NoProposalChosen),
		"R-U-THERE":                       fmt.Sprint(wire1.RUThere),
		"NOTIFY_8192":                     fmt.Sprint(wire1.NotifyType(8192)),
		"Encryption with RSA":             fmt.Sprint(wire1.AuthRSAEnc),
		"XAUTHInitPreShared":              fmt.Sprint(wire1.AuthXAuthInitPSK),
		"Group Description":               wire1.AttributeName(4),
		"AES-CBC":                         wire1.EncryptionName(7),
		"SHA2-384":                        wire1.HashName(5),
		"ESP_AES-GCM_16":                  wire1.ESPName(20),
		"AH_SHA":                          wire1.AHName(3),
		"IPCOMP_DEFLATE":                  wire1.IPCOMPName(2),
		"SA Life Duration":                wire1.SAAttributeName(2),
		"UDP-Encapsulated-Tunnel":         wire1.EncapsulationName(3),
		"UDP-Encapsulated-Tunnel (draft)": wire1.EncapsulationName(61443),
		"HMAC-SHA2-256":                   wire1.IntegrityName(5),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// RFC 2408 section 3.14.1: types from 16384 on are status.
func TestErrorNotifiesEndAt16383(t *testing.T) {
	t.Parallel()
	for kind, want := range map[wire1.NotifyType]bool{1: true, 16383: true, wire1.Connected: false, wire1.InitialContact: false} {
		if kind.IsError() != want {
			t.Errorf("IsError of %v is not %v", kind, want)
		}
	}
}

// Phase 1 goes by the method without XAUTH (draft-beaulieu-ike-xauth-02 section 7.2), in hybrid authentication by a signature
// (draft-ietf-ipsec-isakmp-hybrid-auth-05 section 4.2).
func TestEveryMethodOfXAuthHasABase(t *testing.T) {
	t.Parallel()
	for m, want := range map[wire1.AuthMethod]wire1.AuthMethod{
		wire1.AuthXAuthInitPSK: wire1.AuthPSK, wire1.AuthXAuthRespRSA: wire1.AuthRSASig, wire1.AuthXAuthRespEnc: wire1.AuthRSAEnc,
		wire1.AuthXAuthInitRev: wire1.AuthRSAEncRevised, wire1.AuthXAuthInitDSS: wire1.AuthDSS, wire1.AuthHybridRespRSA: wire1.AuthRSASig,
		wire1.AuthPSK: wire1.AuthPSK, wire1.AuthECDSA256: wire1.AuthECDSA256,
	} {
		if got := m.Base(); got != want {
			t.Errorf("%v has the base %v, want %v", m, got, want)
		}
	}
	for m := wire1.AuthHybridInitRSA; m <= wire1.AuthXAuthRespRev; m++ {
		if m.IsXAuth() && m.Base().IsXAuth() {
			t.Errorf("%v has no base", m)
		}
	}
}

func TestXAuthFollowsXAuthAndHybridMethods(t *testing.T) {
	t.Parallel()
	for m, want := range map[wire1.AuthMethod]bool{
		wire1.AuthPSK: false, wire1.AuthRSASig: false, 64220: false, wire1.AuthHybridInitRSA: true, wire1.AuthHybridRespDSS: true,
		64225: false, 65000: false, wire1.AuthXAuthInitPSK: true, wire1.AuthXAuthRespRev: true, 65011: false,
	} {
		if m.IsXAuth() != want {
			t.Errorf("IsXAuth of %v is not %v", m, want)
		}
	}
}

// Most vendor IDs are the MD5 of a text, some of its first octets with a version after them.
func TestVendorIDsAreTheHashesOfTheirTexts(t *testing.T) {
	t.Parallel()
	for vendor, text := range map[wire1.Vendor]string{
		wire1.VendorNATT:                 "RFC 3947",
		wire1.VendorNATTDraft03:          "draft-ietf-ipsec-nat-t-ike-03",
		wire1.VendorNATTDraft02n:         "draft-ietf-ipsec-nat-t-ike-02\n",
		wire1.VendorNATTDraft02:          "draft-ietf-ipsec-nat-t-ike-02",
		wire1.VendorNATTDraft01:          "draft-ietf-ipsec-nat-t-ike-01",
		wire1.VendorNATTDraft00:          "draft-ietf-ipsec-nat-t-ike-00",
		wire1.VendorNATTDraft:            "draft-ietf-ipsec-nat-t-ike",
		wire1.VendorXAUTH:                "draft-ietf-ipsra-isakmp-xauth-06.txt",
		wire1.VendorUnity:                "CISCO-UNITY",
		wire1.VendorFragmentation:        "FRAGMENTATION",
		wire1.VendorInitialContact:       "Vid-Initial-Contact",
		wire1.VendorStrongSwan:           "strongSwan",
		wire1.VendorWindows:              "MS NT5 ISAKMPOAKLEY",
		wire1.VendorCGA:                  "IKE CGA version 1",
		wire1.VendorNegotiationDiscovery: "MS-Negotiation Discovery Capable",
		wire1.VendorMamie:                "MS-MamieExists",
		wire1.VendorGSSAPI:               "GSSAPI",
		wire1.VendorRacoon:               "KAME/racoon",
		wire1.VendorCiscoVPN3000:         "ALTIGA GATEWAY",
		wire1.VendorSSH:                  "draft-stenberg-ipsec-nat-traversal-01",
	} {
		sum := md5.Sum([]byte(text))
		id := vendor.ID().Data
		n := min(len(id), len(sum))
		if vendor == wire1.VendorUnity {
			n -= 2 // the version
		}
		if got, want := hex.EncodeToString(id[:n]), hex.EncodeToString(sum[:n]); got != want {
			t.Errorf("%v: %s, want %s", vendor, got, want)
		}
	}
}

func TestVendorIDsAreKnownByName(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		"4a131c81070358455c5728f20e95452f":         "NAT-T (RFC 3947)",
		"4a131c81070358455c5728f20e95452f00":       "4a131c81070358455c5728f20e95452f00", // RFC 3947 has no suffix
		"afcad71368a1f1c96b8696fc77570100":         "DPD",
		"12f5f28c457168a9702d9fe274cc0100":         "Cisco Unity",
		"4048b7d56ebce88525e7de7f00d6c2d3c0000000": "FRAGMENTATION",
		"1e2b516905991c7d7c96fcbfb587e46100000009": "Windows",
		"4f452d4c69627265737761 6e2d352e32":        "Libreswan",
		"50 61 72 6c 65 79":                        "Parley",
		strings.Repeat("ab", 40):                   strings.Repeat("ab", 32) + "...",
		"":                                         "",
	} {
		if got := (wire1.VendorID{Data: unhex(t, data)}).String(); got != want {
			t.Errorf("%s: %q, want %q", data, got, want)
		}
	}
	for v := wire1.VendorUnknown + 1; v.String() != "unknown"; v++ {
		if got := v.ID().Vendor(); got != v {
			t.Errorf("the ID of %v is that of %v", v, got)
		}
	}
	if got := wire1.Vendor(255); got.String() != "unknown" || got.ID().Data != nil {
		t.Errorf("vendor 255: %v", got)
	}
}

// RFC 2407 section 4.5: basic attributes are not sent in the variable form.
func TestNumbersTakeTheShortestForm(t *testing.T) {
	t.Parallel()
	for v, want := range map[uint64]wire1.Attribute{
		0:              tv(12, 0),
		math.MaxUint16: tv(12, math.MaxUint16),
		1 << 16:        {Type: 12, Data: []byte{0, 1, 0, 0}},
		1 << 32:        {Type: 12, Data: []byte{0, 0, 0, 1, 0, 0, 0, 0}},
	} {
		a := wire1.NumberAttribute(12, v)
		got, ok := a.Number()
		if !reflect.DeepEqual(a, want) || !ok || got != v {
			t.Errorf("%d: %+v, %d, %v", v, a, got, ok)
		}
	}
}

func TestNumbersOfAnySizeAreRead(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]uint64{"05": 5, "000000000000000000000001": 1, "ffffffffffffffff": math.MaxUint64} {
		got, ok := wire1.Attribute{Data: unhex(t, data)}.Number()
		if !ok || got != want {
			t.Errorf("%s: %d, %v", data, got, ok)
		}
	}
	for _, data := range []string{"", "010000000000000000"} {
		if got, ok := (wire1.Attribute{Data: unhex(t, data)}).Number(); ok {
			t.Errorf("%q: %d", data, got)
		}
	}
	if _, ok := wire1.FindNumber([]wire1.Attribute{tv(1, 2)}, 3); ok {
		t.Error("found an attribute that is not there")
	}
	if v, ok := wire1.FindNumber([]wire1.Attribute{tv(1, 2), tv(3, 4), tv(3, 5)}, 3); !ok || v != 4 {
		t.Errorf("FindNumber = %d, %v", v, ok)
	}
}

// RFC 2407 section 4.6.2.1.
func TestRangesTakeTheSimplestIdentity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, last string
		idType      wire1.IDType
		data        string
	}{
		{"10.1.0.1", "10.1.0.1", wire1.IDIPv4Addr, "0a010001"},
		{"10.1.0.0", "10.1.255.255", wire1.IDIPv4Subnet, "0a010000ffff0000"},
		{"10.1.0.128", "10.1.0.159", wire1.IDIPv4Subnet, "0a010080ffffffe0"},
		{"0.0.0.0", "255.255.255.255", wire1.IDIPv4Subnet, "0000000000000000"},
		{"10.1.0.0", "10.1.0.2", wire1.IDIPv4Range, "0a0100000a010002"},
		{"10.1.0.1", "10.1.255.255", wire1.IDIPv4Range, "0a0100010a01ffff"},
		{"2001:db8::1", "2001:db8::1", wire1.IDIPv6Addr, "20010db8000000000000000000000001"},
		{"2001:db8::", "2001:db8::ffff", wire1.IDIPv6Subnet, "20010db8000000000000000000000000ffffffffffffffffffffffffffff0000"},
		{"2001:db8::", "2001:db8::2", wire1.IDIPv6Range, "20010db800000000000000000000000020010db8000000000000000000000002"},
	} {
		first, last := netip.MustParseAddr(c.first), netip.MustParseAddr(c.last)
		id := wire1.RangeID(6, 80, first, last)
		if want := (wire1.ID{IDType: c.idType, Protocol: 6, Port: 80, Data: unhex(t, c.data)}); !reflect.DeepEqual(id, want) {
			t.Errorf("%s to %s: %+v, want %+v", first, last, id, want)
		}
		if f, l, ok := id.Range(); !ok || f != first || l != last {
			t.Errorf("%+v: %v to %v, %v", id, f, l, ok)
		}
	}
}

func TestIdentitiesThatAreNoRangeAreRefused(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]wire1.ID{
		"another type":         {IDType: wire1.IDFQDN, Data: []byte("a.bc")},
		"a short address":      {IDType: wire1.IDIPv4Addr, Data: []byte{10, 0, 0}},
		"an address of IPv6":   {IDType: wire1.IDIPv4Addr, Data: make([]byte, 16)},
		"an address of IPv4":   {IDType: wire1.IDIPv6Addr, Data: make([]byte, 4)},
		"9 octets":             {IDType: wire1.IDIPv4Range, Data: make([]byte, 9)},
		"a range backwards":    {IDType: wire1.IDIPv4Range, Data: []byte{10, 0, 0, 2, 10, 0, 0, 1}},
		"a mask with a hole":   {IDType: wire1.IDIPv4Subnet, Data: []byte{10, 0, 0, 0, 255, 0, 255, 0}},
		"a mask with holes":    {IDType: wire1.IDIPv4Subnet, Data: []byte{10, 0, 0, 0, 255, 0xf1, 0, 0}},
		"a mask from the end":  {IDType: wire1.IDIPv4Subnet, Data: []byte{10, 0, 0, 0, 0, 0, 0, 255}},
		"a subnet of IPv6":     {IDType: wire1.IDIPv4Subnet, Data: make([]byte, 32)},
		"nothing":              {IDType: wire1.IDIPv4Subnet},
		"nothing, for a range": {IDType: wire1.IDIPv6Range},
	} {
		if first, last, ok := id.Range(); ok {
			t.Errorf("%s: %v to %v", name, first, last)
		}
	}
	subnet := wire1.ID{IDType: wire1.IDIPv4Subnet, Data: []byte{10, 1, 2, 3, 255, 255, 0, 0}} // host bits, as some peers send
	if first, last, ok := subnet.Range(); !ok || first.String() != "10.1.0.0" || last.String() != "10.1.255.255" {
		t.Errorf("%v to %v, %v", first, last, ok)
	}
}
