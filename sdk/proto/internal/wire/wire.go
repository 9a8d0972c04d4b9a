// Package wire is what generated codecs are made of: reading and writing fields in the format of Protocol Buffers.
//
// It reads what package proto reads, and refuses what that refuses; fields that the reader does not know are left out. It
// never panics, and allocates nothing but the strings.
package wire

import (
	"errors"
	"math/bits"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Errors of a Reader.
var (
	ErrText  = errors.New("proto: a string is not UTF-8")
	ErrField = errors.New("proto: a field has an impossible number")
)

// Reader reads the fields of a message. After an error there are no more fields.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a reader of b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err returns what ended the message before its end.
func (r *Reader) Err() error { return r.err }

// Next returns the tag of the next field, which is its number shifted left by 3 and its wire type; 0: there is none.
func (r *Reader) Next() uint64 {
	if len(r.b) == 0 {
		return 0
	}
	if tag := r.b[0]; tag >= 1<<3 && tag < 1<<7 { // one octet, and the number is not 0
		r.b = r.b[1:]
		return uint64(tag)
	}
	num, typ, n := protowire.ConsumeTag(r.b)
	if n >= 0 && num > protowire.MaxValidNumber {
		r.fail(ErrField)
		return 0
	}
	r.took(n)
	return protowire.EncodeTag(num, typ)
}

// took drops n octets; a negative number is protowire's error.
func (r *Reader) took(n int) {
	if n < 0 {
		r.fail(protowire.ParseError(n))
		return
	}
	r.b = r.b[n:]
}

func (r *Reader) fail(err error) { r.b, r.err = nil, err }

// Sub fails with the error of a message that is a field.
func (r *Reader) Sub(err error) {
	if err != nil {
		r.fail(err)
	}
}

// Skip passes a field over.
func (r *Reader) Skip(tag uint64) {
	num, typ := protowire.DecodeTag(tag)
	if r.err == nil {
		r.took(protowire.ConsumeFieldValue(num, typ, r.b))
	}
}

// Uint reads a varint.
func (r *Reader) Uint() uint64 {
	if len(r.b) > 0 && r.b[0] < 1<<7 {
		v := r.b[0]
		r.b = r.b[1:]
		return uint64(v)
	}
	v, n := protowire.ConsumeVarint(r.b)
	r.took(n)
	return v
}

// Bytes reads octets, which stay where they are.
func (r *Reader) Bytes() []byte {
	v, n := protowire.ConsumeBytes(r.b)
	r.took(n)
	return v[:len(v):len(v)]
}

// String reads text.
func (r *Reader) String() string {
	v := r.Bytes()
	if !utf8.Valid(v) {
		r.fail(ErrText)
		return ""
	}
	return string(v)
}

// number is what packed fields are made of.
type number interface{ ~uint32 | ~uint64 | ~int32 }

// Packed appends the varints of a packed field to all.
func Packed[T number](r *Reader, all []T) []T {
	in := NewReader(r.Bytes())
	for len(in.b) > 0 {
		if v := in.Uint(); in.err == nil {
			all = append(all, T(v))
		}
	}
	r.Sub(in.err)
	return all
}

// Append functions leave out what is zero; their sizes are those of what they append. A tag is a field's.

// AppendUint appends a varint.
func AppendUint(b []byte, tag, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendVarint(b, tag), v)
}

// SizeUint is the size of AppendUint.
func SizeUint(tag, v uint64) int {
	if v == 0 {
		return 0
	}
	return size(tag) + size(v)
}

// AppendBytes appends octets or text.
func AppendBytes[T ~string | ~[]byte](b []byte, tag uint64, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return AppendItem(b, tag, v)
}

// SizeBytes is the size of AppendBytes.
func SizeBytes(tag uint64, n int) int {
	if n == 0 {
		return 0
	}
	return SizeItem(tag, n)
}

// AppendItem appends an element of a repeated field, which may be empty.
func AppendItem[T ~string | ~[]byte](b []byte, tag uint64, v T) []byte {
	return append(AppendLength(b, tag, len(v)), v...)
}

// SizeItem is the size of AppendItem, and of a message with n octets.
func SizeItem(tag uint64, n int) int { return size(tag) + size(uint64(n)) + n }

// AppendLength appends what stands before n octets.
func AppendLength(b []byte, tag uint64, n int) []byte {
	return protowire.AppendVarint(protowire.AppendVarint(b, tag), uint64(n))
}

// AppendPacked appends a packed field.
func AppendPacked[T number](b []byte, tag uint64, all []T) []byte {
	if len(all) == 0 {
		return b
	}
	b = AppendLength(b, tag, sizeAll(all))
	for _, v := range all {
		b = protowire.AppendVarint(b, uint64(v))
	}
	return b
}

// SizePacked is the size of AppendPacked.
func SizePacked[T number](tag uint64, all []T) int { return SizeBytes(tag, sizeAll(all)) }

func sizeAll[T number](all []T) (n int) {
	for _, v := range all {
		n += size(uint64(v))
	}
	return n
}

// size is that of a varint.
func size(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// Bit is a bool as a varint.
func Bit(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}
