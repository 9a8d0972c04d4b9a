package policy

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/parley-ike/parley/core/wire/wire2"
)

// Bounds of identities.
const (
	// maxIdentity bounds an identity in octets; distinguished names seen in practice stay below 500.
	maxIdentity = 2048
	// maxShown bounds what String returns, in octets: a hostile identity must not fill a log line.
	maxShown = 256
)

// Identity is an IKE identity, or a pattern for some (RFC 7296 section 3.5). Data holds the octets of the ID payload: text for
// FQDN and RFC822, 4 or 16 octets for addresses, DER for names. The zero value stands for any identity. Identities are
// compared with Matches; == tells equal octets.
type Identity struct {
	Type wire2.IDType
	Data string
}

// IsAddress reports whether the identity says no more than an address does.
func (id Identity) IsAddress() bool {
	return id.Type == wire2.IDIPv4Addr || id.Type == wire2.IDIPv6Addr
}

// IsAny reports whether the identity stands for any.
func (id Identity) IsAny() bool { return id == Identity{} }

// IdentityFromWire returns the identity of an ID payload. Its errors say what a claimed identity breaks; the caller answers
// with AUTHENTICATION_FAILED.
func IdentityFromWire(w wire2.ID) (Identity, error) {
	id := Identity{Type: w.IDType, Data: string(w.Data)}
	switch {
	case w.IDType == 0: // reserved; in an Identity it means any, which nobody may claim
		return Identity{}, fmt.Errorf("policy: identity of type 0, which is reserved (RFC 7296 section 3.5)")
	case len(w.Data) > maxIdentity:
		return Identity{}, fmt.Errorf("policy: identity of %d octets: at most %d are accepted", len(w.Data), maxIdentity)
	case w.IDType == wire2.IDIPv4Addr && len(w.Data) != 4, w.IDType == wire2.IDIPv6Addr && len(w.Data) != 16:
		return Identity{}, fmt.Errorf("policy: identity of type %s with %d octets", idWord(w.IDType), len(w.Data))
	case w.IDType != wire2.IDNull && len(w.Data) == 0:
		return Identity{}, fmt.Errorf("policy: empty identity of type %s", idWord(w.IDType))
	}
	return id, nil
}

// Wire returns the body of the ID payload. A pattern has none: the result is then of type 0, and nobody must send it.
func (id Identity) Wire() wire2.ID { return wire2.ID{IDType: id.Type, Data: []byte(id.Data)} }

// AddressIdentity returns the identity that is an address.
func AddressIdentity(a netip.Addr) Identity {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return Identity{wire2.IDIPv4Addr, string(a.AsSlice())}
	}
	return Identity{wire2.IDIPv6Addr, string(a.AsSlice())}
}

// Matches reports whether a peer that claims an identity is who the pattern stands for. An FQDN, and the domain of an RFC822
// address, is compared without regard to case; an FQDN pattern "*.example.net" stands for every name with one more label; DNs
// are compared name by name, without regard to case and string type; all else octet by octet.
func (id Identity) Matches(claimed Identity) bool {
	switch {
	case id.IsAny():
		return true
	case id.Type != claimed.Type:
		return false
	case id.Type == wire2.IDFQDN:
		return matchFQDN(id.Data, claimed.Data)
	case id.Type == wire2.IDRFC822Addr:
		return matchRFC822(id.Data, claimed.Data)
	case id.Type == wire2.IDDERASN1DN:
		return id.Data == claimed.Data || sameDN(id.Data, claimed.Data)
	}
	return id.Data == claimed.Data
}

const wildcard = "*."

func matchFQDN(pattern, claimed string) bool {
	domain, isWild := strings.CutPrefix(pattern, wildcard)
	if !isWild {
		return equalFold(pattern, claimed)
	}
	label, rest, ok := strings.Cut(claimed, ".")
	return ok && label != "" && !strings.Contains(label, "*") && equalFold(domain, rest)
}

// matchRFC822 compares the part before the "@" exactly (RFC 5321 section 2.4).
func matchRFC822(a, b string) bool {
	i, j := strings.LastIndexByte(a, '@'), strings.LastIndexByte(b, '@')
	return i >= 0 && j >= 0 && a[:i] == b[:j] && equalFold(a[i:], b[j:])
}

// equalFold folds ASCII only: names on the wire have no other letters, and Unicode folding makes different names equal.
func equalFold(a, b string) bool { return lowerASCII(a) == lowerASCII(b) }

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// exactness orders patterns: an identity beats a wildcard, which beats any.
func (id Identity) exactness() int {
	switch {
	case id.IsAny():
		return 0
	case id.Type == wire2.IDFQDN && strings.HasPrefix(id.Data, wildcard):
		return 1
	}
	return 2
}

// String returns the identity with its type, "fqdn:east.example.net", in at most 256 printable ASCII characters. Other octets
// are escaped as \x and two hex digits, a longer identity ends in "...".
func (id Identity) String() string {
	if id.IsAny() {
		return anyIdentity
	}
	s := idWord(id.Type) + ":" + id.value()
	if len(s) > maxShown {
		return s[:maxShown-len("...")] + "..."
	}
	return s
}

func (id Identity) value() string {
	switch id.Type {
	case wire2.IDFQDN, wire2.IDRFC822Addr:
		return printable(id.Data)
	case wire2.IDIPv4Addr, wire2.IDIPv6Addr:
		if a, ok := netip.AddrFromSlice([]byte(id.Data)); ok {
			return a.String()
		}
	case wire2.IDDERASN1DN:
		if s, ok := dnString(id.Data); ok {
			return printable(s)
		}
	case wire2.IDNull:
		return ""
	}
	return hexPrefix + hex.EncodeToString([]byte(id.Data))
}

// printable escapes what is not printable ASCII, and the backslash where it could be taken for an escape.
func printable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() <= maxShown; i++ {
		switch c := s[i]; {
		case c < ' ' || c > '~', c == '\\' && i+1 < len(s) && s[i+1] == 'x':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// idWords are the prefixes of identities in the configuration.
var idWords = []struct {
	typ  wire2.IDType
	word string
}{
	{wire2.IDFQDN, "fqdn"}, {wire2.IDRFC822Addr, "email"}, {wire2.IDIPv4Addr, "ipv4"}, {wire2.IDIPv6Addr, "ipv6"},
	{wire2.IDDERASN1DN, "dn"}, {wire2.IDKeyID, "keyid"}, {wire2.IDDERASN1GN, "gn"}, {wire2.IDNull, "null"},
}

func idWord(t wire2.IDType) string {
	for _, w := range idWords {
		if w.typ == t {
			return w.word
		}
	}
	return fmt.Sprintf("type%d", t)
}
