package interop

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
	stdnet "net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/kit/guest"
)

// Variables of the environment that the guest gets.
const (
	resultVariable = "PARLEY_INTEROP_RESULT" // the file for the result of a peer
	fullVariable   = "PARLEY_INTEROP"        // "full" runs all scenarios, not only the quick ones
)

// only chooses scenarios while one works on them.
var only = flag.String("scenario", "", "run the scenarios with peers in a guest whose name matches this regular expression")

// guestTime is far above what the scenarios with one peer take on a busy machine.
const guestTime = 25 * time.Minute

// TestPeersOnAKernelsOwnESP runs every scenario with every peer in guest kernels, one for each peer, and compares the result
// with the table in README.md; -update writes it.
func TestPeersOnAKernelsOwnESP(t *testing.T) {
	if guest.Inside() {
		t.Skip("this is the guest")
	}
	t.Parallel()
	for _, m := range makers {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			compare(t, inGuest(t, m))
		})
	}
}

// inGuest runs the scenarios with a peer in a guest and returns their result.
func inGuest(t *testing.T, m maker) (result []cell) {
	t.Helper()
	if _, err := lab.Unpack(m.packages, os.Stderr); err != nil {
		t.Skipf("SKIPPED, not proven here: no %s: %v", m.name, err)
	}
	self, err := os.Executable()
	must(t, err)
	bin, err := lab.BinDir()
	must(t, err)
	file := filepath.Join(t.TempDir(), "result")
	text := guest.Run(t, guestTime, "env", "PARLEY_BIN="+bin, "PARLEY_CACHE="+lab.CacheDir(), resultVariable+"="+file, fullVariable+"="+os.Getenv(fullVariable),
		self, "-test.run=^TestGuestWithAPeer$/^"+m.name+"$", "-scenario="+*only, "-test.v", "-test.parallel=2", "-test.timeout="+guestTime.String())
	for line := range strings.Lines(text) {
		if strings.Contains(line, "---") || strings.Contains(line, "SKIPPED") {
			t.Log(strings.TrimRight(line, "\n"))
		}
	}
	raw, err := os.ReadFile(file)
	must(t, err)
	must(t, json.Unmarshal(raw, &result))
	return result
}

// TestGuestWithAPeer is what runs in the guest.
func TestGuestWithAPeer(t *testing.T) {
	if !guest.Inside() {
		t.Skip("runs within TestPeersOnAKernelsOwnESP")
	}
	for _, m := range makers {
		t.Run(m.name, func(t *testing.T) { m.all(t) })
	}
}

// all runs all scenarios with a peer and writes their result.
func (m maker) all(t *testing.T) {
	var result []*cell
	t.Run("scenarios", func(t *testing.T) { // it ends when all of them have
		for _, s := range scenarios {
			for _, weBegin := range roles {
				if !s.chosen() {
					continue
				}
				c := &cell{Peer: m.name, Scenario: s.name, Role: role(weBegin)}
				result = append(result, c)
				t.Run(s.name+"/"+c.Role, func(t *testing.T) { c.fill(t, s, &match{maker: m, weBegin: weBegin}) })
			}
		}
	})
	raw, err := json.Marshal(result)
	must(t, err)
	must(t, os.WriteFile(os.Getenv(resultVariable), raw, 0o644))
}

// chosen reports whether a scenario is to be run now.
func (s scenario) chosen() bool {
	if *only != "" {
		return regexp.MustCompile(*only).MatchString(s.name)
	}
	return s.quick || os.Getenv(fullVariable) == "full"
}

// fill runs a scenario and notes how it ended.
func (c *cell) fill(t *testing.T, s scenario, x *match) {
	t.Cleanup(func() {
		switch {
		case t.Skipped():
			c.Verdict, c.Why = cannot, x.reason
		case !t.Failed():
			c.Verdict = works
		default:
			c.Verdict = broken
		}
	})
	s.run(t, x)
}

// stranger has somebody else send a first message to an address, which leaves a half-open SA there or is answered by a cookie.
func (x *match) stranger(t *testing.T, from *lab.Namespace, to string) {
	t.Helper()
	var conn *stdnet.UDPConn
	must(t, from.Do(func() (err error) {
		conn, err = stdnet.DialUDP("udp4", nil, &stdnet.UDPAddr{IP: stdnet.ParseIP(to), Port: 500})
		return err
	}))
	defer conn.Close()
	_, err := conn.Write(request(rand.New(rand.NewPCG(1, 2)), 1))
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(step)))
	if _, err := conn.Read(make([]byte, 4096)); err != nil {
		t.Fatalf("the stranger's message was not answered: %v", err)
	}
}
