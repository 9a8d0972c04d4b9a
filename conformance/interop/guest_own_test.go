package interop

import (
	"encoding/json"
	"fmt"
	stdnet "net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/kit/guest"
	coresuite "github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// ownScenario is what two parleyd do on a kernel's own ESP.
type ownScenario struct {
	name  string
	quick bool // a part of make test
	run   func(t *testing.T)
	clock bool // it is about what happens in time: run in time travel
}

// ownScenarios are the rows of the second table, from top to bottom.
var ownScenarios = []ownScenario{
	{"tunnel, IPv4 in IPv4", true, ownTunnel(v4in4), false},
	{"tunnel, IPv6 in IPv4", true, ownTunnel(v6in4), false},
	{"tunnel, IPv4 in IPv6", true, ownTunnel(v4in6), false},
	{"tunnel, IPv6 in IPv6", true, ownTunnel(v6in6), false},
	{"transport mode, IPv4", true, ownTransport(v4in4), false},
	{"transport mode, IPv6", true, ownTransport(v6in6), false},
	{"every ESP suite that parleyd knows", false, everySuite, false},
	{"through a NAT", false, ownNAT, false},
	{"route based, an XFRM interface", false, routedByInterface, false},
	{"route based, a VTI device", false, routedByVTI, false},
	{"the first ping brings the tunnel up and is answered (net.core.xfrm_larval_drop = 0)", false, ownTrap, false},
	{"on PF_KEY both", true, ownBackends("pfkey", "pfkey"), true},
	{"on PF_KEY, and on XFRM at the other side", true, ownBackends("pfkey", "xfrm"), true},
	{"PF_KEY, the first ping brings the tunnel up", true, ownPFKEYTrap, true},
	{"PF_KEY, replaced after the bytes that the kernel counted, none lost", true, ownLifetime(`bytes = 75000`, onPFKEY), true},
	{"crypto offload on a simulated card", false, ownCard("crypto"), false},
	{"packet offload on a simulated card", false, ownCard("packet"), false},
	{"replaced after the packets that the kernel counted, none lost", false, ownLifetime(`packets = 1000`), true},
	{"replaced after the bytes that the kernel counted, none lost", true, ownLifetime(`bytes = 75000`), true},
	{"replaced after its time, no packet lost", false, ownLifetime("time = \"12s\"\n margin = \"4s\"\n jitter = \"0s\""), true},
}

// ownTime is far above what all of them take on a busy machine.
const ownTime = 8 * time.Minute

// clockVariable is set in a guest in time travel, which has the scenarios that are about time.
const clockVariable = "PARLEY_INTEROP_CLOCK"

// TestTwoOfUsOnAKernelsOwnESP runs them in one guest, and what is about time in another one, and compares the result with the table in
// README.md; -update writes it.
func TestTwoOfUsOnAKernelsOwnESP(t *testing.T) {
	t.Parallel()
	t.Run("real time", func(t *testing.T) { ownTable(t, guest.Run, "") })
	t.Run("time travel", func(t *testing.T) { ownTable(t, guest.Travel, "1") })
}

func ownTable(t *testing.T, boot func(testing.TB, time.Duration, ...string) string, clock string) {
	if guest.Inside() {
		t.Skip("this is the guest")
	}
	t.Parallel()
	self, err := os.Executable()
	must(t, err)
	bin, err := lab.BinDir()
	must(t, err)
	file := filepath.Join(t.TempDir(), "result")
	text := boot(t, ownTime, "env", "PARLEY_BIN="+bin, resultVariable+"="+file, clockVariable+"="+clock, fullVariable+"="+os.Getenv(fullVariable),
		self, "-test.run=^TestGuestOwn$", "-scenario="+*only, "-test.v", "-test.parallel=1", "-test.timeout="+travelTime.String())
	for line := range strings.Lines(text) {
		if strings.Contains(line, "---") || strings.Contains(line, " lost") {
			t.Log(strings.TrimRight(line, "\n"))
		}
	}
	raw, err := os.ReadFile(file)
	must(t, err)
	var result []cell
	must(t, json.Unmarshal(raw, &result))
	if len(result) == 0 && *only == "" {
		t.Error("no scenario ran")
	}
	compareOwn(t, result)
}

// TestGuestOwn is what runs in the guest.
func TestGuestOwn(t *testing.T) {
	if !guest.Inside() {
		t.Skip("runs within TestTwoOfUsOnAKernelsOwnESP")
	}
	result := []*cell{}
	t.Run("scenarios", func(t *testing.T) { // it ends when all of them have
		for _, s := range ownScenarios {
			if !(scenario{name: s.name, quick: s.quick}).chosen() || s.clock != (os.Getenv(clockVariable) != "") {
				continue
			}
			c := &cell{Peer: ourselves, Scenario: s.name}
			result = append(result, c)
			t.Run(s.name, func(t *testing.T) { c.fill(t, scenario{run: func(t *testing.T, _ *match) { s.run(t) }}, &match{}) })
		}
	})
	raw, err := json.Marshal(result)
	must(t, err)
	must(t, os.WriteFile(os.Getenv(resultVariable), raw, 0o644))
}

// onBackend demands that a gateway's child is on a backend.
func onBackend(t *testing.T, g *lab.Gateway, words ...string) {
	t.Helper()
	contains(t, parley(t, g, "sa", "show", peerOf(g)), words...)
}

func ownTunnel(n network) func(*testing.T) {
	return func(t *testing.T) {
		s := newSite(t, n)
		east, _ := s.pair(t)
		parley(t, east, "up", "west")
		onBackend(t, east, "xfrm")
		s.pings(t, 3)
		parley(t, east, "down", "west")
		s.silent(t)
	}
}

// ownTransport protects what the gateways themselves send (RFC 4301 section 4.1).
func ownTransport(n network) func(*testing.T) {
	return func(t *testing.T) {
		s := newSite(t, n)
		bits := "/32"
		if strings.Contains(n.eastWAN, ":") {
			bits = "/128"
		}
		own, peer := n.eastWAN+bits, n.westWAN+bits
		east := s.gateway(t, s.east, "CHILD", `mode = "transport"`, "NET", own, "PEERNET", peer)
		s.gateway(t, s.west, "CHILD", `mode = "transport"`, "NET", peer, "PEERNET", own)
		parley(t, east, "up", "west")
		states, err := s.east.Links.XfrmStateList(netlink.FAMILY_ALL)
		must(t, err)
		if len(states) != 2 || states[0].Mode != netlink.XFRM_MODE_TRANSPORT {
			t.Errorf("the kernel has %d SAs, or not in transport mode", len(states))
		}
		s.eastLAN, s.westLAN = s.eastWAN, s.westWAN
		s.pings(t, 3)
	}
}

// everySuite has a child for each combination of encryption and integrity that the configuration has words for.
func everySuite(t *testing.T) {
	s := newSite(t, v4in4)
	var east, west strings.Builder
	words := suiteWords()
	for i, word := range words {
		fmt.Fprintf(&east, "}\n child \"s%d\" {\n local_ts = [\"10.1.%d.0/24\"]\n remote_ts = [\"10.2.%d.0/24\"]\n proposals = [%q]\n", i, i+1, i+1, word)
		fmt.Fprintf(&west, "}\n child \"s%d\" {\n local_ts = [\"10.2.%d.0/24\"]\n remote_ts = [\"10.1.%d.0/24\"]\n proposals = [%q]\n", i, i+1, i+1, word)
		must(t, s.east.Addr("lan", fmt.Sprintf("10.1.%d.1/24", i+1)))
		must(t, s.west.Addr("lan", fmt.Sprintf("10.2.%d.1/24", i+1)))
	}
	a := s.gateway(t, s.east, "CHILD", east.String(), "NET", "10.1.0.0/24", "PEERNET", "10.2.0.0/24")
	s.gateway(t, s.west, "CHILD", west.String(), "NET", "10.2.0.0/24", "PEERNET", "10.1.0.0/24")
	parley(t, a, "up", "west")
	for i, word := range words {
		s.eastLAN, s.westLAN = fmt.Sprintf("10.1.%d.1", i+1), fmt.Sprintf("10.2.%d.1", i+1)
		parley(t, a, "up", "west", "--child", fmt.Sprint("s", i))
		s.capture.Reset()
		if _, err := s.pinger(t).Ping(500, 5*time.Second); err != nil {
			t.Errorf("%s: %v", word, err)
		}
		if seen := s.capture.Counts(); seen.ClearICMP != 0 {
			t.Errorf("%s: %+v", word, seen)
		}
	}
}

// suiteWords are all suites of ESP in the words of the configuration.
func suiteWords() (all []string) {
	var integrities []string
	for _, word := range coresuite.Tokens() {
		if tr, err := coresuite.ParseToken(word); err == nil && tr.Type == wire2.TransformINTEG {
			integrities = append(integrities, word)
		}
	}
	for _, word := range coresuite.Tokens() {
		tr, err := coresuite.ParseToken(word)
		if err != nil || tr.Type != wire2.TransformENCR {
			continue
		}
		if row, ok := coresuite.LookupEncryption(coresuite.EncrID(tr.ID)); ok && row.AEAD {
			all = append(all, word)
			continue
		}
		for _, integrity := range integrities {
			all = append(all, word+"-"+integrity)
		}
	}
	return all
}

func ownNAT(t *testing.T) {
	s := newRoutedSite(t, true)
	east := s.gateway(t, s.east)
	s.gateway(t, s.west, "PEERWAN", publicAddr)
	parley(t, east, "up", "west")
	if seen := s.pings(t, 3); seen.ESPinUDP == 0 {
		t.Errorf("got %+v, want ESP in UDP", seen)
	}
}

// carried demands that a device of both sides carried packets both ways.
func (s *site) carried(t *testing.T, device string, n uint64) {
	t.Helper()
	for _, ns := range []*lab.Namespace{s.east, s.west} {
		link, err := ns.Links.LinkByName(device)
		must(t, err)
		if c := link.Attrs().Statistics; c.RxPackets < n || c.TxPackets < n {
			t.Errorf("%s of %s carried %d packets in and %d out, want %d", device, ns.Name, c.RxPackets, c.TxPackets, n)
		}
	}
}

func routedByInterface(t *testing.T) {
	s := newSite(t, v4in4)
	east, _ := s.pair(t, "CHILD", "interface = \"ipsec0\"\n if_id = 7")
	parley(t, east, "up", "west")
	s.pings(t, 3)
	s.carried(t, "ipsec0", 3)
	parley(t, east, "down", "west")
	if link, err := s.east.Links.LinkByName("ipsec0"); err == nil {
		t.Errorf("%s is left", link.Attrs().Name)
	}
}

// routedByVTI: the operator makes the device, whose keys are the children's mark.
func routedByVTI(t *testing.T) {
	s := newSite(t, v4in4)
	for _, x := range []struct {
		ns             *lab.Namespace
		local, remote  string
		beyond, source string
	}{{s.east, s.eastWAN, s.westWAN, net(s.westLAN), s.eastLAN}, {s.west, s.westWAN, s.eastWAN, net(s.eastLAN), s.westLAN}} {
		_, dst, err := stdnet.ParseCIDR(x.beyond)
		must(t, err)
		vti := &netlink.Vti{LinkAttrs: netlink.LinkAttrs{Name: "vti0"}, IKey: 0x2a, OKey: 0x2a, Local: stdnet.ParseIP(x.local).To4(), Remote: stdnet.ParseIP(x.remote).To4()}
		must(t, x.ns.Links.LinkAdd(vti))
		must(t, x.ns.Up("vti0"))
		must(t, x.ns.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/conf/vti0/disable_policy", []byte("1"), 0) }))
		link, err := x.ns.Links.LinkByName("vti0")
		must(t, err)
		must(t, x.ns.Links.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK, Src: stdnet.ParseIP(x.source)}))
	}
	east, _ := s.pair(t, "CHILD", `mark = "0x2a"`)
	parley(t, east, "up", "west")
	s.pings(t, 3)
	s.carried(t, "vti0", 3)
}

