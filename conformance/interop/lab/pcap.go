package lab

import (
	"encoding/binary"
	"io"
	"time"
)

// The file format of libpcap: a header, then each packet behind its own, here in little endian with microseconds.
const (
	pcapMagic   = 0xa1b2c3d4
	pcapRawIP   = 101 // LINKTYPE_RAW: packets begin with their IP header
	pcapSnapLen = 65536
)

func writeFileHeader(w io.Writer) error {
	h := binary.LittleEndian.AppendUint32(nil, pcapMagic)
	h = binary.LittleEndian.AppendUint16(h, 2) // version 2.4
	h = binary.LittleEndian.AppendUint16(h, 4)
	h = append(h, make([]byte, 8)...) // time zone and accuracy, always 0
	h = binary.LittleEndian.AppendUint32(h, pcapSnapLen)
	h = binary.LittleEndian.AppendUint32(h, pcapRawIP)
	_, err := w.Write(h)
	return err
}

func writePacket(w io.Writer, ip []byte) error {
	now := time.Now()
	h := binary.LittleEndian.AppendUint32(nil, uint32(now.Unix()))
	h = binary.LittleEndian.AppendUint32(h, uint32(now.Nanosecond()/1000))
	h = binary.LittleEndian.AppendUint32(h, uint32(len(ip)))
	h = binary.LittleEndian.AppendUint32(h, uint32(len(ip)))
	_, err := w.Write(append(h, ip...))
	return err
}
