package wire_test

import (
	"errors"
	"testing"

	"github.com/parley-ike/parley/core/wire"
)

func TestReaderReadsFieldsInOrder(t *testing.T) {
	t.Parallel()
	r := wire.NewReader([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 100)
	if got := r.U8(); got != 1 {
		t.Errorf("U8 = %#x", got)
	}
	if got := r.U16(); got != 0x0203 {
		t.Errorf("U16 = %#x", got)
	}
	if got := r.U32(); got != 0x04050607 {
		t.Errorf("U32 = %#x", got)
	}
	r.Skip(1)
	if got := r.Offset(); got != 108 {
		t.Errorf("Offset = %d", got)
	}
	if got := r.Bytes(1); len(got) != 1 || got[0] != 9 || cap(got) != 1 {
		t.Errorf("Bytes = %v with capacity %d", got, cap(got))
	}
	if got := r.Rest(); len(got) != 2 {
		t.Errorf("Rest = %v", got)
	}
	if err := r.Finish(); err != nil {
		t.Error(err)
	}
}

func TestReaderYieldsNilForNothing(t *testing.T) {
	t.Parallel()
	r := wire.NewReader([]byte{}, 0)
	if r.Bytes(0) != nil || r.Rest() != nil {
		t.Error("no octets are not nil")
	}
	if err := r.Finish(); err != nil {
		t.Error(err)
	}
}

func TestReaderFailureSticks(t *testing.T) {
	t.Parallel()
	reads := map[string]func(*wire.Reader){
		"U8 of none":                        func(r *wire.Reader) { r.Skip(3); r.U8() },
		"U16 of one":                        func(r *wire.Reader) { r.Skip(2); r.U16() },
		"U32 of three":                      func(r *wire.Reader) { r.U32() },
		"too many bytes":                    func(r *wire.Reader) { r.Bytes(4) },
		"a negative count":                  func(r *wire.Reader) { r.Bytes(-1) },
		"too long a structure":              func(r *wire.Reader) { r.Leave(r.Enter(4)) },
		"a negative structure":              func(r *wire.Reader) { r.Leave(r.Enter(-1)) },
		"a structure not used":              func(r *wire.Reader) { r.Leave(r.Enter(2)) },
		"an inner structure past its outer": func(r *wire.Reader) { o := r.Enter(1); r.Leave(r.Enter(2)); r.Leave(o) },
		"a read past a structure":           func(r *wire.Reader) { s := r.Enter(1); r.U16(); r.Leave(s) },
		"a broken rule":                     func(r *wire.Reader) { r.Fail(1, "rule") },
	}
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := wire.NewReader([]byte{1, 2, 3}, 0)
			read(&r)
			if !r.Failed() || r.Len() != 0 {
				t.Fatalf("failed %v with %d octets left", r.Failed(), r.Len())
			}
			first := r.Err()
			if r.U8() != 0 || r.U16() != 0 || r.U32() != 0 || r.Bytes(1) != nil || r.Rest() != nil {
				t.Error("a read after the failure gave something")
			}
			r.Leave(r.Enter(1))
			r.Fail(7, "another rule")
			if err := r.Finish(); err == nil || err.Error() != first.Error() {
				t.Errorf("Finish = %v, want the first failure %v", err, first)
			}
		})
	}
}

func TestFinishRejectsTrailingOctets(t *testing.T) {
	t.Parallel()
	r := wire.NewReader([]byte{1, 2, 3}, 40)
	r.U16()
	var syntax *wire.SyntaxError
	if err := r.Finish(); !errors.As(err, &syntax) || syntax.Offset != 42 {
		t.Errorf("Finish = %v, want a failure at octet 42", err)
	}
}

func TestLeaveWidensTheReaderAgain(t *testing.T) {
	t.Parallel()
	r := wire.NewReader([]byte{1, 2, 3}, 0)
	outer := r.Enter(2)
	if r.Len() != 2 || r.U16() != 0x0102 {
		t.Error("the structure is not what was entered")
	}
	r.Leave(outer)
	if r.U8() != 3 || r.Finish() != nil {
		t.Error("the octet after the structure is lost")
	}
}