func ownTrap(t *testing.T) {
	s := newSite(t, v4in4)
	must(t, s.east.Do(func() error { return os.WriteFile("/proc/sys/net/core/xfrm_larval_drop", []byte("0"), 0) })) // else the kernel drops it
	s.gateway(t, s.west)
	east := s.gateway(t, s.east, "CHILD", `start = "trap"`)
	s.capture.Reset()
	if _, err := s.pinger(t).Ping(56, 20*time.Second); err != nil {
		t.Fatalf("the first ping: %v", err)
	}
	if seen := s.capture.Counts(); seen.ClearICMP != 0 {
		t.Errorf("got %+v, want nothing in clear", seen)
	}
	contains(t, parley(t, east, "events", "tail", "--no-follow"), "backend.traffic_trapped", "xfrm")
}

// ownCard has both gateways on simulated cards that are joined. The cards count what they carry and do not encrypt it, so that no
// ping is answered: that both IKE sides agree, where the SAs are and that they are used is what can be seen.
func ownCard(mode string) func(*testing.T) {
	return func(t *testing.T) {
		_ = unix.Mount("debug", "/sys/kernel/debug", "debugfs", 0, "")
		s := newNamespaces(t, v4in4)
		var cards []*lab.Card
		for i, ns := range []*lab.Namespace{s.east, s.west} {
			card, err := ns.NewCard(10+i, "wan")
			must(t, err)
			t.Cleanup(card.Close)
			cards = append(cards, card)
		}
		must(t, lab.JoinCards(s.east, s.west, "wan"))
		s.eastHop, s.westHop = s.westWAN, s.eastWAN
		s.address(t)
		east, west := s.pair(t, "CHILD", "offload {\n mode = \""+mode+"\"\n require = true\n }")
		parley(t, east, "up", "west")
		for i, g := range []*lab.Gateway{east, west} {
			onBackend(t, g, mode+" offload on wan")
			table, err := cards[i].Table()
			must(t, err)
			contains(t, table, "SA count=2", mode)
		}
		p := s.pinger(t)
		for range 3 {
			_, _ = p.Ping(56, 50*time.Millisecond)
		}
		used := map[string]string{"crypto": "tx=3", "packet": "packets=3"}[mode]
		table, err := cards[0].Table()
		must(t, err)
		contains(t, table, used)
		parley(t, east, "down", "west")
		for _, card := range cards {
			eventually(t, "the card is empty", func() bool { table, err := card.Table(); return err == nil && strings.Contains(table, "SA count=0") })
		}
	}
}

