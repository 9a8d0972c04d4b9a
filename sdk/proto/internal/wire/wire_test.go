package wire_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"pgregory.net/rapid"

	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
	kev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/ke/v1"
	sav1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/sa/v1"
)

// coded is a message with a generated codec.
type coded interface {
	proto.Message
	WireSize() int
	AppendWire([]byte) []byte
	ParseWire([]byte) error
}

// files hold the bodies of frames.
var files = []protoreflect.FileDescriptor{
	authv1.File_parley_plugin_auth_v1_auth_proto, credv1.File_parley_plugin_cred_v1_cred_proto,
	kev1.File_parley_plugin_ke_v1_ke_proto, sav1.File_parley_plugin_sa_v1_sa_proto,
}

// messages are all of them, empty.
func messages(t testing.TB) (all []coded) {
	for _, f := range files {
		for i := range f.Messages().Len() {
			name := f.Messages().Get(i).FullName()
			typ, err := protoregistry.GlobalTypes.FindMessageByName(name)
			if err != nil {
				t.Fatal(err)
			}
			m, ok := typ.New().Interface().(coded)
			if !ok {
				t.Fatalf("%s has no codec: run `make gen`", name)
			}
			all = append(all, m)
		}
	}
	return all
}

func fresh(m coded) coded { return m.ProtoReflect().New().Interface().(coded) }

// draw fills a message with anything, by its descriptor, so that a field that is added is tested, too.
func draw(t *rapid.T, m protoreflect.Message) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		switch {
		case f.IsList():
			list := m.Mutable(f).List()
			for range rapid.IntRange(0, 3).Draw(t, "length") {
				list.Append(drawValue(t, f, list.NewElement))
			}
		case rapid.Bool().Draw(t, "present"):
			m.Set(f, drawValue(t, f, func() protoreflect.Value { return m.NewField(f) }))
		}
	}
}

func drawValue(t *rapid.T, f protoreflect.FieldDescriptor, empty func() protoreflect.Value) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.MessageKind:
		v := empty()
		draw(t, v.Message())
		return v
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "octets"))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(rapid.StringN(0, 40, 200).Draw(t, "text"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.Int32().Draw(t, "enum")))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "number"))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "number"))
	}
	t.Fatalf("%s: fields of kind %v are not tested", f.FullName(), f.Kind())
	panic("unreachable")
}

func TestMessagesAreWrittenAndReadAsPackageProtoDoes(t *testing.T) {
	t.Parallel()
	for _, m := range messages(t) {
		t.Run(string(m.ProtoReflect().Descriptor().FullName()), rapid.MakeCheck(func(t *rapid.T) {
			m := fresh(m)
			draw(t, m.ProtoReflect())
			want, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			got := m.AppendWire([]byte("before"))
			if !bytes.Equal(got, append([]byte("before"), want...)) || m.WireSize() != len(want) {
				t.Fatalf("%v: wrote %x, want %x; size %d, want %d", m, got, want, m.WireSize(), len(want))
			}
			read := fresh(m)
			if err := read.ParseWire(want); err != nil || !proto.Equal(read, m) {
				t.Fatalf("read %v, want %v, error %v", read, m, err)
			}
		}))
	}
}

// compare reads b with both codecs.
func compare(t rapid.TB, m coded, b []byte) {
	t.Helper()
	want, got := fresh(m), fresh(m)
	errWant := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b, want)
	errGot := got.ParseWire(b)
	if (errWant == nil) != (errGot == nil) {
		t.Fatalf("%s of %x: error %v, want %v", m.ProtoReflect().Descriptor().FullName(), b, errGot, errWant)
	}
	if errWant == nil && !proto.Equal(got, want) {
		t.Fatalf("read %x as %v, want %v", b, got, want)
	}
}

// drawField makes a field that may be known or not, and of the right type or not.
func drawField(t *rapid.T) []byte {
	num := protowire.Number(rapid.OneOf(rapid.IntRange(0, 30), rapid.IntRange(1<<28, 1<<30)).Draw(t, "number"))
	typ := protowire.Type(rapid.IntRange(0, 7).Draw(t, "type"))
	b := protowire.AppendVarint(nil, uint64(num)<<3|uint64(typ))
	switch typ {
	case protowire.VarintType:
		b = protowire.AppendVarint(b, rapid.Uint64().Draw(t, "varint"))
	case protowire.Fixed32Type:
		b = protowire.AppendFixed32(b, rapid.Uint32().Draw(t, "fixed32"))
	case protowire.Fixed64Type:
		b = protowire.AppendFixed64(b, rapid.Uint64().Draw(t, "fixed64"))
	case protowire.BytesType:
		b = protowire.AppendBytes(b, rapid.OneOf(rapid.Just[[]byte](nil), rapid.SliceOfN(rapid.ByteRange(0, 40), 0, 30),
			rapid.SliceOfN(rapid.Byte(), 0, 3)).Draw(t, "octets"))
	case protowire.StartGroupType:
		b = protowire.AppendVarint(b, uint64(num)<<3|uint64(protowire.EndGroupType))
	}
	return b
}

func TestWhateverArrivesIsReadOrRefusedAsByPackageProto(t *testing.T) {
	t.Parallel()
	for _, m := range messages(t) {
		t.Run(string(m.ProtoReflect().Descriptor().FullName()), rapid.MakeCheck(func(t *rapid.T) {
			var b []byte
			for range rapid.IntRange(0, 6).Draw(t, "fields") {
				b = append(b, drawField(t)...)
			}
			compare(t, m, b[:rapid.IntRange(0, len(b)).Draw(t, "cut")])
		}))
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range messages(f) {
		f.Add(m.AppendWire(nil))
	}
	child := &sav1.InstallChildRequest{Child: &sav1.Child{Uid: make([]byte, 16), Name: "net", SpiIn: 1 << 31, LocalTs: []*sav1.Selector{{EndPort: 65535}}}}
	f.Add(child.AppendWire(nil))
	f.Add((&authv1.SignRequest{Auth: "psk", PeerHashes: []uint32{1, 300}}).AppendWire(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range messages(t) {
			compare(t, m, b)
		}
	})
}

func TestOctetsThatAreReadEndWhereTheirFieldEnds(t *testing.T) {
	t.Parallel()
	b := (&kev1.RespondResponse{Public: []byte("public"), Secret: []byte("secret")}).AppendWire(nil)
	var r kev1.RespondResponse
	if err := r.ParseWire(b); err != nil {
		t.Fatal(err)
	}
	_ = append(r.Public, "12345678"...)
	if string(r.Secret) != "secret" {
		t.Errorf("the secret became %q", r.Secret)
	}
}
