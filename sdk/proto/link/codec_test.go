package link

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

func drawFrame(t *rapid.T) *basev1.Frame {
	f := &basev1.Frame{
		Id: rapid.Uint64().Draw(t, "id"), Reply: rapid.Bool().Draw(t, "reply"), Op: rapid.Uint32().Draw(t, "op"),
		Service: rapid.StringN(0, 8, 200).Draw(t, "service"), Key: rapid.Uint64().Draw(t, "key"),
		BudgetMs: rapid.Uint32().Draw(t, "budget"), Body: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body"),
	}
	if rapid.Bool().Draw(t, "failed") {
		f.Error = &basev1.Error{Kind: basev1.Error_Kind(rapid.IntRange(0, 7).Draw(t, "kind")), Text: rapid.StringN(0, 9, -1).Draw(t, "text")}
	}
	return f
}

func TestBatchesAreEncodedAsTheGeneratedCodeDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := &basev1.Batch{Frames: rapid.SliceOfN(rapid.Custom(drawFrame), 0, 40).Draw(t, "frames")}
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := appendBatch(nil, b)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v: got %x, want %x, error %v", b, got, want, err)
		}
		read, err := parseBatch(got)
		if err != nil || !proto.Equal(read, b) {
			t.Fatalf("read %v, want %v, error %v", read, b, err)
		}
	})
}

func TestNothingOfABatchLiesInTheBufferThatIsWiped(t *testing.T) {
	t.Parallel()
	b := &basev1.Batch{Frames: frames("a body", "another")}
	encoded, err := appendBatch(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	read, err := parseBatch(encoded)
	clear(encoded)
	if err != nil || !proto.Equal(read, b) {
		t.Errorf("got %v, want %v, error %v", read, b, err)
	}
}

// FuzzParseBatch: whatever arrives is read as the generated code reads it, unknown fields apart, or refused by both.
func FuzzParseBatch(f *testing.F) {
	seed, _ := appendBatch(nil, &basev1.Batch{Frames: frames("one", "two")})
	f.Add(seed)
	f.Add([]byte{0x0a, 0x04, 0x22, 0x02, 0xff, 0xfe})                         // a name that is no text
	f.Add([]byte{0x10, 0x01, 0x0a, 0x02, 0x48, 0x01})                         // unknown fields
	f.Add([]byte{0x0a, 0x08, 0x42, 0x02, 0x08, 0x01, 0x42, 0x02, 0x12, 0x00}) // an error in two parts
	f.Add([]byte{0x0b, 0x0c})                                                 // a group
	f.Add([]byte{0xf0, 0xf0, 0xd5, 0xf4, 0x30, 0x30})                         // a field number beyond the highest
	f.Fuzz(func(t *testing.T, in []byte) {
		var want basev1.Batch
		wantErr := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(in, &want)
		got, err := parseBatch(in)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%x: error %v, the generated code's %v", in, err, wantErr)
		}
		if err == nil && !proto.Equal(got, &want) {
			t.Fatalf("%x: got %v, want %v", in, got, &want)
		}
	})
}
