package cred_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/parley-ike/parley/sdk/cred"
)

func TestAnIdentityIsRenderedForPeople(t *testing.T) {
	t.Parallel()
	tests := []struct {
		id   cred.Identity
		want string
	}{
		{cred.Identity{}, "%any"},
		{cred.Identity{Type: 1, Data: []byte{192, 0, 2, 1}}, "ipv4:192.0.2.1"},
		{cred.Identity{Type: 1, Data: []byte{192, 0, 2}}, "ipv4:c00002"},
		{cred.Identity{Type: 2, Data: []byte("east.example.net")}, "fqdn:east.example.net"},
		{cred.Identity{Type: 2, Data: []byte("a\n\x1b[31mb\xff")}, `fqdn:a\n\x1b[31mb\xff`},
		{cred.Identity{Type: 3, Data: []byte("a@example.net")}, "email:a@example.net"},
		{cred.Identity{Type: 5, Data: append([]byte{0x20, 1, 0xd, 0xb8}, make([]byte, 12)...)}, "ipv6:2001:db8::"},
		{cred.Identity{Type: 9, Data: []byte{0x30, 0}}, "dn:3000"},
		{cred.Identity{Type: 11, Data: []byte{1, 0xab}}, "keyid:01ab"},
		{cred.Identity{Type: 200, Data: []byte{1}}, "type200:01"},
	}
	for _, test := range tests {
		if got := test.id.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestAnIdentityOfAnySizeHasAShortPrintableText(t *testing.T) {
	t.Parallel()
	for kind := range 256 {
		text := cred.Identity{Type: uint8(kind), Data: bytes.Repeat([]byte{0xff, '"', 'a'}, 20000)}.String()
		if len(text) > cred.MaxIdentityText {
			t.Errorf("type %d: %d octets of text", kind, len(text))
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("type %d: not printable: %q", kind, text)
		}
	}
}
