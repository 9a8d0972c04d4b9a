package chain

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
)

// maxName bounds what a certificate says of itself, in octets: it ends in logs.
const maxName = 256

// name makes a certificate's own words fit for a line of a log.
func name(s string) string {
	if s == "" {
		return "(no name)"
	}
	if len(s) > maxName {
		s = s[:maxName] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// sameName compares Names as RFC 5280 section 7.1 does: attribute by attribute, without regard to the type of strings, to case and to
// the number of blanks. An operator who writes a name down does not know which type its authority chose.
func sameName(a, b []byte) bool {
	var x, y pkix.RDNSequence
	restX, errX := asn1.Unmarshal(a, &x)
	restY, errY := asn1.Unmarshal(b, &y)
	return errX == nil && errY == nil && len(restX)+len(restY) == 0 && len(x) > 0 && slices.EqualFunc(x, y, sameRDN)
}

func sameRDN(x, y pkix.RelativeDistinguishedNameSET) bool {
	return slices.EqualFunc(x, y, func(a, b pkix.AttributeTypeAndValue) bool {
		v, okV := a.Value.(string)
		w, okW := b.Value.(string)
		return okV && okW && a.Type.Equal(b.Type) && lower(strings.Join(strings.Fields(v), " ")) == lower(strings.Join(strings.Fields(w), " "))
	})
}

// distinguished renders the DER of a Name.
func distinguished(der []byte) (string, bool) {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &rdns); err != nil || len(rest) > 0 {
		return "", false
	}
	var n pkix.Name
	n.FillFromRDNSequence(&rdns)
	return n.String(), true
}
