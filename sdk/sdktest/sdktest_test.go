package sdktest_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/sdktest"
	"github.com/parley-ike/parley/sdk/serve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// psk is an authenticator in a few lines, with no fused call: the SDK does verify, then sign.
type psk struct{ signed *int }

func (psk) Methods() []string { return []string{"psk"} }

func (p psk) Sign(ctx context.Context, h auth.Host, s auth.Sign) (auth.Signed, error) {
	*p.signed++
	macs, err := h.MAC(ctx, cred.Query{Purpose: cred.PSK, Local: s.Local, Remote: s.Remote}, []cred.MAC{{Scheme: cred.IKEv2Auth, PRF: s.PRF, Data: s.Octets}})
	if err != nil {
		return auth.Signed{}, err
	}
	return auth.Signed{Method: 2, Data: macs[0]}, nil
}

func (psk) Verify(ctx context.Context, h auth.Host, v auth.Verify) (auth.Identity, error) {
	macs, err := h.MAC(ctx, cred.Query{Purpose: cred.PSK, Local: v.Local, Remote: v.Remote}, []cred.MAC{{Scheme: cred.IKEv2Auth, PRF: v.PRF, Data: v.Octets}})
	if err != nil {
		return auth.Identity{}, err
	}
	if !slices.Equal(macs[0], v.Data) {
		return auth.Identity{}, fmt.Errorf("%w: wrong key", sdk.ErrRefused)
	}
	return v.Remote, nil
}

func TestAnAuthenticatorReachesItsHost(t *testing.T) {
	t.Parallel()
	signed := 0
	c := sdktest.Serve(t, serve.Auth("psk", psk{&signed}))
	fused := c.Auth("psk").(auth.Authenticator)
	west := auth.Identity{Type: 2, Data: []byte("west")}
	sign := auth.Sign{Auth: "psk", Remote: west, PRF: 5, Octets: []byte("ours")}
	if _, err := c.Auth("psk").Sign(t.Context(), nil, sign); !errors.Is(err, sdk.ErrNoCredential) {
		t.Errorf("without a host: %v", err)
	}
	host := sdktest.PSKs{"west": "secret"}
	theirs, err := host.MAC(t.Context(), cred.Query{Remote: west}, []cred.MAC{{Scheme: cred.IKEv2Auth, PRF: 5, Data: []byte("theirs")}})
	if err != nil {
		t.Fatal(err)
	}
	verify := auth.Verify{Auth: "psk", Remote: west, PRF: 5, Octets: []byte("theirs"), Data: theirs[0]}
	remote, ours, err := fused.Authenticate(t.Context(), cred.Complete(host), verify, sign)
	if err != nil || string(remote.Data) != "west" || ours.Method != 2 || len(ours.Data) != 32 {
		t.Errorf("%+v %+v %v", remote, ours, err)
	}
	before := signed
	verify.Data = []byte("wrong")
	if _, _, err := fused.Authenticate(t.Context(), nil, verify, sign); !errors.Is(err, sdk.ErrRefused) || signed != before {
		t.Errorf("a wrong proof: %v, signed %d times after it", err, signed-before)
	}
}

// The value was computed with Python's hmac module: HMAC-SHA256(HMAC-SHA256("secret", "Key Pad for IKEv2"), "octets"), RFC 7296
// section 2.15.
func TestPSKsComputeTheAUTHValue(t *testing.T) {
	t.Parallel()
	got, err := sdktest.PSKs{"w": "secret"}.MAC(t.Context(), cred.Query{Remote: cred.Identity{Data: []byte("w")}}, []cred.MAC{{Scheme: cred.IKEv2Auth, PRF: 5, Data: []byte("octets")}})
	if err != nil || hex.EncodeToString(got[0]) != wantMAC {
		t.Errorf("%x, %v", got, err)
	}
}

const wantMAC = "93d6b432e988c4c184f49457ef7ddfef938f1179de4120120d1cc523b368d33b"

// slow installs slower than it removes, so that only ordering keeps a removal behind its installation.
type slow struct {
	mu  sync.Mutex
	log []string
	got sa.Child

	sa.Feed
	traps []sa.Trap
}

func (s *slow) SetTraps(_ context.Context, owner string, traps []sa.Trap) error {
	if owner != "me" {
		return sdk.ErrInvalid
	}
	s.traps = traps
	return nil
}

func (s *slow) note(what string, c sa.Child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log, s.got = append(s.log, what), c
}

func (s *slow) Probe(context.Context) (sa.Capabilities, error) {
	return sa.Capabilities{Name: "slow", Usable: true, Reason: "why not", Algorithms: []sa.Algorithm{{Type: 1, ID: 20, KeyBits: []uint16{128, 256}}, {Type: 3, ID: 12}}, Modes: []sa.Mode{sa.Transport}, ESN: true, Encap: true, MaxReplayWindow: 64, Offload: "crypto", Epoch: 3, Traps: true, TFC: true, Settings: []string{sa.SettingMark, sa.SettingDF},
		Devices: []sa.Device{{Name: "eth0", Packet: true, Crypto: true, Algorithms: []sa.Algorithm{{Type: 1, ID: 20, KeyBits: []uint16{128}}}, ESN: true, MaxReplayWindow: 32}}}, nil
}

func (s *slow) AllocateSPI(_ context.Context, local, remote netip.Addr) (uint32, error) {
	if !local.Is4() || !remote.Is6() {
		return 0, sdk.ErrInvalid
	}
	return 4096, nil
}

func (s *slow) Install(_ context.Context, c sa.Child) error {
	time.Sleep(30 * time.Millisecond)
	s.note("install", c)
	return nil
}

func (s *slow) Update(_ context.Context, c sa.Child) error {
	s.note("update", c)
	return nil
}

