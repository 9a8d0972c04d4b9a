package interop

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	stdnet "net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/kit/guest"
)

// strikes are what is killed, with SIGKILL.
var strikes = []struct {
	name string
	do   func(*testing.T, *lab.Gateway)
}{
	{"the SA plugin", killBackend},
	{"the daemon", killDaemon},
	{"both", func(t *testing.T, g *lab.Gateway) { killBackend(t, g); killDaemon(t, g) }},
}

func killBackend(t *testing.T, g *lab.Gateway) {
	t.Helper()
	if p, err := g.Plugin(short(t), "sa"); err == nil && p.PID != 0 { // it may be on its way back from the last strike
		_ = p.Kill()
	}
}

func killDaemon(t *testing.T, g *lab.Gateway) {
	t.Helper()
	must(t, g.Kill())
}

// killSeed chooses the moments. What runs in the guest is otherwise the same each time, but for what processes do to each other.
var killSeed = flag.Uint64("kills", 1, "the seed of the moments at which processes are killed")

// TestGuestKillsDuringRekeyingsLeakNothing: the SA plugin, the daemon or both are killed at random moments of a hundred rekeyings, or of
// two dozen in make test. Packets go on over what the kernel has, none crosses in clear, and when the connection is up again the kernel
// holds one child SA and what belongs to others.
func TestGuestKillsDuringRekeyingsLeakNothing(t *testing.T) {
	if !guest.Inside() {
		t.Skip("runs within TestKillsOnAKernelsOwnESP")
	}
	rekeyings, eachStrike := 24, 4
	if os.Getenv(fullVariable) == "full" {
		rekeyings, eachStrike = 100, 6
	}
	s := newSite(t, v4in4)
	s.delay(t)
	for _, ns := range []*lab.Namespace{s.east, s.west} { // else an SPI that was reserved when its daemon was killed stays for 30 seconds
		must(t, ns.Do(func() error { return os.WriteFile("/proc/sys/net/core/xfrm_acq_expires", []byte("3"), 0) }))
	}
	far, err := s.west.NewCapture("wan")
	must(t, err)
	t.Cleanup(far.Close)
	foreign := []entries{addForeign(t, s.east), addForeign(t, s.west)}
	east, west := s.pair(t, "CHILD", `start = "up"`)
	both := []*lab.Gateway{east, west}
	s.settle(t, both, foreign)
	eastLAN, westLAN := netip.MustParseAddr(s.eastLAN), netip.MustParseAddr(s.westLAN)
	west2east, err := s.west.NewFlood(westLAN, eastLAN, 20*time.Millisecond)
	must(t, err)
	east2west, err := s.east.NewFlood(eastLAN, westLAN, 20*time.Millisecond)
	must(t, err)
	s.capture.Reset()
	far.Reset()
	random := rand.New(rand.NewPCG(*killSeed, 2))
	done, halfway := 0, 0
	for i := range rekeyings {
		begins := both[random.IntN(2)]
		ended := make(chan error, 1)
		go func() { _, err := begins.Parley(t.Context(), "rekey", peerOf(begins)+"/lan"); ended <- err }()
		if i%eachStrike == eachStrike-1 {
			victim, strike := both[i/eachStrike%2], strikes[i/eachStrike%len(strikes)]
			await(random)
			strike.do(t, victim)
			if len(ended) == 0 {
				halfway++
			}
			t.Logf("rekeying %d, begun by %s: %s of %s killed; it was over: %v", i, begins.Name, strike.name, victim.Name, len(ended) > 0)
			s.stillPings(t)
			revive(t, victim)
			<-ended
			s.settle(t, both, foreign)
			continue
		}
		if err := <-ended; err == nil {
			done++
		}
	}
	s.settle(t, both, foreign)
	for _, f := range []*lab.Flood{west2east, east2west} {
		sent, lost := f.Stop()
		t.Logf("%d of %d rekeyings done, %d struck halfway; %d packets, %d lost", done, rekeyings, halfway, sent, lost)
	}
	if halfway == 0 {
		t.Error("no kill came before its rekeying was over")
	}
	if done < rekeyings*3/4 {
		t.Errorf("only %d rekeyings succeeded", done)
	}
	if leaked := s.capture.Counts().ClearICMP + far.Counts().ClearICMP; leaked != 0 {
		t.Errorf("%d packets crossed in clear", leaked)
	}
}

