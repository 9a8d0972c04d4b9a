package chain

import (
	"crypto/x509/pkix"
	"encoding/asn1"
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
