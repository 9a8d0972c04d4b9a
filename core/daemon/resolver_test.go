package daemon

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/parley-ike/parley/bus"
	"github.com/parley-ike/parley/bus/event"
)

func TestTheDNSOfAPeerStandsInAFileWhileItsAddressIsOurs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dns")
	path := filepath.Join(dir, "office.conf")
	if err := replaceFile(path, []byte("left behind")); err != nil {
		t.Fatal(err)
	}
	b := bus.New()
	r, err := newResolver(b, dir, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("what an earlier daemon left is still there: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.run(ctx) }()
	tell := func(e event.Event) { b.Publish(event.Record{Subject: event.Subject{Conn: "office"}, Event: e}) }
	holder := func(n byte) event.UID { return event.UID{15: n} }
	first := event.AddressAssigned{Holder: holder(1), Addresses: []netip.Addr{netip.MustParseAddr("10.9.0.7")},
		DNS: []netip.Addr{netip.MustParseAddr("10.1.0.53"), netip.MustParseAddr("2001:db8::53")}, Domains: []string{"corp.example", "lab.example"}}
	tell(first)
	eventually(t, path, `# DNS of connection office, as long as [10.9.0.7] is assigned to us. Written by parleyd.
nameserver 10.1.0.53
nameserver 2001:db8::53
# These servers are for these domains only (RFC 8598).
search corp.example lab.example
`)
	second := event.AddressAssigned{Holder: holder(2), Addresses: first.Addresses, DNS: first.DNS[:1]}
	tell(second) // a reauthentication: the new SA is there before the old one ends
	tell(event.AddressWithdrawn{Holder: first.Holder})
	eventually(t, path, "# DNS of connection office, as long as [10.9.0.7] is assigned to us. Written by parleyd.\nnameserver 10.1.0.53\n")
	tell(event.AddressWithdrawn{Holder: second.Holder})
	eventually(t, path, "")
	tell(event.AddressAssigned{Holder: holder(3), Addresses: first.Addresses}) // a peer that names no DNS
	tell(first)
	eventually(t, path, string(resolvConf("office", first)))
	stop()
	<-done
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder outlives the daemon: %v", err)
	}
}

// eventually waits until a file has a content, "" for until it is not there.
func eventually(t *testing.T, path, want string) {
	t.Helper()
	var got []byte
	for range 500 {
		var err error
		if got, err = os.ReadFile(path); string(got) == want && (err == nil || want == "") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s has %q, want %q", path, got, want)
}
