package mirror

import (
	"unicode/utf16"

	"github.com/parley-ike/parley/bus/event"
)

// Subjects begins the subject of every event; "parley.v1.evt.>" selects them all.
const Subjects = "parley.v1.evt"

// Subject returns the NATS subject of r: parley.v1.evt.<node>.<object>.<event>.<conn>, with "_" when the event concerns no
// connection. No SA is named in it: the server keeps state for each subject.
func Subject(node string, r event.Record) string {
	return string(appendSubject(nil, node, r.Subject.Conn, r.Event.Kind().Name))
}

func appendSubject(dst []byte, node, conn, name string) []byte {
	dst = append(dst, Subjects...)
	dst = append(dst, '.')
	dst = appendToken(dst, node)
	dst = append(dst, '.')
	dst = append(dst, name...) // "object.event"
	dst = append(dst, '.')
	if conn == "_" {
		return append(dst, "%5F"...) // "_" alone means no connection
	}
	return appendToken(dst, conn)
}

// appendToken appends name as one token of a subject: letters, digits, "_" and "-" stay, other bytes are percent-encoded.
func appendToken(dst []byte, name string) []byte {
	if name == "" {
		return append(dst, '_')
	}
	name, _ = shorten(name)
	for i := range len(name) {
		if c := name[i]; tokenByte(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return dst
}

func tokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func surrogates(r rune) (high, low uint16) {
	h, l := utf16.EncodeRune(r)
	return uint16(h), uint16(l)
}
