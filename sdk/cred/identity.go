package cred

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// MaxIdentityText bounds the text of an identity, in octets: a peer may claim one of 64 KiB, and it ends in logs.
const MaxIdentityText = 256

// String renders the identity for people as a prefix and a value, "fqdn:east.example.net", "ipv4:192.0.2.1",
// "keyid:0a0b"; the zero identity is "%any". The text is printable ASCII and at most MaxIdentityText octets long.
func (i Identity) String() string {
	prefix, value := i.text()
	if len(prefix)+len(value) > MaxIdentityText {
		value = value[:MaxIdentityText-len(prefix)-len("...")] + "..."
	}
	return prefix + value
}

// text follows the ID types of RFC 7296 section 3.5.
func (i Identity) text() (prefix, value string) {
	switch i.Type {
	case 0:
		return "%any", ""
	case 1:
		return "ipv4:", addressText(i.Data, 4)
	case 2:
		return "fqdn:", printable(i.Data)
	case 3:
		return "email:", printable(i.Data)
	case 5:
		return "ipv6:", addressText(i.Data, 16)
	case 9:
		return "dn:", bounded(i.Data)
	case 11:
		return "keyid:", bounded(i.Data)
	}
	return "type" + strconv.Itoa(int(i.Type)) + ":", bounded(i.Data)
}

func addressText(b []byte, size int) string {
	if addr, ok := netip.AddrFromSlice(b); ok && len(b) == size {
		return addr.String()
	}
	return bounded(b)
}

// bounded is the hexadecimal form of as much as can be shown.
func bounded(b []byte) string { return hex.EncodeToString(b[:min(len(b), MaxIdentityText)]) }

func printable(b []byte) string {
	quoted := strconv.QuoteToASCII(string(b[:min(len(b), MaxIdentityText)]))
	return strings.TrimSuffix(strings.TrimPrefix(quoted, `"`), `"`)
}
