package xfrm

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"slices"
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
		"no cipher": {suite{3, 0, 2}, 24, 20, sdk.ErrUnsupported}, "gcm with integrity": {suite{20, 128, 12}, 20, 32, sdk.ErrUnsupported},
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

func TestSelectorsBecomePolicies(t *testing.T) {
	t.Parallel()
	c := children(1, suite{20, 128, 0}, false, false, false)[0]
	got, err := policies(&c)
	if err != nil || len(got) != 2 || got[0].local.String() != nets4[0] || got[0].remote.String() != nets4[1] {
		t.Errorf("%v, %v", got, err)
	}
	c.RemoteTS = []sa.Selector{{Protocol: 6, StartPort: 443, EndPort: 443, Start: netip.MustParseAddr("10.0.0.1"), End: netip.MustParseAddr("10.0.0.6")}}
	got, err = policies(&c)
	if err != nil || len(got) != 4 || got[0].remotePort != 443 || got[0].proto != 6 { // .1 .2/31 .4/31 .6
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []sa.Selector{
		{Protocol: 6, StartPort: 1, EndPort: 2, Start: c.RemoteTS[0].Start, End: c.RemoteTS[0].End},
		{Protocol: 1, StartPort: 0x800, EndPort: 0x800, Start: c.RemoteTS[0].Start, End: c.RemoteTS[0].End},
		subnet("2001:db8::/32"),
	} {
		c.RemoteTS, c.LocalTS = []sa.Selector{bad}, []sa.Selector{subnet(nets4[0])}
		if _, err := policies(&c); !errors.Is(err, sdk.ErrUnsupported) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	narrow, wide := got[0].priority(), traffic{local: netip.MustParsePrefix("0.0.0.0/0"), remote: netip.MustParsePrefix("0.0.0.0/0")}.priority()
	if narrow >= wide {
		t.Error("a wide policy wins over a narrow one")
	}
}

// Each pair of these would make 254 x 254 policies, all pairs together hundreds of MB.
func TestSelectorsOfTooManyPoliciesAreRefusedEarly(t *testing.T) {
	t.Parallel()
	odd := sa.Selector{EndPort: 65535, Start: netip.MustParseAddr("::1"), End: netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe")}
	c := sa.Child{LocalTS: slices.Repeat([]sa.Selector{odd}, 6), RemoteTS: slices.Repeat([]sa.Selector{odd}, 6)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := policies(&c)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, sdk.ErrUnsupported) || after.TotalAlloc-before.TotalAlloc > 128<<20 {
		t.Errorf("%v, %d octets", err, after.TotalAlloc-before.TotalAlloc)
	}
}

func TestTheJournalSurvivesAndHoldsNoKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := openJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := children(1, suite{12, 128, 12}, true, true, true)[0]
	c.EncrIn = []byte("topsecret1234567")
	e := newEntry(c)
	if err := j.put(e); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(j.path)
	if strings.Contains(string(text), "topsecret") || strings.Contains(string(text), "Encr\":\"") {
		t.Errorf("%s", text)
	}
	if info, _ := os.Stat(j.path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	again, err := openJournal(dir)
	if err != nil || !reflect.DeepEqual(again.entries[c.UID], e) {
		t.Errorf("%+v, %v, want %+v", again, err, e)
	}
	c.EncrOut[0]++
	if reflect.DeepEqual(newEntry(c), e) {
		t.Error("other keys look the same")
	}
	if err := os.WriteFile(j.path, []byte("{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(dir); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("%v", err)
	}
}

func TestOnlyOurReqidsAreOurs(t *testing.T) {
	t.Parallel()
	for id, want := range map[uint32]bool{ReqIDBase: true, ReqIDBase + reqIDMask: true, ReqIDBase + reqIDMask + 1: false, 7: false, 0: false, ReqIDBase - 1: false} {
		if ours(id) != want {
			t.Errorf("%x: %v", id, !want)
		}
	}
	if a := reqID(&sa.Child{Conn: "a"}); !ours(a) || a == reqID(&sa.Child{Conn: "b"}) || a != reqID(&sa.Child{Conn: "a", SPIIn: 9}) {
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
		if got := reqID(&sa.Child{ReqID: id}); !ours(got) {
			t.Errorf("reqid %d becomes %#x, which is not ours", id, got)
		}
	}
}
