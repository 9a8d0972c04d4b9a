package wire

import (
	"encoding/binary"
	"math"
)

// Length16 is a length field of two octets that waits for its value.
type Length16 struct{ start, field int }

// OpenLength16 adds a length field to b. The length will count from offset start of b, which lies at or before the
// field; Close fills it in, so that a length cannot disagree with what it measures.
func OpenLength16(b []byte, start int) ([]byte, Length16) {
	return append(b, 0, 0), Length16{start: start, field: len(b)}
}

// Close ends the measured structure at the end of b. A length that two octets cannot hold is written as zero, which
// every receiver refuses; better no message than one that says something else.
func (l Length16) Close(b []byte) {
	n := len(b) - l.start
	if n > math.MaxUint16 {
		n = 0
	}
	binary.BigEndian.PutUint16(b[l.field:], uint16(n))
}
