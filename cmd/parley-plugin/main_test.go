package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/pluginhost"
	"github.com/parley-ike/parley/plugins/cred/file"
	"github.com/parley-ike/parley/sdk/proto/link"
)

// TestMain lets the test binary stand for the command when a host starts it.
func TestMain(m *testing.M) {
	if os.Getenv(link.CookieKey) == link.CookieValue {
		main()
	}
	os.Exit(m.Run())
}

func TestEveryPluginOfTheListDescribesItself(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	list(&out)
	for _, c := range catalogue {
		if _, err := find(c.name); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !strings.Contains(out.String(), c.name) || c.does == "" {
			t.Errorf("%s is not in the list", c.name)
		}
	}
	for _, names := range [][]string{nil, {"ke:nothing"}} {
		if _, err := items(names); err == nil || !strings.Contains(err.Error(), "ke:curve") {
			t.Errorf("%v: %v; the error names what there is", names, err)
		}
	}
}

// start runs the standard set, one process for each kind, and returns a function that makes one call.
func start(t *testing.T, psk string) func(machine.Op) machine.Reply {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "pp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	entry := func(kind string, args ...string) pluginhost.Entry {
		return pluginhost.Entry{Name: kind, Path: path, Kinds: []string{kind}, Args: args}
	}
	store := entry("cred", "cred:file")
	store.Services = []pluginhost.ServiceConfig{{Kind: "cred", Name: "file", JSON: []byte(psk)}}
	replies := make(chan machine.Reply, 16)
	h, err := pluginhost.New(pluginhost.Config{
		RuntimeDir: filepath.Join(dir, "r"), Owner: "test", DefaultBackend: "memory",
		Entries: []pluginhost.Entry{entry("ke", "ke:curve", "ke:ecp", "ke:modp"), entry("auth", "auth:psk"), store, entry("sa", "sa:memory", "sa:userspace")},
		Sink: func(returns []machine.Return) {
			for _, r := range returns {
				replies <- r.Reply
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(context.Background(), true); err != nil {
			t.Error(err)
		}
	})
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range h.Probe(t.Context()) {
		if c.Reason == "" || len(c.Algorithms) == 0 {
			t.Errorf("backend %s: %+v", name, c)
		}
	}
	return func(op machine.Op) machine.Reply {
		h.Submit([]machine.Request{{Call: machine.Call{Ticket: 1, Op: op}}})
		select {
		case r := <-replies:
			return r
		case <-time.After(20 * time.Second):
			t.Fatalf("no reply to %T", op)
			panic("unreachable")
		}
	}
}

func TestTheStandardSetDoesWhatAHandshakeNeeds(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "west.psk")
	if err := os.WriteFile(key, []byte("a long enough secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(file.Config{PSKs: []file.PSK{{Remote: file.Identity{Type: 2, Data: []byte("west")}, File: key}}})
	if err != nil {
		t.Fatal(err)
	}
	call := start(t, string(config))
	for _, method := range []uint16{31, 19, 20, 21, 14} {
		begun, ok := call(machine.KEInitiate{Method: method}).Result.(machine.KEInitiated)
		if !ok {
			t.Fatalf("method %d was not begun", method)
		}
		answered, ok := call(machine.KERespond{Method: method, Peer: begun.Public}).Result.(machine.KEResponded)
		if !ok {
			t.Fatalf("method %d was not answered", method)
		}
		finished, ok := call(machine.KEFinish{Method: method, State: begun.State, Peer: answered.Public}).Result.(machine.KEFinished)
		if !ok || !finished.Secret.Equal(answered.Secret) {
			t.Errorf("method %d: the two sides differ", method)
		}
	}
	east, west := machine.Identity{Type: 2, Data: []byte("east")}, machine.Identity{Type: 2, Data: []byte("west")}
	signed, ok := call(machine.Sign{Auth: "psk", Local: east, Remote: west, PRF: 5, Octets: []byte("octets")}).Result.(machine.Signed)
	if !ok || signed.Method != 2 || len(signed.Data) != 32 {
		t.Fatalf("signed %+v", signed)
	}
	verify := machine.Verify{Auth: "psk", Local: east, Remote: west, PRF: 5, Octets: []byte("octets"), Method: 2, Data: slices.Clone(signed.Data)}
	if v, ok := call(verify).Result.(machine.Verified); !ok || string(v.Remote.Data) != "west" {
		t.Errorf("verified %+v", v)
	}
	verify.Data[0] ^= 1
	if r := call(verify); r.Err == nil || r.Err.Kind != machine.Refused {
		t.Errorf("a wrong proof gave %+v", r)
	}
	spi := call(machine.AllocateSPI{Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2")})
	if a, ok := spi.Result.(machine.AllocatedSPI); !ok || a.SPI < 256 {
		t.Errorf("allocated %+v", spi)
	}
}
