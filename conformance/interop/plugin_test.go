package interop

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

var kinds = []string{"auth", "cred", "ke", "sa"}

// pluginPIDs says which processes serve.
func pluginPIDs(t *testing.T, g *lab.Gateway) string {
	t.Helper()
	var all []string
	for _, kind := range kinds {
		p, err := g.Plugin(short(t), kind)
		must(t, err)
		all = append(all, fmt.Sprintf("%s %d", p.Name, p.PID))
	}
	return strings.Join(all, ", ")
}

// TestAKilledPluginLosesNoTunnel: kill -9 of each kind in turn, while packets flow. The SA stays the same, its packets are
// numbered on (RFC 4303 section 2.2: never a number twice), and new tunnels can be made.
func TestAKilledPluginLosesNoTunnel(t *testing.T) {
	s := newSite(t, v4in4)
	east, west := s.pair(t)
	parley(t, east, "up", "west")
	s.pings(t, 2)
	numbers := s.watchNumbers()
	before := field(sas(t, east), 6)
	for _, kind := range kinds {
		old, err := east.Plugin(short(t), kind)
		must(t, err)
		must(t, old.Kill())
		s.pings(t, 5)
		again, err := east.WaitPlugin(short(t), kind, old.PID)
		must(t, err)
		if again.Restarts != 1 || again.State != "up" {
			t.Errorf("the killed plugin is now %+v", again)
		}
	}
	if after := field(sas(t, east), 6); after != before {
		t.Errorf("the SA was %s and is %s", before, after)
	}
	numbers.check(t)
	parley(t, west, "down", "east")
	parley(t, west, "up", "east")
	s.pings(t, 2)
	contains(t, parley(t, east, "plugin", "list"), "sa up sa", "ke up ke")
}

// numbers are the sequence numbers of ESP packets by SPI.
type numbers struct {
	mu   sync.Mutex
	last map[uint32]uint32
	seen int
	bad  []string
}

// watchNumbers looks at the sequence number of each ESP packet from now on.
func (s *site) watchNumbers() *numbers {
	n := &numbers{last: map[uint32]uint32{}}
	s.capture.Tap(func(ip []byte) {
		if len(ip) < 28 || ip[0] != 0x45 || ip[9] != syscall.IPPROTO_ESP {
			return
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.seen++
		spi, number := binary.BigEndian.Uint32(ip[20:]), binary.BigEndian.Uint32(ip[24:])
		if number <= n.last[spi] {
			n.bad = append(n.bad, fmt.Sprintf("SPI %08x: %d after %d", spi, number, n.last[spi]))
		}
		n.last[spi] = number
	})
	return n
}

func (n *numbers) check(t *testing.T) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen < 10 || len(n.bad) > 0 {
		t.Errorf("of %d ESP packets these repeat a number: %v", n.seen, n.bad)
	}
}

// TestAHungPluginIsRestarted: SIGSTOP of each kind in turn. The health check finds it, and the tunnel carries packets again.
func TestAHungPluginIsRestarted(t *testing.T) {
	s := newSite(t, v4in4)
	east := s.gateway(t, s.east, "MORE", `daemon { plugin_health = "1s" }`)
	s.gateway(t, s.west)
	parley(t, east, "up", "west")
	s.pings(t, 2)
	for _, kind := range kinds {
		old, err := east.Plugin(short(t), kind)
		must(t, err)
		must(t, syscall.Kill(old.PID, syscall.SIGSTOP))
		again, err := east.WaitPlugin(short(t), kind, old.PID)
		must(t, err)
		if again.Restarts != 1 {
			t.Errorf("the hung plugin is now %+v", again)
		}
		s.pings(t, 2)
	}
	contains(t, parley(t, east, "events", "tail", "--since", "10m", "--no-follow", "--lines", "1000"), "did not answer its health check within 500ms")
	parley(t, east, "down", "west")
	parley(t, east, "up", "west")
	s.pings(t, 2)
}

// badPlugins are programs that are no plugins, what `parley plugin list` says of each, and what the log adds.
var badPlugins = []struct {
	name, script string
	wrongSum     bool
	says, remedy string
}{
	{name: "prints garbage", script: "echo hello world; sleep 60",
		says: `bad: printed "hello world" before its handshake`, remedy: "a plugin must print nothing on standard output; let it log to standard error"},
	{name: "prints a lot of garbage", script: "head -c 1000000 /dev/urandom; sleep 60",
		says: `before its handshake`, remedy: "a plugin must print nothing on standard output"},
	{name: "another protocol version", script: "echo '1|99|unix|/nowhere|grpc'; sleep 60",
		says: "bad: speaks plugin protocol version 99, this daemon speaks 1", remedy: "install the release of the plugin for this daemon"},
	{name: "another core version", script: "echo '9|1|unix|/nowhere|grpc'; sleep 60",
		says: "bad: handshake failed: incompatible core API version with plugin. Plugin version: 9", remedy: "rebuild the plugin with this daemon's SDK"},
	{name: "listens on the network", script: "echo '1|1|tcp|127.0.0.1:9|grpc'; sleep 60",
		says: "bad: listens on tcp and not on a unix socket", remedy: "let it listen in the folder of PLUGIN_UNIX_SOCKET_DIR"},
	{name: "a socket where nobody listens", script: "echo '1|1|unix|/nowhere|grpc'; sleep 60",
		says: "bad: Describe failed", remedy: "see the log for what the plugin said"},
	{name: "ends at once", script: "echo I will not >&2; exit 3",
		says: "bad: ended before its handshake: ended with exit status 3", remedy: "I will not"},
	{name: "says nothing", script: "sleep 60",
		says: "bad: said nothing within 10s", remedy: "look why it hangs before its handshake"},
	{name: "another checksum", script: "exit 0", wrongSum: true,
		says: "bad: wrong checksum: the catalogue expects SHA-256 0000000000", remedy: "reinstall the plugin from a source you trust, or, if you changed it on purpose, put the new checksum into its plugin block"},
}

// TestABadPluginIsRefusedAndHarmsNothing: beside good plugins there is a bad one, and the tunnel comes up all the same.
func TestABadPluginIsRefusedAndHarmsNothing(t *testing.T) {
	t.Parallel()
	for _, c := range badPlugins {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, v4in4)
			bad := filepath.Join(s.dir, "bad")
			must(t, os.WriteFile(bad, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700))
			sum := checksum(t, bad)
			if c.wrongSum {
				sum = strings.Repeat("0", 64)
			}
			good := filepath.Join(s.bin, "parley-plugin")
			more := lab.Fill(`plugin "good" {
  kind   = "ke"
  path   = "%GOOD%"
  sha256 = "%GOODSUM%"
  args   = ["ke:curve", "ke:ecp", "ke:modp"]
}
plugin "bad" {
  kind   = "ke"
  path   = "%BAD%"
  sha256 = "%BADSUM%"
}`, "GOOD", good, "GOODSUM", checksum(t, good), "BAD", bad, "BADSUM", sum)
			s.gateway(t, s.west)
			east := s.gateway(t, s.east, "MORE", more)
			parley(t, east, "up", "west")
			s.pings(t, 2)
			out := parley(t, east, "plugin", "list")
			contains(t, out, c.says)
			contains(t, east.Log(), bad, c.remedy)
			if strings.Contains(out, "bad up") {
				t.Errorf("the bad plugin is in use:\n%s", out)
			}
		})
	}
}

func checksum(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	must(t, err)
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
