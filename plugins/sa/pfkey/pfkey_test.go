package pfkey

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/plugins/sa/internal/guestlab"
	"github.com/parley-ike/parley/plugins/sa/internal/kernel"
	"github.com/parley-ike/parley/plugins/sa/pfkey/pfkeyv2"
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
	if err != nil || c.Name != "pfkey" || c.Reason == "" {
		t.Fatalf("%+v, %v", c, err)
	}
	t.Logf("usable %v: %s", c.Usable, c.Reason)
	if !c.Usable && !strings.HasPrefix(c.Reason, "sa/pfkey: ") {
		t.Errorf("reason %q", c.Reason)
	}
	if err := p.Install(context.Background(), children(1, cbc, false, false, false)[0]); !c.Usable && !errors.Is(err, sdk.ErrUnsupported) {
		t.Errorf("installing where there is no PF_KEY: %v", err)
	}
}

func TestErrorsOfTheKernelAreExplained(t *testing.T) {
	t.Parallel()
	for errno, want := range map[unix.Errno]string{unix.EAFNOSUPPORT: "af_key", unix.EPROTONOSUPPORT: "esp4", unix.ENOSYS: "xfrm", unix.EPERM: "CAP_NET_ADMIN", unix.ENOPROTOOPT: "MIGRATE"} {
		if err := meaning(errno); !errors.Is(err, errno) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), unix.ErrnoName(errno)) {
			t.Errorf("%v", err)
		}
	}
	if meaning(unix.EBUSY) != error(unix.EBUSY) || meaning(nil) != nil {
		t.Error("another error was changed")
	}
}

