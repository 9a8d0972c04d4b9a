package memory_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/parley-ike/parley/conformance/kit/sakit"
	"github.com/parley-ike/parley/plugins/sa/memory"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/sa"
	"github.com/parley-ike/parley/sdk/secret"
	"github.com/parley-ike/parley/sdk/serve"
)

var (
	_ sdk.Canary       = (*memory.Plugin)(nil)
	_ serve.Configurer = (*memory.Plugin)(nil)

	local, remote = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
)

func TestMemoryConformsToTheSABackendContract(t *testing.T) {
	t.Parallel()
	p := memory.New(memory.Config{})
	sakit.Run(t, sakit.Fixture{Plugin: p, Many: 1000})
	if n := p.Counts().Installed; n != 0 {
		t.Errorf("%d children are left", n)
	}
}

func TestMemoryKnowsItsCanary(t *testing.T) {
	t.Parallel()
	p := memory.New(memory.Config{})
	if err := p.Canary(t.Context()); err != nil {
		t.Error(err)
	}
	if got := p.Counts(); got != (memory.Counts{}) {
		t.Errorf("the canary left traces: %+v", got)
	}
}

// child is a good description with AES-GCM-128.
func child(n int, spi uint32) sa.Child {
	selector := []sa.Selector{{EndPort: 65535, Start: local, End: local}}
	return sa.Child{
		UID: sa.UID{byte(n >> 16), byte(n >> 8), byte(n)}, Owner: "east", SPIIn: spi, SPIOut: 0x1000, Local: local, Remote: remote,
		Encr: 20, KeyBits: 128, EncrIn: secret.Bytes("in in in in in in in"), EncrOut: secret.Bytes("out out out out out "),
		LocalTS: selector, RemoteTS: selector,
	}
}

func TestSPIsStartWhereTheConfigurationSaysAndSkipThoseInUse(t *testing.T) {
	t.Parallel()
	p := memory.New(memory.Config{FirstSPI: 0xfffffffe})
	if err := p.Install(t.Context(), child(1, 256)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint32{0xfffffffe, 0xffffffff, 257, 258} { // RFC 4303 section 2.1: never below 256
		if got, err := p.AllocateSPI(t.Context(), local, remote); err != nil || got != want {
			t.Errorf("got %08x, want %08x, error %v", got, want, err)
		}
	}
}

func TestTwoBackendsStartAtDifferentSPIs(t *testing.T) {
	t.Parallel()
	a, errA := memory.New(memory.Config{}).AllocateSPI(t.Context(), local, remote)
	b, errB := memory.New(memory.Config{}).AllocateSPI(t.Context(), local, remote)
	if a == b || errA != nil || errB != nil { // by chance once in 2^32 runs
		t.Errorf("got %08x twice, errors %v, %v", a, errA, errB)
	}
}

func TestADescriptionThatAKernelWouldRefuseIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change      func(*sa.Child)
		unsupported bool
		text        string
	}{
		"unknown cipher":           {func(c *sa.Child) { c.Encr = 3 }, true, "encryption 3"},
		"odd key size":             {func(c *sa.Child) { c.KeyBits = 129 }, true, "129 bits"},
		"size for a fixed key":     {func(c *sa.Child) { c.Encr, c.KeyBits = 28, 256 }, true, "encryption 28"},
		"AEAD with integrity":      {func(c *sa.Child) { c.Integ = 12 }, true, "integrity 12"},
		"CBC without integrity":    {func(c *sa.Child) { c.Encr = 12 }, true, "integrity 0"},
		"unknown integrity":        {func(c *sa.Child) { c.Encr, c.Integ = 12, 99 }, true, "integrity 99"},
		"unknown mode":             {func(c *sa.Child) { c.Mode = 2 }, true, "mode 2"},
		"large window":             {func(c *sa.Child) { c.ReplayWindow = 5000 }, true, "at most 4096"},
		"key without salt":         {func(c *sa.Child) { c.EncrIn = c.EncrIn[:16] }, false, "16 and 20"},
		"integrity key for AEAD":   {func(c *sa.Child) { c.IntegOut = c.EncrOut }, false, "0 and 20"},
		"reserved SPI in":          {func(c *sa.Child) { c.SPIIn = 255 }, false, "000000ff in"},
		"no SPI out":               {func(c *sa.Child) { c.SPIOut = 0 }, false, "00000000 out"},
		"no address":               {func(c *sa.Child) { c.Local = netip.Addr{} }, false, "no pair"},
		"two families":             {func(c *sa.Child) { c.Remote = netip.IPv6Loopback() }, false, "no pair"},
		"encapsulation, no ports":  {func(c *sa.Child) { c.Encap, c.LocalPort = true, 4500 }, false, "to port 0"},
		"no selectors of the peer": {func(c *sa.Child) { c.RemoteTS = nil }, false, "0 remote"},
	}
	for name, test := range tests {
		p := memory.New(memory.Config{})
		c := child(1, 256)
		test.change(&c)
		err := p.Install(t.Context(), c)
		if err == nil || errors.Is(err, sdk.ErrUnsupported) != test.unsupported || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: got %v", name, err)
		}
		if p.Counts().Installed != 0 {
			t.Errorf("%s: installed", name)
		}
	}
}

