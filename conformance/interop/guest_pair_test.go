package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/kit/guest"
)

// TestPairOnAKernelsOwnESP runs the tests of two parleyd that need a kernel's own ESP in a guest.
func TestPairOnAKernelsOwnESP(t *testing.T) {
	needFull(t, "it keeps a processor busy for minutes")
	runInGuest(t, "TestGuestPair")
}

// needFull skips what only make interop has.
func needFull(t *testing.T, why string) {
	t.Helper()
	if !guest.Inside() && os.Getenv(fullVariable) != "full" {
		t.Skipf("SKIPPED, not proven here: set %s=full, or make interop: %s", fullVariable, why)
	}
}

// TestKillsOnAKernelsOwnESP runs that of two parleyd that are killed.
func TestKillsOnAKernelsOwnESP(t *testing.T) {
	travelInGuest(t, "TestGuestKills", "-kills="+fmt.Sprint(*killSeed))
}

// runInGuest runs the tests in a guest whose names begin so.
func runInGuest(t *testing.T, tests string) {
	t.Helper()
	bootFor(t, guest.Run, guestTime, tests)
}

// travelTime is of the guest's clock, in which waiting costs nothing.
const travelTime = 100 * time.Hour

// travelInGuest does so in time travel.
func travelInGuest(t *testing.T, tests string, flags ...string) {
	t.Helper()
	bootFor(t, guest.Travel, travelTime, tests, flags...)
}

func bootFor(t *testing.T, boot func(testing.TB, time.Duration, ...string) string, within time.Duration, tests string, flags ...string) {
	t.Helper()
	if guest.Inside() {
		t.Skip("this is the guest")
	}
	t.Parallel()
	self, err := os.Executable()
	must(t, err)
	bin, err := lab.BinDir()
	must(t, err)
	command := []string{"env", "PARLEY_BIN=" + bin, fullVariable + "=" + os.Getenv(fullVariable), self, "-test.run=^" + tests, "-test.v", "-test.timeout=" + within.String()}
	text := boot(t, guestTime, append(command, flags...)...)
	if !strings.Contains(text, "--- PASS: "+tests) {
		t.Fatalf("no test ran in the guest:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "---") || strings.Contains(line, "lost") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// TestGuestPairLosesNoPacketOver50Rekeyings: the side that began and the other one replace the child SA in turn, and now and then the
// IKE SA, while packets cross all the time (RFC 7296 section 2.8).
func TestGuestPairLosesNoPacketOver50Rekeyings(t *testing.T) {
	if !guest.Inside() {
		t.Skip("runs within TestPairOnAKernelsOwnESP")
	}
	s := newSite(t, v4in4)
	east, west := s.pair(t)
	parley(t, east, "up", "west")
	s.pings(t, 1)
	end := s.flood(t, 1000)
	for i := range 50 {
		begins, conn := east, "west"
		if i%2 == 1 {
			begins, conn = west, "east"
		}
		if i%10 < 2 {
			rekey(t, begins, conn)
		}
		rekey(t, begins, conn+"/lan")
		for _, g := range []*lab.Gateway{east, west} {
			eventually(t, g.Name+" has the new child alone", func() bool {
				now := established(t, g)
				return len(now) == 1 && len(now[0].Children) == 1
			})
		}
	}
	end(t)
	s.pings(t, 1)
}
