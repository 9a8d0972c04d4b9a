package interop

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/kit/guest"
)

// pfkeyTime is far above what the tests with PF_KEY take on a busy machine.
const pfkeyTime = 4 * time.Minute

// TestPFKEYOnAKernelsOwnESP runs the tests of two parleyd on PF_KEY in a guest.
func TestPFKEYOnAKernelsOwnESP(t *testing.T) {
	needFull(t, "it keeps a processor busy for minutes")
	if guest.Inside() {
		t.Skip("this is the guest")
	}
	t.Parallel()
	self, err := os.Executable()
	must(t, err)
	bin, err := lab.BinDir()
	must(t, err)
	text := guest.Run(t, pfkeyTime, "env", "PARLEY_BIN="+bin, self, "-test.run=^TestGuestPFKEY", "-test.v", "-test.parallel=1", "-test.timeout="+pfkeyTime.String())
	if !strings.Contains(text, "--- PASS: TestGuestPFKEY") {
		t.Fatalf("no test ran in the guest:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "---") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

const onPFKEY = `backend = "pfkey"`

// carries demands that a child of a gateway is on a backend, with a suite that PF_KEY can carry.
func carries(t *testing.T, g *lab.Gateway, backend string) {
	t.Helper()
	text := parley(t, g, "sa", "show", peerOf(g))
	contains(t, text, backend, "AES_CBC_256/HMAC_SHA2_384_192")
}

// TestGuestPFKEYCarriesATunnel: nothing but what the kernel can carry is proposed, so that both sides agree at once; with PF_KEY on both
// sides, and with XFRM on the other one.
func TestGuestPFKEYCarriesATunnel(t *testing.T) {
	if !guest.Inside() {
		t.Skip("runs within TestPFKEYOnAKernelsOwnESP")
	}
	for name, west := range map[string]string{"pfkey": onPFKEY, "xfrm": `backend = "xfrm"`} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, v4in4)
			east, other := s.gateway(t, s.east, "CHILD", onPFKEY), s.gateway(t, s.west, "CHILD", west)
			parley(t, east, "up", "west")
			carries(t, east, "pfkey")
			carries(t, other, name)
			s.pings(t, 3)
			for begins, conn := range map[*lab.Gateway]string{east: "west/lan", other: "east/lan"} {
				parley(t, begins, "rekey", conn)
				s.pings(t, 3)
			}
			parley(t, other, "down", "east")
			eventually(t, "east has no SA", func() bool { return ended(sas(t, east)) })
			s.silent(t)
			parley(t, other, "up", "east") // and as the responder
			s.pings(t, 3)
		})
	}
}

// TestGuestPFKEYTrapsBringATunnelUp: the first packet is told of and brings the tunnel up; none leaves in clear.
func TestGuestPFKEYTrapsBringATunnelUp(t *testing.T) {
	if !guest.Inside() {
		t.Skip("runs within TestPFKEYOnAKernelsOwnESP")
	}
	s := newSite(t, v4in4)
	s.gateway(t, s.west, "CHILD", onPFKEY)
	east := s.gateway(t, s.east, "CHILD", onPFKEY+"\n start = \"trap\"")
	s.pings(t, 3)
	if seen := s.capture.Counts(); seen.ClearICMP != 0 {
		t.Errorf("got %+v, want nothing in clear", seen)
	}
	contains(t, parley(t, east, "events", "tail", "--no-follow"), "backend.traffic_trapped", "pfkey")
}

// TestGuestPFKEYCountsBytes: the kernel tells that a child has carried enough, and it is replaced.
func TestGuestPFKEYCountsBytes(t *testing.T) {
	if !guest.Inside() {
		t.Skip("runs within TestPFKEYOnAKernelsOwnESP")
	}
	s := newSite(t, v4in4)
	east, _ := s.pair(t, "CHILD", onPFKEY+"\n lifetime { bytes = 20000 }")
	parley(t, east, "up", "west")
	first := established(t, east)[0].Children[0].SPIIn
	eventually(t, "the child is replaced", func() bool {
		s.pings(t, 5)
		now := established(t, east)
		return len(now) == 1 && len(now[0].Children) == 1 && now[0].Children[0].SPIIn != first
	})
	contains(t, parley(t, east, "events", "tail", "--no-follow"), "child_sa.rekeyed")
	s.pings(t, 3)
}
