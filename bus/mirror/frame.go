package mirror

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/parley-ike/parley/bus/event"
)

// A frame is one event on disk:
//
//	length of the body (4, little endian) | CRC-32C of the body (4) | body
//
// and the body is the parts of a message, each with its length (4) before it.
const (
	frameHeader = 8
	partHeader  = 4
	maxFrame    = 128 << 10 // a claimed length above it is damage
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn says that no whole frame stands here: the end of what was written, or damage.
var errTorn = errors.New("mirror: torn frame")

// message is a rendered event with what its NATS headers repeat.
type message struct {
	id, subject, kind, about, time string
	payload                        []byte
}

// appendFrame renders r as a frame.
func (e *renderer) appendFrame(dst []byte, r event.Record) ([]byte, error) {
	start := len(dst)
	name := r.Event.Kind().Name
	dst = append(dst, make([]byte, frameHeader)...)
	dst = part(dst, func(dst []byte) []byte { return e.appendID(dst, r.Sequence) })
	dst = part(dst, func(dst []byte) []byte { return appendSubject(dst, e.node, r.Subject.Conn, name) })
	dst = part(dst, func(dst []byte) []byte { return append(append(append(dst, "parley."...), name...), ".v1"...) })
	dst = part(dst, func(dst []byte) []byte { return e.appendAbout(dst, r.Subject) })
	dst = part(dst, func(dst []byte) []byte { return r.Time.UTC().AppendFormat(dst, timeFormat) })
	var err error
	dst = part(dst, func(dst []byte) []byte {
		dst, err = e.render(dst, r)
		return dst
	})
	body := dst[start+frameHeader:]
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[start+4:], crc32.Checksum(body, castagnoli))
	return dst, err
}

func part(dst []byte, fill func([]byte) []byte) []byte {
	start := len(dst)
	dst = fill(append(dst, make([]byte, partHeader)...))
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start-partHeader))
	return dst
}

// frameSize returns the size of the frame at the beginning of b, which may hold less than that, or errTorn.
func frameSize(b []byte) (int, error) {
	if len(b) < frameHeader {
		return frameHeader, nil
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || n > maxFrame {
		return 0, errTorn
	}
	return frameHeader + int(n), nil
}

// parseFrame takes a whole frame apart. The payload points into it.
func parseFrame(frame []byte) (message, error) {
	body := frame[frameHeader:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(frame[4:]) {
		return message{}, errTorn
	}
	var parts [6][]byte
	for i := range parts {
		if len(body) < partHeader {
			return message{}, errTorn
		}
		n := binary.LittleEndian.Uint32(body)
		body = body[partHeader:]
		if uint64(n) > uint64(len(body)) {
			return message{}, errTorn
		}
		parts[i], body = body[:n], body[n:]
	}
	return message{string(parts[0]), string(parts[1]), string(parts[2]), string(parts[3]), string(parts[4]), parts[5]}, nil
}
