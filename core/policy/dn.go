package policy

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// attribute is an attribute type of distinguished names.
type attribute struct {
	word string
	oid  asn1.ObjectIdentifier
	ia5  bool // an IA5String (RFC 4519, RFC 5280 appendix A), else a DirectoryString
}

// attributes are the types of RFC 4514 section 3 and the others that certificates of gateways commonly have.
var attributes = []attribute{
	{"CN", asn1.ObjectIdentifier{2, 5, 4, 3}, false},
	{"SN", asn1.ObjectIdentifier{2, 5, 4, 4}, false},
	{"SERIALNUMBER", asn1.ObjectIdentifier{2, 5, 4, 5}, false},
	{"C", asn1.ObjectIdentifier{2, 5, 4, 6}, false},
	{"L", asn1.ObjectIdentifier{2, 5, 4, 7}, false},
	{"ST", asn1.ObjectIdentifier{2, 5, 4, 8}, false},
	{"STREET", asn1.ObjectIdentifier{2, 5, 4, 9}, false},
	{"O", asn1.ObjectIdentifier{2, 5, 4, 10}, false},
	{"OU", asn1.ObjectIdentifier{2, 5, 4, 11}, false},
	{"T", asn1.ObjectIdentifier{2, 5, 4, 12}, false},
	{"GN", asn1.ObjectIdentifier{2, 5, 4, 42}, false},
	{"UID", asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, false},
	{"DC", asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, true},
	{"EMAIL", asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, true},
}

const dnForm = `write a distinguished name such as "CN=gw, O=Example, C=CH", the most specific part first (RFC 4514)`

// parseDN reads a distinguished name of RFC 4514 and returns its DER.
func parseDN(s string) (der, reason string) {
	var names pkix.RDNSequence
	for _, part := range splitDN(s, ",;") {
		var rdn pkix.RelativeDistinguishedNameSET
		for _, ava := range splitDN(part, "+") {
			a, reason := parseAttribute(ava)
			if reason != "" {
				return "", reason
			}
			rdn = append(rdn, a)
		}
		names = append(names, rdn)
	}
	slices.Reverse(names) // RFC 4514 section 2.1: the text begins with the last one
	b, err := asn1.Marshal(names)
	if err != nil {
		return "", "it has no DER form: " + dnForm
	}
	return string(b), ""
}

// splitDN splits at separators that are not escaped.
func splitDN(s, separators string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case strings.IndexByte(separators, s[i]) >= 0:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

func parseAttribute(s string) (a pkix.AttributeTypeAndValue, reason string) {
	word, raw, ok := strings.Cut(s, "=")
	if !ok {
		return a, fmt.Sprintf("%q is no attribute: %s", strings.TrimSpace(s), dnForm)
	}
	value, ok := unescapeDN(raw)
	if !ok || value == "" || !utf8.ValidString(value) {
		return a, fmt.Sprintf("the value in %q is empty or its escapes are wrong: %s", strings.TrimSpace(s), dnForm)
	}
	word = strings.TrimSpace(word)
	for _, known := range attributes {
		if strings.EqualFold(known.word, word) || known.word == "EMAIL" && strings.EqualFold(word, "emailAddress") {
			return known.encode(value)
		}
	}
	var all []string
	for _, known := range attributes {
		all = append(all, known.word)
	}
	return a, fmt.Sprintf("unknown attribute type %q: use one of %s, or dn:0x and the name's DER", word, strings.Join(all, ", "))
}

func (k attribute) encode(value string) (a pkix.AttributeTypeAndValue, reason string) {
	a = pkix.AttributeTypeAndValue{Type: k.oid, Value: value} // PrintableString where possible, else UTF8String (RFC 5280 section 4.1.2.4)
	if k.ia5 {
		if strings.ContainsFunc(value, func(c rune) bool { return c > '~' }) {
			return a, fmt.Sprintf("the value of %s may have ASCII characters only", k.word)
		}
		a.Value = asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(value)}
	}
	return a, ""
}

// unescapeDN undoes the escapes of RFC 4514 section 2.4 and drops spaces around the value that are not escaped.
func unescapeDN(s string) (value string, ok bool) {
	s = strings.TrimLeft(s, " ")
	var b []byte
	keep := 0 // what must not be trimmed at the end
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		i++
		switch {
		case i+1 < len(s) && isHex(s[i]) && isHex(s[i+1]):
			octet, _ := hex.DecodeString(s[i : i+2])
			b = append(b, octet...)
			i++
		case i < len(s):
			b = append(b, s[i])
		default:
			return "", false
		}
		keep = len(b)
	}
	for len(b) > keep && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return string(b), true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// dnString returns the text of a DER name, and whether it has one.
func dnString(der string) (string, bool) {
	names, ok := decodeDN(der)
	if !ok || len(names) == 0 {
		return "", false
	}
	var parts []string
	for _, rdn := range names {
		var avas []string
		for _, a := range rdn {
			value, ok := a.Value.(string)
			if !ok {
				return "", false
			}
			avas = append(avas, attributeWord(a.Type)+"="+escapeDN(value))
		}
		parts = append(parts, strings.Join(avas, "+"))
	}
	slices.Reverse(parts)
	return strings.Join(parts, ","), true
}

func decodeDN(der string) (names pkix.RDNSequence, ok bool) {
	rest, err := asn1.Unmarshal([]byte(der), &names)
	return names, err == nil && len(rest) == 0
}

func attributeWord(oid asn1.ObjectIdentifier) string {
	for _, a := range attributes {
		if a.oid.Equal(oid) {
			return a.word
		}
	}
	return oid.String()
}

// escapeDN escapes what RFC 4514 section 2.4 asks for.
func escapeDN(value string) string {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		outer := i == 0 && (c == ' ' || c == '#') || i == len(value)-1 && c == ' '
		if outer || strings.IndexByte(`"+,;<>\=`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// sameDN compares two DER names by type and text (RFC 5280 section 7.1, without Unicode normalisation): case and runs of
// spaces do not matter. A name with a value that is no text equals its own octets only, which the caller has compared.
func sameDN(a, b string) bool {
	x, ok1 := decodeDN(a)
	y, ok2 := decodeDN(b)
	return ok1 && ok2 && slices.EqualFunc(x, y, sameRDN)
}

func sameRDN(x, y pkix.RelativeDistinguishedNameSET) bool {
	return slices.EqualFunc(x, y, func(a, b pkix.AttributeTypeAndValue) bool {
		v, ok1 := a.Value.(string)
		w, ok2 := b.Value.(string)
		return ok1 && ok2 && a.Type.Equal(b.Type) && foldText(v) == foldText(w)
	})
}

func foldText(s string) string { return lowerASCII(strings.Join(strings.Fields(s), " ")) }
