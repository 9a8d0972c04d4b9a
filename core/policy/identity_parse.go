package policy

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/parley-ike/parley/core/wire/wire2"
)

const (
	anyIdentity = "%any"
	hexPrefix   = "0x"
)

// IdentityError says what is wrong with an identity of the configuration.
type IdentityError struct {
	Identity string
	Reason   string // a clause that ends with the remedy
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("policy: identity %q: %s", e.Identity, e.Reason)
}

// ParseIdentity reads an identity: "east.example.net" or "*.example.net" (FQDN), "a@b.c" (RFC822), "192.0.2.1",
// "2001:db8::1", "CN=gw, O=Example" (a DN after RFC 4514, the most specific part first), "keyid:text" or "keyid:0x01ab", "%any".
// The prefixes fqdn:, email:, ipv4:, ipv6:, dn: and keyid: name the type where the form does not; dn: and gn: take DER in hex
// after 0x as well. What String prints, when it is not cut, is read back. The error is an *IdentityError.
func ParseIdentity(s string) (Identity, error) {
	id, reason := parseIdentity(strings.TrimSpace(s))
	if reason == "" && len(id.Data) > maxIdentity {
		reason = fmt.Sprintf("it has %d octets: use at most %d", len(id.Data), maxIdentity)
	}
	if reason != "" {
		return Identity{}, &IdentityError{Identity: s, Reason: reason}
	}
	return id, nil
}

func parseIdentity(s string) (id Identity, reason string) {
	if s == anyIdentity {
		return Identity{}, ""
	}
	if prefix, value, ok := strings.Cut(s, ":"); ok {
		for _, w := range idWords {
			if w.word == prefix {
				return parseTyped(w.typ, value)
			}
		}
	}
	return parseTyped(guessType(s), s)
}

// guessType tells the type from the form.
func guessType(s string) wire2.IDType {
	if a, err := netip.ParseAddr(s); err == nil {
		return AddressIdentity(a).Type
	}
	switch {
	case strings.Contains(s, "="):
		return wire2.IDDERASN1DN
	case strings.Contains(s, "@"):
		return wire2.IDRFC822Addr
	}
	return wire2.IDFQDN
}

func parseTyped(typ wire2.IDType, s string) (id Identity, reason string) {
	if s == "" && typ != wire2.IDNull {
		return id, `it is empty: write a name such as "east.example.net", an address, or "%any"`
	}
	id = Identity{Type: typ, Data: s}
	switch typ {
	case wire2.IDFQDN:
		return id, checkFQDN(s)
	case wire2.IDRFC822Addr:
		return id, checkRFC822(s)
	case wire2.IDIPv4Addr, wire2.IDIPv6Addr:
		return parseAddressIdentity(typ, s)
	case wire2.IDNull:
		if s != "" {
			return id, `nothing follows "null:"`
		}
		return id, ""
	}
	return parseOctets(typ, s)
}

// parseOctets reads the types that may be written in hex.
func parseOctets(typ wire2.IDType, s string) (id Identity, reason string) {
	if digits, ok := strings.CutPrefix(s, hexPrefix); ok {
		b, err := hex.DecodeString(digits)
		if err != nil || len(b) == 0 {
			return id, "after 0x an even number of hex digits must follow"
		}
		return Identity{typ, string(b)}, ""
	}
	switch typ {
	case wire2.IDDERASN1DN:
		der, reason := parseDN(s)
		return Identity{typ, der}, reason
	case wire2.IDKeyID:
		return Identity{typ, s}, ""
	}
	return id, "write its octets in hex after 0x"
}

func parseAddressIdentity(typ wire2.IDType, s string) (id Identity, reason string) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return id, "it is no address: write one such as 192.0.2.1 or 2001:db8::1"
	}
	if id = AddressIdentity(a); id.Type != typ {
		return id, fmt.Sprintf("the address is of the other family: write %s:%v", idWord(id.Type), a)
	}
	return id, ""
}

// Limits of domain names (RFC 1035 section 2.3.4).
const (
	maxName  = 253
	maxLabel = 63
)

// checkFQDN allows what host names have (RFC 1123 section 2.1), the underscore, and a wildcard as the first label.
func checkFQDN(s string) (reason string) {
	if strings.HasPrefix(s, "@") {
		return fmt.Sprintf("a name has no \"@\" in front here: write %s", s[1:])
	}
	if len(s) > maxName {
		return fmt.Sprintf("the name has %d characters: it may have %d", len(s), maxName)
	}
	for label := range strings.SplitSeq(strings.TrimPrefix(s, wildcard), ".") {
		if label == "" || len(label) > maxLabel {
			return fmt.Sprintf("the label %q has %d characters: it may have 1 to %d, and no dot ends the name", label, len(label), maxLabel)
		}
		if i := strings.IndexFunc(label, func(c rune) bool { return !isNameChar(c) }); i >= 0 {
			return fmt.Sprintf("%q cannot be in a name: use letters, digits and \"-\" (a non-ASCII name in its xn-- form), \"*\" as the first label only, or keyid: for free text", []rune(label[i:])[0])
		}
	}
	return ""
}

func isNameChar(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func checkRFC822(s string) (reason string) {
	i := strings.LastIndexByte(s, '@')
	switch {
	case i == 0:
		return fmt.Sprintf("nothing stands before the \"@\": write fqdn:%s for a name", s[1:])
	case i < 0:
		return "it has no \"@\": write local-part@domain"
	case strings.ContainsFunc(s[:i], func(c rune) bool { return c <= ' ' || c > '~' }):
		return "the part before the \"@\" may have printable ASCII characters only"
	case strings.HasPrefix(s[i+1:], wildcard):
		return "there are no wildcards for mail addresses"
	}
	return checkFQDN(s[i+1:])
}