func TestAnotherDescriptionOfAChildIsAnError(t *testing.T) {
	t.Parallel()
	p := memory.New(memory.Config{})
	c := child(1, 256)
	if err := p.Install(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	rekeyed := child(1, 256)
	rekeyed.EncrIn = secret.Bytes("ni ni ni ni ni ni ni")
	if err := p.Install(t.Context(), rekeyed); err == nil || strings.Contains(err.Error(), "ni ni") {
		t.Errorf("other keys for the same child: %v", err)
	}
	if err := p.Install(t.Context(), child(2, 256)); err == nil || !strings.Contains(err.Error(), "00000100") {
		t.Errorf("the same inbound SPI for another child: %v", err)
	}
	if have, _ := p.Child("east", c.UID); !have.EncrIn.Equal(c.EncrIn) {
		t.Error("the first child changed")
	}
}

func TestCountsTellWhatWasDone(t *testing.T) {
	t.Parallel()
	p := memory.New(memory.Config{})
	for range 2 { // each call twice, as a core does that asks again
		for n := range 3 {
			if err := p.Install(t.Context(), child(n, uint32(300+n))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if _, err := p.Remove(t.Context(), child(0, 300)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := p.Counts(), (memory.Counts{Installed: 2, Installs: 3, Removes: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAListHasNoKeysAndIsOrdered(t *testing.T) {
	t.Parallel()
	p := memory.New(memory.Config{})
	for n := range 20 {
		if err := p.Install(t.Context(), child(n, uint32(900-n))); err != nil {
			t.Fatal(err)
		}
	}
	list, err := p.List(t.Context(), "east")
	if err != nil || len(list) != 20 {
		t.Fatalf("%d children, error %v", len(list), err)
	}
	for i, c := range list {
		if c.EncrIn != nil || c.EncrOut != nil || i > 0 && c.SPIIn <= list[i-1].SPIIn {
			t.Errorf("child %d has keys or is out of order", i)
		}
	}
}

func TestAFaultFailsTheCallsThatItChooses(t *testing.T) {
	t.Parallel()
	p := memory.New(memory.Config{})
	p.SetFault(func(_ context.Context, call string, c sa.Child) error {
		if call == "Install" && c.SPIIn == 256 {
			return fmt.Errorf("injected: %w", sdk.ErrUnavailable)
		}
		return nil
	})
	if err := p.Install(t.Context(), child(1, 256)); !errors.Is(err, sdk.ErrUnavailable) {
		t.Errorf("got %v, want the fault", err)
	}
	if err := p.Install(t.Context(), child(2, 257)); err != nil {
		t.Error(err)
	}
	p.SetFault(nil)
	if err := p.Install(t.Context(), child(1, 256)); err != nil || p.Counts().Installed != 2 {
		t.Errorf("after the fault: %v, %+v", err, p.Counts())
	}
}

func TestALostDataPlaneHasAnotherEpochAndNoChildren(t *testing.T) {
	t.Parallel()
	p := memory.New(memory.Config{})
	if err := p.Install(t.Context(), child(1, 256)); err != nil {
		t.Fatal(err)
	}
	before, errBefore := p.Probe(t.Context())
	p.Lose()
	after, errAfter := p.Probe(t.Context())
	if errBefore != nil || errAfter != nil || before.Epoch == after.Epoch || p.Counts().Installed != 0 {
		t.Errorf("epochs %d and %d, %d children", before.Epoch, after.Epoch, p.Counts().Installed)
	}
	if err := p.Install(t.Context(), child(2, 256)); err != nil {
		t.Errorf("the SPI is not free: %v", err)
	}
}

func TestConfigurationComesAsJSONAndLeavesTheChildren(t *testing.T) {
	t.Parallel()
	p := memory.New(memory.Config{})
	if err := p.Install(t.Context(), child(1, 256)); err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(t.Context(), serve.Env{}, []byte(`{"first_spi":4096}`)); err != nil {
		t.Fatal(err)
	}
	if got, err := p.AllocateSPI(t.Context(), local, remote); err != nil || got != 4096 || p.Counts().Installed != 1 {
		t.Errorf("got %d, error %v, %+v", got, err, p.Counts())
	}
	if p.Validate([]byte(`{"first":1}`)) == nil || p.Configure(t.Context(), serve.Env{}, []byte(`{"first":1}`)) == nil {
		t.Error("an unknown key was accepted")
	}
	if p.Validate([]byte("{}")) != nil || !json.Valid([]byte(p.Schema())) {
		t.Error("the empty configuration or the schema is bad")
	}
}

func TestTenThousandChildrenAreCheap(t *testing.T) {
	const children = 10_000
	p := memory.New(memory.Config{})
	before := heap()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for n := worker; n < children; n += 4 {
				if err := p.Install(t.Context(), child(n, uint32(1000+n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := p.Counts().Installed; n != children {
		t.Fatalf("%d children", n)
	}
	if each := (heap() - before) / children; each > 2048 {
		t.Errorf("%d octets a child, at most 2048 are planned for", each)
	} else {
		t.Logf("%d octets a child", each)
	}
	runtime.KeepAlive(p)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkInstallRemove(b *testing.B) {
	p := memory.New(memory.Config{})
	c := child(1, 256)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Install(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		if _, err := p.Remove(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}
