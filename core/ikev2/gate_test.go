package ikev2

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

var gatePeer = netip.MustParseAddrPort("192.0.2.1:500")

// firstRequest returns an IKE_SA_INIT request with a nonce and what else is given.
func firstRequest(ps ...wire2.Payload) []byte {
	h := wire.Header{InitiatorSPI: 0x1122334455667788, Major: 2, Exchange: wire2.IKESAInit, Flags: wire.FlagInitiator}
	ps = append(ps, wire2.KE{Method: 31, Data: make([]byte, 32)}, wire2.Nonce{Data: bytes.Repeat([]byte{9}, 32)})
	return wire2.Message{Header: h, Payloads: ps}.Append(nil)
}

// cookieOfReply returns what a CookieReply asks for.
func cookieOfReply(t *testing.T, b []byte) []byte {
	t.Helper()
	m, err := wire2.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	n, ok := wire2.GetNotify(m.Payloads, wire2.Cookie)
	if !ok || len(m.Payloads) != 1 || m.Header.ResponderSPI != 0 || m.Header.Flags != wire.FlagResponse || m.Header.MessageID != 0 {
		t.Fatalf("not a cookie reply: %+v", m)
	}
	return n.Data
}

// RFC7296-2.6-2, -3, -5.
func TestACookieIsGoodForItsRequestAddressAndSecretOnly(t *testing.T) {
	t.Parallel()
	key := secret.Bytes("key of today")
	in, err := InspectInit(firstRequest())
	if err != nil || in.Cookie != nil {
		t.Fatalf("%+v, %v", in, err)
	}
	c := cookieOfReply(t, CookieReply(key, 3, in, gatePeer))
	if len(c) < 1 || len(c) > 64 {
		t.Errorf("cookie of %d octets", len(c))
	}
	again, err := InspectInit(firstRequest(wire2.Notify{Kind: wire2.Cookie, Data: c}))
	if err != nil {
		t.Fatal(err)
	}
	other := again
	other.Nonce = bytes.Repeat([]byte{8}, 32)
	otherSPI := again
	otherSPI.InitiatorSPI++
	tests := []struct {
		name    string
		key     string
		version uint8
		in      Init
		remote  string
		want    bool
	}{
		{"the same", "key of today", 3, again, "192.0.2.1:500", true},
		{"another port, as of a NAT", "key of today", 3, again, "192.0.2.1:1024", true},
		{"another address", "key of today", 3, again, "192.0.2.3:500", false},
		{"another secret", "key of yesterday", 3, again, "192.0.2.1:500", false},
		{"another version", "key of today", 4, again, "192.0.2.1:500", false},
		{"another nonce", "key of today", 3, other, "192.0.2.1:500", false},
		{"another SPI", "key of today", 3, otherSPI, "192.0.2.1:500", false},
		{"no cookie", "key of today", 3, in, "192.0.2.1:500", false},
	}
	for _, tt := range tests {
		if got := VerifyCookie(secret.Bytes(tt.key), tt.version, tt.in, netip.MustParseAddrPort(tt.remote)); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// An attacker who may choose the end of his IPv6 address gets no cookie for an IPv4 address that is not his.
func TestACookieForOneAddressFamilyIsNoneForTheOther(t *testing.T) {
	t.Parallel()
	key := secret.Bytes("key of today")
	six := netip.MustParseAddrPort("[2001:db8::192.0.2.1]:500")
	nonce := bytes.Repeat([]byte{9}, 32)
	c := cookieOfReply(t, CookieReply(key, 3, Init{InitiatorSPI: 5, Nonce: nonce}, six))
	prefix := six.Addr().As16()
	forged := Init{InitiatorSPI: 5, Nonce: append(nonce, prefix[:12]...), Cookie: c}
	if VerifyCookie(key, 3, forged, gatePeer) {
		t.Error("it is good for 192.0.2.1 as well")
	}
}

// RFC7296-2-1, -2: messages of 3000 octets and more are taken; what a half-open SA keeps is bounded all the same.
func TestFirstRequestsOfAllUsualSizesAreTaken(t *testing.T) {
	t.Parallel()
	empty := len(firstRequest(wire2.VendorID{}))
	for _, tt := range []struct {
		octets int
		taken  bool
	}{{1280, true}, {3000, true}, {maxInit, true}, {maxInit + 1, false}} {
		b := firstRequest(wire2.VendorID{Data: make([]byte, tt.octets-empty)})
		if _, err := InspectInit(b); len(b) != tt.octets || (err == nil) != tt.taken {
			t.Errorf("%d octets: %v", len(b), err)
		}
	}
}

func TestInspectInitTakesFirstRequestsOnly(t *testing.T) {
	t.Parallel()
	good := firstRequest()
	edit := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	short := wire2.Message{Header: wire.Header{InitiatorSPI: 1, Major: 2, Exchange: wire2.IKESAInit, Flags: wire.FlagInitiator},
		Payloads: []wire2.Payload{wire2.Nonce{Data: make([]byte, 15)}}}.Append(nil)
	bad := map[string][]byte{
		"empty":           nil,
		"no SPI":          append(make([]byte, 8), good[8:]...),
		"a responder SPI": edit(15, 1),
		"IKEv1":           edit(17, 0x10),
		"IKE_AUTH":        edit(18, 35),
		"a response":      edit(19, 0x28),
		"no initiator":    edit(19, 0),
		"message ID 1":    edit(23, 1),
		"wrong length":    edit(27, 1),
		"short nonce":     short,
		"trailing octets": append(bytes.Clone(good), 0),
	}
	for name, b := range bad {
		if _, err := InspectInit(b); !errors.Is(err, ErrNotInit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range good {
		if _, err := InspectInit(good[:n]); err == nil {
			t.Errorf("a prefix of %d octets passes", n)
		}
	}
}

// A cookie of 65 octets is none; one behind an SPI is found (RFC 7296 sections 2.6 and 3.10).
func TestInspectInitFindsCookies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		notify wire2.Notify
		want   string
	}{
		{"plain", wire2.Notify{Kind: wire2.Cookie, Data: []byte("abc")}, "abc"},
		{"with an SPI", wire2.Notify{Kind: wire2.Cookie, SPI: []byte("12345678"), Data: []byte("abc")}, "abc"},
		{"empty", wire2.Notify{Kind: wire2.Cookie}, ""},
		{"too long", wire2.Notify{Kind: wire2.Cookie, Data: make([]byte, 65)}, ""},
		{"another notify", wire2.Notify{Kind: wire2.InitialContact, Data: []byte("abc")}, ""},
	}
	for _, tt := range tests {
		in, err := InspectInit(firstRequest(tt.notify))
		if err != nil || string(in.Cookie) != tt.want {
			t.Errorf("%s: %q, %v", tt.name, in.Cookie, err)
		}
	}
}

func TestInspectInitAllocatesNothing(t *testing.T) {
	b := firstRequest(wire2.Notify{Kind: wire2.Cookie, Data: []byte("abc")})
	if n := testing.AllocsPerRun(100, func() { _, _ = InspectInit(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// RFC7296-2.5-2, -3, RFC7296-2.21.4-1, -2, -3: requests are answered with their SPIs, message ID and exchange type, responses
// never. RFC7296-1.5-1: nor messages in clear, which may be notifications.
func TestRepliesOutsideAnSACopyTheRequest(t *testing.T) {
	t.Parallel()
	request := wire.Header{InitiatorSPI: 5, ResponderSPI: 6, NextPayload: wire2.TypeSK, Major: 2, Exchange: wire2.Informational, Flags: wire.FlagInitiator, MessageID: 9, Length: 28}
	v3 := request
	v3.Major = 3
	response := request
	response.Flags |= wire.FlagResponse
	clear := request
	clear.NextPayload = wire2.TypeNotify
	tests := []struct {
		name  string
		reply func([]byte) []byte
		in    wire.Header
		want  wire2.NotifyType // 0: nothing
	}{
		{"unknown SPI", InvalidSPIReply, request, wire2.InvalidIKESPI},
		{"unknown SPI of a response", InvalidSPIReply, response, 0},
		{"unknown SPI in clear", InvalidSPIReply, clear, 0},
		{"version 3", InvalidMajorVersionReply, v3, wire2.InvalidMajorVersion},
		{"version 2", InvalidMajorVersionReply, request, 0},
		{"version 3 and unknown SPI", InvalidSPIReply, v3, 0},
	}
	for _, tt := range tests {
		b := tt.reply(tt.in.Append(nil))
		if tt.want == 0 {
			if b != nil {
				t.Errorf("%s: answered", tt.name)
			}
			continue
		}
		m, err := wire2.Parse(b)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		h := m.Header
		if _, ok := wire2.GetNotify(m.Payloads, tt.want); !ok || h.InitiatorSPI != 5 || h.ResponderSPI != 6 || h.MessageID != 9 ||
			h.Exchange != wire2.Informational || h.Flags != wire.FlagResponse {
			t.Errorf("%s: %+v", tt.name, m)
		}
	}
}

// A demand for a cookie is shorter than any message that it answers: nobody can use us to multiply what he sends to a third
// party.
func TestADemandForACookieIsShorterThanItsRequest(t *testing.T) {
	t.Parallel()
	h := wire.Header{InitiatorSPI: 1, Major: 2, Exchange: wire2.IKESAInit, Flags: wire.FlagInitiator}
	shortest := 0
	for n := range 64 {
		b := wire2.Message{Header: h, Payloads: []wire2.Payload{wire2.VendorID{Data: make([]byte, n)}, wire2.Nonce{Data: make([]byte, 16)}}}.Append(nil)
		in, err := InspectInit(b)
		if err != nil {
			continue
		}
		if shortest == 0 {
			shortest = len(b)
		}
		if reply := CookieReply(secret.Bytes("key"), 1, in, gatePeer); len(reply) >= len(b) {
			t.Errorf("%d octets are answered with %d", len(b), len(reply))
		}
	}
	if shortest != minInit {
		t.Errorf("the shortest message that is taken has %d octets", shortest)
	}
}

// In a flood the demand for a cookie is most of our work: it costs the memory of its octets and no more.
func TestADemandForACookieAllocatesItsOctetsOnly(t *testing.T) {
	in, err := InspectInit(firstRequest())
	if err != nil {
		t.Fatal(err)
	}
	key := secret.Bytes(bytes.Repeat([]byte{7}, 32))
	if n := testing.AllocsPerRun(100, func() { _ = CookieReply(key, 1, in, gatePeer) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _ = VerifyCookie(key, 1, in, gatePeer) }); n != 0 {
		t.Errorf("%v allocations to verify", n)
	}
}
