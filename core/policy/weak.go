package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// weak lists algorithms that RFC 8247 and RFC 8221 advise against and that peers still offer.
var weak = []string{"3des", "sha1", "prfsha1", "modp1024", "modp1536"}

// WeakIn returns those algorithms of a suite that are weak, by the words of the configuration.
func WeakIn(s suite.Suite) (list []string) {
	for _, t := range []Transform{{Type: wire2.TransformENCR, ID: uint16(s.Encr), KeyBits: s.KeyBits}, {Type: wire2.TransformPRF, ID: uint16(s.PRF)},
		{Type: wire2.TransformINTEG, ID: uint16(s.Integ)}, {Type: wire2.TransformKE, ID: uint16(s.KE)}} {
		if slices.Contains(weak, t.Token()) {
			list = append(list, t.Token())
		}
	}
	return list
}

// WeakReason says what is wrong with algorithms that WeakIn found.
func WeakReason(list []string) string {
	return "RFC 8247 and RFC 8221 advise against " + strings.Join(list, " and ") + ": name other proposals when the peer can"
}

// caution warns when only weak algorithms would help.
func caution(add []Transform) string {
	var bad []string
	for _, t := range add {
		if slices.Contains(weak, t.Token()) {
			bad = append(bad, t.Token())
		}
	}
	if len(bad) == 0 {
		return ""
	}
	verb := "is"
	if len(bad) > 1 {
		verb = "are"
	}
	return fmt.Sprintf(" (%s %s weak: for this connection only)", strings.Join(bad, " and "), verb)
}
