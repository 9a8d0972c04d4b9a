package link

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// Batches are encoded and decoded here by hand, in the format of Protocol Buffers, because every call crosses this code
// four times: the generated messages go through tables of types, which are slow in a process that has just been woken up
// and finds its caches full of another's data. Tests compare both.

// Field numbers of Batch and Frame.
const (
	fieldFrames = 1

	fieldID      = 1
	fieldReply   = 2
	fieldOp      = 3
	fieldService = 4
	fieldKey     = 5
	fieldBudget  = 6
	fieldBody    = 7
	fieldError   = 8
)

// appendBatch appends the encoding of b, whose fields come in the order of their numbers and are left out when zero.
func appendBatch(out []byte, b *basev1.Batch) ([]byte, error) {
	for _, f := range b.GetFrames() {
		fault, err := marshalError(f)
		if err != nil {
			return out, err
		}
		out = protowire.AppendTag(out, fieldFrames, protowire.BytesType)
		out = protowire.AppendVarint(out, uint64(sizeFrame(f, fault)))
		out = appendFrame(out, f, fault)
	}
	return out, nil
}

// marshalError returns the encoding of a frame's error, nil for none.
func marshalError(f *basev1.Frame) ([]byte, error) {
	if f.GetError() == nil {
		return nil, nil
	}
	return proto.MarshalOptions{}.MarshalAppend([]byte{}, f.GetError())
}

func sizeFrame(f *basev1.Frame, fault []byte) int {
	n := sizeVarint(f.Id) + sizeVarint(uint64(f.Op)) + sizeVarint(uint64(f.BudgetMs)) + sizeBytes(len(f.Service)) + sizeBytes(len(f.Body))
	if f.Reply {
		n += 1 + 1
	}
	if f.Key != 0 {
		n += 1 + 8
	}
	if fault != nil {
		n += 1 + protowire.SizeBytes(len(fault))
	}
	return n
}

// sizeVarint and sizeBytes are sizes with the tag, which is one octet for all fields.
func sizeVarint(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func sizeBytes(n int) int {
	if n == 0 {
		return 0
	}
	return 1 + protowire.SizeBytes(n)
}

func appendFrame(out []byte, f *basev1.Frame, fault []byte) []byte {
	out = appendVarint(out, fieldID, f.Id)
	if f.Reply {
		out = appendVarint(out, fieldReply, 1)
	}
	out = appendVarint(out, fieldOp, uint64(f.Op))
	if f.Service != "" {
		out = protowire.AppendString(protowire.AppendTag(out, fieldService, protowire.BytesType), f.Service)
	}
	if f.Key != 0 {
		out = protowire.AppendFixed64(protowire.AppendTag(out, fieldKey, protowire.Fixed64Type), f.Key)
	}
	out = appendVarint(out, fieldBudget, uint64(f.BudgetMs))
	if len(f.Body) > 0 {
		out = protowire.AppendBytes(protowire.AppendTag(out, fieldBody, protowire.BytesType), f.Body)
	}
	if fault != nil {
		out = protowire.AppendBytes(protowire.AppendTag(out, fieldError, protowire.BytesType), fault)
	}
	return out
}

func appendVarint(out []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return out
	}
	return protowire.AppendVarint(protowire.AppendTag(out, field, protowire.VarintType), v)
}

var errText = errors.New("link: the name of a service is not UTF-8")

// consumeTag is protowire's, with the generated code's bound on field numbers.
func consumeTag(b []byte) (protowire.Number, protowire.Type, int) {
	num, typ, n := protowire.ConsumeTag(b)
	if n >= 0 && num > protowire.MaxValidNumber {
		return 0, 0, errCodeFieldNumber
	}
	return num, typ, n
}

// errCodeFieldNumber stands for protowire's error of a field number that cannot be.
const errCodeFieldNumber = -2

// slabLen is how many frames of a large batch share an allocation. A slow call keeps its slab alive, which is why it is not
// the whole batch.
const slabLen = 16

// parseBatch decodes a batch; nothing of it lies in b. Fields that we do not know are left out.
func parseBatch(b []byte) (*basev1.Batch, error) {
	batch := &basev1.Batch{}
	var slab []basev1.Frame
	for len(b) > 0 {
		num, typ, n := consumeTag(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		field, value := b[n:], []byte(nil)
		if num != fieldFrames || typ != protowire.BytesType {
			n = protowire.ConsumeFieldValue(num, typ, field)
		} else if value, n = protowire.ConsumeBytes(field); n >= 0 {
			if len(slab) == 0 {
				slab = make([]basev1.Frame, min(slabLen, 1+len(batch.Frames)))
			}
			batch.Frames = append(batch.Frames, &slab[0])
			if err := parseFrame(&slab[0], value); err != nil {
				return nil, err
			}
			slab = slab[1:]
		}
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		b = field[n:]
	}
	return batch, nil
}

func parseFrame(f *basev1.Frame, b []byte) error {
	for len(b) > 0 {
		num, typ, n := consumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var err error
		switch typ {
		case protowire.VarintType:
			n = parseNumber(f, num, b)
		case protowire.Fixed64Type:
			n = parseKey(f, num, b)
		case protowire.BytesType:
			n, err = parseOctets(f, num, b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if err == nil && n < 0 {
			err = protowire.ParseError(n)
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func parseKey(f *basev1.Frame, num protowire.Number, b []byte) int {
	v, n := protowire.ConsumeFixed64(b)
	if num == fieldKey && n >= 0 {
		f.Key = v
	}
	return n
}

func parseNumber(f *basev1.Frame, num protowire.Number, b []byte) int {
	v, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return n
	}
	switch num {
	case fieldID:
		f.Id = v
	case fieldReply:
		f.Reply = protowire.DecodeBool(v)
	case fieldOp:
		f.Op = uint32(v)
	case fieldBudget:
		f.BudgetMs = uint32(v)
	}
	return n
}

func parseOctets(f *basev1.Frame, num protowire.Number, b []byte) (int, error) {
	v, n := protowire.ConsumeBytes(b)
	if n < 0 {
		return n, nil
	}
	switch num {
	case fieldService:
		if !utf8.Valid(v) {
			return n, errText
		}
		f.Service = string(v)
	case fieldBody:
		f.Body = append(make([]byte, 0, len(v)), v...) // in memory that the receiver wipes
	case fieldError:
		if f.Error == nil {
			f.Error = new(basev1.Error)
		}
		return n, proto.UnmarshalOptions{Merge: true, DiscardUnknown: true}.Unmarshal(v, f.Error)
	}
	return n, nil
}