// wireDelay is how long a packet is under way in time travel, where whatever computes takes no time.
const wireDelay = 20 * time.Millisecond

// delay makes the wire a long one.
func (s *site) delay(t *testing.T) {
	t.Helper()
	for _, ns := range []*lab.Namespace{s.east, s.west} {
		must(t, ns.Delay("wan", wireDelay))
	}
}

// count says how often something happened at a gateway.
func count(t *testing.T, g *lab.Gateway, what string) int {
	t.Helper()
	return strings.Count(parley(t, g, "events", "tail", "--no-follow", "-n", "1000", "--filter", what), what)
}

// ownLifetime has packets cross until children were replaced twice. The least that a limit leaves for that is what crosses in a third of a
// second, and in time travel that is far more than the few messages take.
func ownLifetime(limit string, more ...string) func(*testing.T) {
	return func(t *testing.T) {
		s := newSite(t, v4in4)
		s.delay(t)
		east, _ := s.pair(t, "CHILD", "lifetime {\n "+limit+"\n }\n"+strings.Join(more, "\n"))
		parley(t, east, "up", "west")
		s.pings(t, 1)
		flood, err := s.east.NewFlood(netip.MustParseAddr(s.eastLAN), netip.MustParseAddr(s.westLAN), 10*time.Millisecond)
		must(t, err)
		eventually(t, "the child is replaced", func() bool {
			return count(t, east, "child_sa.rekeyed") >= 2
		})
		sent, lost := flood.Stop()
		if t.Logf("%d packets, %d lost", sent, lost); lost != 0 || sent < 100 {
			t.Errorf("%d of %d packets were lost", lost, sent)
		}
		s.pings(t, 1)
	}
}