// await waits until a random moment of a rekeying. In time travel only messages take time, and what comes between is met by giving way to
// the others a random number of times.
func await(random *rand.Rand) {
	time.Sleep(time.Duration(random.Int64N(int64(3 * wireDelay))))
	for range random.IntN(mostYields) {
		runtime.Gosched()
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

// mostYields is about as often as a rekeying gives way to others.
const mostYields = 400

// peerOf names the connection of a gateway.
func peerOf(g *lab.Gateway) string {
	if g.Name == "east" {
		return "west"
	}
	return "east"
}

// revive starts a daemon again that was killed.
func revive(t *testing.T, g *lab.Gateway) {
	t.Helper()
	if !g.Running() {
		must(t, g.Start(context.Background())) // it ends with the test, in order
	}
	must(t, g.WaitReady(short(t)))
}

// stillPings demands that packets cross though nobody may be there to mend anything.
func (s *site) stillPings(t *testing.T) {
	t.Helper()
	p := s.pinger(t)
	for range 3 {
		if _, err := p.Ping(56, 2*time.Second); err != nil {
			t.Errorf("after the kill: %v", err)
		}
	}
}

// settle waits until both sides have one IKE SA and one child SA, and the kernels hold that and what is foreign.
func (s *site) settle(t *testing.T, both []*lab.Gateway, foreign []entries) {
	t.Helper()
	var state string
	ok := func() bool {
		for i, g := range both {
			sas := established(t, g)
			if state = fmt.Sprintf("%s has %+v", g.Name, sas); len(sas) != 1 || len(sas[0].Children) != 1 {
				return false
			}
			c := sas[0].Children[0]
			held := listEntries(t, g.NS)
			if state += fmt.Sprintf(", kernel %+v, foreign %+v", held, foreign[i]); !held.isOneChildAnd(foreign[i], c) {
				return false
			}
		}
		return true
	}
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > step {
			t.Fatalf("never: both have one child SA, and the kernels that alone; the last state: %s", state)
		}
		time.Sleep(time.Second) // of the guest's: asking costs processes
	}
}

// entries are what a kernel's IPsec holds: SPIs of SAs, and the policies but those of sockets.
type entries struct {
	spis     []string
	policies int
}

func listEntries(t *testing.T, ns *lab.Namespace) (e entries) {
	t.Helper()
	states, err := ns.Links.XfrmStateList(netlink.FAMILY_ALL)
	must(t, err)
	for _, s := range states {
		e.spis = append(e.spis, fmt.Sprintf("%08x", uint32(s.Spi)))
	}
	policies, err := ns.Links.XfrmPolicyList(netlink.FAMILY_ALL)
	must(t, err)
	for _, p := range policies {
		if p.Dir <= netlink.XFRM_DIR_FWD {
			e.policies++
		}
	}
	return e
}

// isOneChildAnd reports whether these are the two SAs and three policies of a child, and what was there before.
func (e entries) isOneChildAnd(before entries, c childSA) bool {
	want := slices.Sorted(slices.Values(append(slices.Clone(before.spis), c.SPIIn, c.SPIOut)))
	return slices.Equal(slices.Sorted(slices.Values(e.spis)), want) && e.policies == before.policies+3
}

// addForeign makes an SA and a policy that are nobody's here.
func addForeign(t *testing.T, ns *lab.Namespace) entries {
	t.Helper()
	_, net, _ := stdnet.ParseCIDR("198.18.0.0/24")
	state := &netlink.XfrmState{Src: stdnet.IPv4(198, 18, 0, 1), Dst: stdnet.IPv4(198, 18, 0, 2), Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TUNNEL,
		Spi: 0x9999, Reqid: 7, Aead: &netlink.XfrmStateAlgo{Name: "rfc4106(gcm(aes))", Key: make([]byte, 20), ICVLen: 128}}
	must(t, ns.Links.XfrmStateAdd(state))
	must(t, ns.Links.XfrmPolicyAdd(&netlink.XfrmPolicy{Src: net, Dst: net, Dir: netlink.XFRM_DIR_OUT,
		Tmpls: []netlink.XfrmPolicyTmpl{{Src: state.Src, Dst: state.Dst, Proto: state.Proto, Mode: state.Mode, Reqid: 7}}}))
	return listEntries(t, ns)
}
