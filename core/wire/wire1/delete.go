package wire1

import (
	"encoding/binary"

	"github.com/parley-ike/parley/core/wire"
)

// Type returns TypeDelete.
func (Delete) Type() wire.PayloadType { return TypeDelete }

func parseDelete(r *wire.Reader) Delete {
	// DOI (4), Protocol-Id (1), SPI Size (1), # of SPIs (2), SPIs: RFC 2408 section 3.15.
	d := Delete{DOI: r.U32(), Protocol: ProtocolID(r.U8())}
	at := r.Offset()
	d.SPISize = r.U8()
	if !validDeleteSize(d.Protocol, d.SPISize) {
		r.Fail(at, "an SPI to delete has 16 octets for ISAKMP, 4 for AH and ESP (RFC 2408 section 3.15)")
	}
	count, size := int(r.U16()), int(d.SPISize)
	switch {
	case count > MaxDeleteSPIs:
		r.Fail(at+1, "a Delete payload has at most 1024 SPIs")
	case count*size != r.Len() || count > 0 && size == 0:
		r.Fail(at+1, "# of SPIs agrees with SPI size and payload length (RFC 2408 section 3.15)")
	}
	if r.Failed() || count == 0 {
		return d
	}
	d.SPIs = make([][]byte, count)
	for i := range d.SPIs {
		d.SPIs[i] = r.Bytes(size)
	}
	return d
}

func validDeleteSize(protocol ProtocolID, size uint8) bool {
	switch protocol {
	case ProtoISAKMP:
		return size == maxISAKMPSPI
	case ProtoAH, ProtoESP:
		return size == 4
	}
	return true
}

// append takes the SPI size from the SPIs where there are any.
func (d Delete) append(b []byte) []byte {
	size := d.SPISize
	if len(d.SPIs) > 0 {
		size = uint8(len(d.SPIs[0]))
	}
	b = binary.BigEndian.AppendUint32(b, d.DOI)
	b = append(b, byte(d.Protocol), size)
	b = binary.BigEndian.AppendUint16(b, uint16(len(d.SPIs)))
	for _, spi := range d.SPIs {
		b = append(b, spi...)
	}
	return b
}

// CookieSPI returns the SPI of an ISAKMP SA in notifies and deletes: both cookies (RFC 2408 section 2.4).
func CookieSPI(initiator, responder uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, initiator), responder)
}
