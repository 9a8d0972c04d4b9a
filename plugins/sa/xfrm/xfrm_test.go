package xfrm

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
)

func TestProbeTellsWhyThisKernelCannot(t *testing.T) {
	p, err := New(Config{StateDir: t.TempDir()}, Sockets{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := p.Probe(context.Background())
	if err != nil || c.Name != "xfrm" || c.Reason == "" {
		t.Fatalf("%+v, %v", c, err)
	}
	t.Logf("usable %v: %s", c.Usable, c.Reason)
	if !c.Usable && !strings.HasPrefix(c.Reason, "sa/xfrm: ") {
		t.Errorf("reason %q", c.Reason)
	}
	if c.Usable && len(c.Algorithms) == 0 {
		t.Error("usable without algorithms")
	}
}

func TestErrorsOfTheKernelAreExplained(t *testing.T) {
	t.Parallel()
	for errno, want := range map[unix.Errno]string{unix.EPROTONOSUPPORT: "esp4", unix.ENOSYS: "crypto modules", unix.EPERM: "CAP_NET_ADMIN", unix.EAFNOSUPPORT: "esp6"} {
		if err := meaning(errno); !errors.Is(err, errno) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), unix.ErrnoName(errno)) {
			t.Errorf("%v", err)
		}
	}
	if meaning(unix.EBUSY) != error(unix.EBUSY) || meaning(nil) != nil {
		t.Error("another error was changed")
	}
}

func TestTransformsAreCheckedBeforeTheKernelSeesThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		s    suite
		encr int
		mac  int
		kind error
	}{
		"gcm": {suite{20, 256, 0}, 36, 0, nil}, "chacha": {suite{28, 0, 0}, 36, 0, nil}, "cbc": {suite{12, 128, 12}, 16, 32, nil},
		"3des": {suite{3, 0, 2}, 24, 20, nil}, "short 3des": {suite{3, 0, 2}, 16, 20, sdk.ErrInvalid},
		"no cipher": {suite{7, 0, 2}, 24, 20, sdk.ErrUnsupported}, "gcm with integrity": {suite{20, 128, 12}, 20, 32, sdk.ErrUnsupported},
		"cbc without": {suite{12, 128, 0}, 16, 0, sdk.ErrUnsupported}, "md5": {suite{12, 128, 1}, 16, 16, sdk.ErrUnsupported},
		"short": {suite{20, 128, 0}, 16, 0, sdk.ErrInvalid}, "odd": {suite{20, 64, 0}, 12, 0, sdk.ErrInvalid}, "short mac": {suite{12, 128, 12}, 16, 20, sdk.ErrInvalid},
	} {
		_, err := transforms(&sa.Child{Encr: c.s.encr, KeyBits: c.s.bits, Integ: c.s.integ}, make([]byte, c.encr), make([]byte, c.mac))
		if !errors.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSHA256HasTheICVOfRFC4868(t *testing.T) {
	t.Parallel()
	attrs, err := transforms(&sa.Child{Encr: 12, KeyBits: 128, Integ: 12}, make([]byte, 16), make([]byte, 32))
	if err != nil || len(attrs) != 2 || attrs[1].data[68] != 128 {
		t.Errorf("%v: the kernel's own default of 96 bits interoperates with nobody", err)
	}
}

func TestOnlyOurReqidsAreOurs(t *testing.T) {
	t.Parallel()
	for id, want := range map[uint32]bool{ReqIDBase: true, ReqIDBase + reqIDMask: true, ReqIDBase + reqIDMask + 1: false, 7: false, 0: false, ReqIDBase - 1: false} {
		if plain.ours(id) != want {
			t.Errorf("%x: %v", id, !want)
		}
	}
	if a := plain.reqID(&sa.Child{Conn: "a"}); !plain.ours(a) || a == plain.reqID(&sa.Child{Conn: "b"}) || a != plain.reqID(&sa.Child{Conn: "a", SPIIn: 9}) {
		t.Error("reqids of children without one")
	}
}

func TestTheSchemaMatchesTheConfiguration(t *testing.T) {
	t.Parallel()
	var s struct{ Properties map[string]any }
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	kind := reflect.TypeFor[Config]()
	for i := range kind.NumField() {
		delete(s.Properties, kind.Field(i).Tag.Get("json"))
	}
	if len(s.Properties) != 0 || kind.NumField() != 4 {
		t.Errorf("%v", s.Properties)
	}
}

func TestAnyReqIDOfTheCoreBecomesOneOfOurs(t *testing.T) {
	t.Parallel()
	for _, id := range []uint32{0, 1, reqIDMask, reqIDMask + 1, 1<<32 - 1} {
		if got := plain.reqID(&sa.Child{ReqID: id}); !plain.ours(got) {
			t.Errorf("reqid %d becomes %#x, which is not ours", id, got)
		}
	}
}

var plain = &driver{base: ReqIDBase}
