package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/parley-ike/parley/core/wire"
)

// headerHex is written after figure 4 of RFC 7296 section 3.1, field by field.
const headerHex = "0102030405060708" + // initiator's SPI
	"1112131415161718" + // responder's SPI
	"21" + // next payload
	"20" + // major and minor version
	"22" + // exchange type
	"08" + // flags
	"0000002a" + // message ID
	"0000001c" // length

var header = wire.Header{
	InitiatorSPI: 0x0102030405060708, ResponderSPI: 0x1112131415161718,
	NextPayload: 33, Major: 2, Minor: 0, Exchange: 34, Flags: wire.FlagInitiator, MessageID: 42, Length: 28,
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHeaderIsReadAndWrittenAsInFigure4(t *testing.T) {
	t.Parallel()
	raw := unhex(t, headerHex)
	h, err := wire.ParseHeader(raw)
	if err != nil || h != header {
		t.Errorf("ParseHeader = %+v, %v, want %+v", h, err, header)
	}
	if got := header.Append([]byte{0xff}); !bytes.Equal(got, append([]byte{0xff}, raw...)) {
		t.Errorf("Append = %x", got)
	}
}

func TestHeaderKeepsEveryBit(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{0xa5}, wire.HeaderLen)
	h, err := wire.ParseHeader(raw)
	if err != nil {
		t.Fatal(err)
	}
	if h.Major != 0xa || h.Minor != 0x5 {
		t.Errorf("version %d.%d, want 10.5", h.Major, h.Minor)
	}
	if got := h.Append(nil); !bytes.Equal(got, raw) {
		t.Errorf("Append = %x, want %x", got, raw)
	}
}

func TestEveryPrefixOfAHeaderFails(t *testing.T) {
	t.Parallel()
	raw := unhex(t, headerHex)
	for n := range raw {
		_, err := wire.ParseHeader(raw[:n])
		var syntax *wire.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%d octets: error %v", n, err)
		}
	}
}

// Short and alien datagrams are the cheapest flood there is; looking at a header must not cost memory.
func TestHeaderPathDoesNotAllocate(t *testing.T) {
	raw := unhex(t, headerHex)
	buf := make([]byte, 0, wire.HeaderLen)
	allocs := testing.AllocsPerRun(100, func() {
		h, err := wire.ParseHeader(raw)
		if err != nil {
			panic(err)
		}
		buf = h.Append(buf[:0])
		if _, err := wire.ParseHeader(raw[:27]); err == nil {
			panic("short header accepted")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