// RFC 4868 section 2.6: 128 bits of HMAC-SHA2-256. Linux leaves 96 of them, FreeBSD all 128.
func TestWhatNobodyElseUnderstandsIsNotUsable(t *testing.T) {
	t.Parallel()
	supports := &pfkeyv2.Message{Auths: []pfkeyv2.Algorithm{{ID: 3}, {ID: 5}, {ID: 6}}, Ciphers: []pfkeyv2.Algorithm{{ID: 12, MinBits: 128, MaxBits: 192}, {ID: 20, MinBits: 128, MaxBits: 256}}}
	for name, want := range map[string][]sa.Algorithm{
		"linux":   {{Type: 1, ID: 12, KeyBits: []uint16{128, 192}}, {Type: 3, ID: 2}, {Type: 3, ID: 13}},
		"freebsd": {{Type: 1, ID: 12, KeyBits: []uint16{128, 192}}, {Type: 1, ID: 20, KeyBits: []uint16{128, 192, 256}}, {Type: 3, ID: 2}, {Type: 3, ID: 12}, {Type: 3, ID: 13}},
	} {
		d := map[string]*pfkeyv2.Dialect{"linux": pfkeyv2.Linux(), "freebsd": pfkeyv2.FreeBSD()}[name]
		if got := usable(d, supports); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestReqIDsAreOfOurRangeAndNoTwoAlike(t *testing.T) {
	t.Parallel()
	var d driver
	taken := map[uint32]bool{}
	for i := range uint32(reqIDMax - ReqIDBase) {
		id, err := d.NewReqID(i*7919, func(id uint32) bool { return taken[id] })
		if err != nil || !ours(id) || id == ReqIDBase || taken[id] {
			t.Fatalf("%#x, %v", id, err)
		}
		taken[id] = true
	}
	if _, err := d.NewReqID(1, func(id uint32) bool { return taken[id] }); !errors.Is(err, sdk.ErrUnavailable) {
		t.Errorf("one more than there are: %v", err)
	}
}

// RFC 4303 section 3.3.3: numbers do not cycle, so an outbound SA has a limit in packets whatever the child has.
func TestAnOutboundSAEndsBeforeItsNumbersDo(t *testing.T) {
	t.Parallel()
	c := &sa.Child{Soft: sa.Volume{Bytes: 5}, Hard: sa.Volume{Bytes: 6, Packets: 1 << 40}}
	soft, hard := limits(c, true)
	if soft.Allocations != kernel.SoftNumber || hard.Allocations != kernel.HardNumber || soft.Bytes != 5 || hard.Bytes != 6 {
		t.Errorf("%+v, %+v", soft, hard)
	}
	if soft, hard = limits(c, false); soft.Allocations != 0 || hard.Allocations != 0 {
		t.Errorf("inbound: %+v, %+v", soft, hard)
	}
	c.Hard.Packets = 100
	if _, hard = limits(c, true); hard.Allocations != 100 {
		t.Errorf("a limit of 100 packets became %d", hard.Allocations)
	}
}

func TestOnlyPoliciesOfOursAreOurs(t *testing.T) {
	t.Parallel()
	c := children(1, cbc, false, false, false)[0]
	c.ReqID = ReqIDBase + 5
	all, err := kernel.Policies(&c)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []uint8{kernel.DirIn, kernel.DirOut, kernel.DirFwd} {
		m := selector(pfkeyv2.SPDDump, all[0], dir)
		shunt, foreign := *m.Policy, *m.Policy
		m.Policy.Requests = []pfkeyv2.Request{request(&c, dir)}
		if p, mine := ofOurs(m); !mine || p != (policy{all[0], dir}) {
			t.Errorf("%+v comes back as %+v, ours: %v", all[0], p, mine)
		}
		m.Policy.Requests[0].ReqID = 7
		if _, mine := ofOurs(m); mine {
			t.Error("another's reqid is taken for ours")
		}
		m.Policy = &shunt
		if _, mine := ofOurs(m); !mine {
			t.Error("a policy of ours without SAs is not known again")
		}
		foreign.Priority++
		m.Policy = &foreign
		if _, mine := ofOurs(m); mine {
			t.Error("another's policy without SAs is taken for ours")
		}
	}
	if _, mine := ofOurs(&pfkeyv2.Message{Policy: &pfkeyv2.Policy{Dir: 9}}); mine {
		t.Error("a policy without a selector")
	}
}

func TestAMoveNamesBothPlaces(t *testing.T) {
	t.Parallel()
	from := children(1, cbc, false, false, false)[0]
	to := from
	to.Local = netip.MustParseAddr("192.0.2.77")
	all, _ := kernel.Policies(&from)
	m := migration(&from, &to, all[0], kernel.DirIn)
	if r := m.Policy.Requests; len(r) != 2 || r[0].Dst != from.Local || r[1].Dst != to.Local || r[0].Src != from.Remote || r[1].Src != from.Remote {
		t.Errorf("%+v", m.Policy.Requests)
	}
}

func TestTheFamilyInsideIsToldWhereItDiffers(t *testing.T) {
	t.Parallel()
	d := &driver{socket: &socket{dialect: pfkeyv2.Linux()}}
	for _, six := range []bool{false, true} {
		c := children(1, cbc, false, false, six)[0]
		m := d.association(pfkeyv2.Add, &c, kernel.Outbound(&c))
		if six != (m.Proxy != nil) {
			t.Errorf("IPv6 inside %v: %+v", six, m.Proxy)
		}
		if b, err := d.dialect.Append(nil, m); err != nil || len(b) == 0 {
			t.Error(err)
		}
	}
	c := children(1, cbc, false, false, false)[0]
	c.RemoteTS = []sa.Selector{guestlab.Subnet("fd02::/64")}
	if oneFamily(&c) {
		t.Error("two families are taken for one")
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
		name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
		if _, ok := s.Properties[name]; !ok {
			t.Errorf("%s is not in the schema", name)
		}
		delete(s.Properties, name)
	}
	if len(s.Properties) != 0 {
		t.Errorf("%v", s.Properties)
	}
}

func TestItTellsTheSettingsThatItHas(t *testing.T) {
	t.Parallel()
	h := sa.Handling{ClearDF: true, IgnoreECN: true}
	for _, name := range h.Needs() {
		if !slices.Contains(settings, name) {
			t.Errorf("%s is set and not told", name)
		}
	}
	if flags(&h) != flagNoPMTU|flagNoECN || flags(&sa.Handling{}) != 0 {
		t.Errorf("flags %x", flags(&h))
	}
}
