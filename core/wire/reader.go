package wire

import (
	"encoding/binary"
	"fmt"
)

// SyntaxError says that octets break a rule of the format.
type SyntaxError struct {
	Offset int    // octets before the place, counted from the start of the message
	Rule   string // the rule that is broken
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("wire: at octet %d this rule is broken: %s", e.Offset, e.Rule)
}

const (
	ruleTruncated = "a field ends within its payload"
	ruleTrailing  = "nothing follows the last field"
)

// Reader is a cursor with a sticky error: after the first failure every read yields zero and Len is 0, so that a parser
// reads all its fields and asks once, with Finish. The zero Reader is empty.
type Reader struct {
	b        []byte
	base     int // offset of b[0] in the message
	pos, end int // b[pos:end] is unread
	rule     string
	at       int // where rule was broken
}

// NewReader returns a cursor over b, whose first octet stands at offset base of the message.
func NewReader(b []byte, base int) Reader { return Reader{b: b, base: base, end: len(b)} }

// Len returns how many octets are left, 0 after a failure.
func (r *Reader) Len() int {
	if r.Failed() {
		return 0
	}
	return r.end - r.pos
}

// Offset returns the position in the message of the next octet.
func (r *Reader) Offset() int { return r.base + r.pos }

// Failed reports whether a read has failed.
func (r *Reader) Failed() bool { return r.rule != "" }

// Fail records that the rule is broken at offset at of the message, unless something failed before.
func (r *Reader) Fail(at int, rule string) {
	if !r.Failed() {
		r.rule, r.at = rule, at
	}
}

// take returns the next n octets, or nil and a failure when there are fewer.
func (r *Reader) take(n int) []byte {
	if r.Failed() {
		return nil
	}
	if n < 0 || n > r.end-r.pos {
		r.Fail(r.Offset(), ruleTruncated)
		return nil
	}
	s := r.b[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return s
}

// U8 reads one octet.
func (r *Reader) U8() uint8 {
	if s := r.take(1); s != nil {
		return s[0]
	}
	return 0
}

// U16 reads two octets in network order.
func (r *Reader) U16() uint16 {
	if s := r.take(2); s != nil {
		return binary.BigEndian.Uint16(s)
	}
	return 0
}

// U32 reads four octets in network order.
func (r *Reader) U32() uint32 {
	if s := r.take(4); s != nil {
		return binary.BigEndian.Uint32(s)
	}
	return 0
}

// Skip passes over n octets: RESERVED fields, whose content is ignored (RFC 7296 section 2.5).
func (r *Reader) Skip(n int) { r.take(n) }

// Bytes reads n octets, as a part of the input. No octets are nil.
func (r *Reader) Bytes(n int) []byte {
	s := r.take(n)
	if len(s) == 0 {
		return nil
	}
	return s
}

// Rest reads all that is left.
func (r *Reader) Rest() []byte { return r.Bytes(r.Len()) }

// Scope is what a Reader was narrowed from.
type Scope struct{ end int }

// Enter narrows the reader to the next n octets, a structure with its own length. Leave takes the result.
func (r *Reader) Enter(n int) Scope {
	outer := Scope{r.end}
	switch {
	case r.Failed():
	case n < 0 || n > r.end-r.pos:
		r.Fail(r.Offset(), ruleTruncated)
	default:
		r.end = r.pos + n
	}
	return outer
}

// Leave widens the reader again. It fails when octets of the structure are unread.
func (r *Reader) Leave(outer Scope) {
	if r.Len() > 0 {
		r.Fail(r.Offset(), ruleTrailing)
	}
	r.end = outer.end
}

// Err returns the first failure as a *SyntaxError, or nil.
func (r *Reader) Err() error {
	if !r.Failed() {
		return nil
	}
	return &SyntaxError{Offset: r.at, Rule: r.rule}
}

// Finish returns the first failure, which may be that octets are left.
func (r *Reader) Finish() error {
	if r.Len() > 0 {
		r.Fail(r.Offset(), ruleTrailing)
	}
	return r.Err()
}