func (s *slow) FreeSPI(_ context.Context, local, remote netip.Addr, spi uint32) error {
	if !local.Is4() || !remote.Is6() || spi != 4096 {
		return sdk.ErrInvalid
	}
	return nil
}

func (s *slow) Remove(_ context.Context, c sa.Child) (sa.Usage, error) {
	s.note("remove", c)
	return sa.Usage{BytesIn: 1, BytesOut: 2, PacketsIn: 3, PacketsOut: 4}, nil
}

func (s *slow) Usage(context.Context, sa.Child) (sa.Usage, error) { return sa.Usage{PacketsIn: 5}, nil }

func (s *slow) List(_ context.Context, owner string) ([]sa.Child, error) {
	c := example()
	c.Owner = owner
	return []sa.Child{c}, nil
}

func example() sa.Child {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	return sa.Child{
		UID: sa.UID{1, 2, 3}, Owner: "o", Conn: "c", Name: "n", ReqID: 1, SPIIn: 2, SPIOut: 3, Mode: sa.Transport, Local: a, Remote: b,
		LocalPort: 4, RemotePort: 5, Encap: true, Encr: 6, KeyBits: 7, Integ: 8, ESN: true, EncrIn: []byte{9}, EncrOut: []byte{10},
		IntegIn: []byte{11}, IntegOut: []byte{12}, ReplayWindow: 13, LocalTS: []sa.Selector{{Protocol: 14, StartPort: 15, EndPort: 16, Start: a, End: a}},
		RemoteTS: []sa.Selector{{Start: b, End: b}},
		Held:     true, Soft: sa.Volume{Bytes: 17, Packets: 18}, Hard: sa.Volume{Bytes: 19}, TFC: 20, Addresses: []netip.Addr{a, b},
		Handling: sa.Handling{Mark: 21, MarkMask: 22, OutputMark: 23, OutputMarkMask: 24, IfID: 25, Interface: "i", Netns: "s", ClearDF: true, IgnoreECN: true,
			DSCP: sa.DSCPBoth, Offload: sa.OffloadCrypto, OffloadDevice: "d", OffloadRequired: true},
	}
}

func TestABackendGetsTheWholeChild(t *testing.T) {
	t.Parallel()
	s := &slow{}
	p := sdktest.Serve(t, serve.SA("slow", s)).SA("slow")
	if err := p.Install(t.Context(), example()); err != nil || !reflect.DeepEqual(s.got, example()) {
		t.Errorf("%v: got %+v", err, s.got)
	}
	moved := example()
	moved.Held, moved.RemotePort = false, 21
	if err := p.Update(t.Context(), moved); err != nil || !reflect.DeepEqual(s.got, moved) {
		t.Errorf("%v: got %+v", err, s.got)
	}
	want, _ := s.Probe(t.Context())
	if got, err := p.Probe(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: got %+v", err, got)
	}
	if spi, err := p.AllocateSPI(t.Context(), example().Local, example().Remote); err != nil || spi != 4096 {
		t.Errorf("%d, %v", spi, err)
	}
	if err := p.FreeSPI(t.Context(), example().Local, example().Remote, 4096); err != nil {
		t.Error(err)
	}
	list, err := p.List(t.Context(), "me")
	if err != nil || len(list) != 1 || list[0].Owner != "me" || list[0].EncrIn != nil || list[0].SPIIn != 2 {
		t.Errorf("%+v, %v: keys must not come back", list, err)
	}
	if u, err := p.Usage(t.Context(), example()); err != nil || u.PacketsIn != 5 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestABackendTellsEventsAndGetsTraps(t *testing.T) {
	t.Parallel()
	s := &slow{}
	p := sdktest.Serve(t, serve.SA("slow", s)).SA("slow")
	a, b := netip.MustParseAddrPort("192.0.2.1:4"), netip.MustParseAddrPort("[2001:db8::1]:5")
	want := []sa.Event{
		sa.Expired{SPIIn: 1, Hard: true, Cause: sa.SequenceNumbers}, sa.Moved{SPIIn: 2, Remote: b}, sa.Lost{SPIIn: 3}, sa.Placed{SPIIn: 4, Where: "w", Reason: "r"},
		sa.Acquired{Conn: "c", Name: "n", Protocol: 17, Source: a, Destination: b},
	}
	for _, e := range want {
		s.Tell(e)
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	var got []sa.Event
	_ = p.(sa.Watcher).Watch(ctx, func(e sa.Event) {
		if got = append(got, e); len(got) == len(want) {
			stop()
		}
	})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("told %+v, want %+v", got, want)
	}
	traps := []sa.Trap{{Conn: "c", Name: "n", ReqID: 6, Mode: sa.Transport, Local: a.Addr(), LocalTS: example().LocalTS, RemoteTS: example().RemoteTS}}
	if err := p.(sa.Trapper).SetTraps(t.Context(), "me", traps); err != nil || !reflect.DeepEqual(s.traps, traps) {
		t.Errorf("%v: got %+v", err, s.traps)
	}
}

func TestCallsAboutOneChildKeepTheirOrder(t *testing.T) {
	t.Parallel()
	s := &slow{}
	p := sdktest.Serve(t, serve.SA("slow", s)).SA("slow")
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Install(t.Context(), example()) })
	time.Sleep(10 * time.Millisecond) // it is under way
	if u, err := p.Remove(t.Context(), example()); err != nil || u != (sa.Usage{BytesIn: 1, BytesOut: 2, PacketsIn: 3, PacketsOut: 4}) {
		t.Errorf("%+v, %v", u, err)
	}
	wg.Wait()
	if got := strings.Join(s.log, " "); got != "install remove" {
		t.Errorf("order %q", got)
	}
}
