package wire_test

import (
	"bytes"
	"testing"

	"github.com/parley-ike/parley/core/wire"
)

func TestLengthCountsFromItsStart(t *testing.T) {
	t.Parallel()
	b := []byte{0xff, 1, 2}
	b, length := wire.OpenLength16(b, 1)
	b = append(b, 3)
	length.Close(b)
	if want := []byte{0xff, 1, 2, 0, 5, 3}; !bytes.Equal(b, want) {
		t.Errorf("got %v, want %v", b, want)
	}
}

func TestLengthThatDoesNotFitIsZero(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][]byte{65535: {0xff, 0xff}, 65536: {0, 0}, 65537: {0, 0}} {
		b, length := wire.OpenLength16(nil, 0)
		b = append(b, make([]byte, n-2)...)
		length.Close(b)
		if !bytes.Equal(b[:2], want) {
			t.Errorf("%d octets: length field %x, want %x", n, b[:2], want)
		}
	}
}
