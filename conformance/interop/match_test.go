package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/vishvananda/netlink"
)

// match is one scenario with one peer in one role: our gateway in east, the peer in west, and a kernel with ESP below both, or ESP
// in userspace.
type match struct {
	*site
	maker
	weBegin   bool
	userspace bool
	ikev1     bool         // the tunnel comes up by IKEv1
	far       *lab.Capture // of the wire at west
	ours      *lab.Gateway
	theirs    peer
	notBefore time.Time // no tunnel is tried before
	reason    string    // why the scenario cannot be
}

// place makes the network of a match.
func (x *match) place(t *testing.T, s *site) {
	t.Helper()
	x.site = s
	var err error
	x.far, err = s.west.NewCapture("wan")
	must(t, err)
	t.Cleanup(x.far.Close)
}

// start makes a plain network and starts both sides.
func (x *match) start(t *testing.T, c terms, own ...string) {
	t.Helper()
	x.place(t, newSite(t, v4in4))
	x.startBoth(t, c, own...)
}

// startBoth starts the peer on terms, and our gateway with settings.
func (x *match) startBoth(t *testing.T, c terms, own ...string) {
	t.Helper()
	c.begins, c.userspace = !x.weBegin, x.userspace
	if x.ikev1 {
		c, own = byIKEv1(c, own)
	}
	x.theirs = x.newPeer(t, c)
	x.ours = x.gateway(t, x.east, own...)
	x.settle(t)
}

// startSigned starts both sides with certificates.
func (x *match) startSigned(t *testing.T, kind lab.KeyKind, p pki, c terms, own ...string) {
	t.Helper()
	c.begins, c.userspace, c.ecdsa, c.own = !x.weBegin, x.userspace, kind == lab.P256, &lab.Identity{Holder: p.west, CA: p.ca.PEM()}
	if x.ikev1 {
		c, own = byIKEv1(c, own)
	}
	x.theirs = x.newPeer(t, c)
	x.ours = x.signed(t, p, x.east, own...)
	start(t, x.ours)
	x.settle(t)
}

// settle waits for the plugins that a busy machine did not start in time, and shows what both sides have if the test fails.
func (x *match) settle(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"sa", "ke", "auth", "cred"} {
		if strings.Contains(x.ours.Log(), "not all plugins are up") {
			_, err := x.ours.WaitPlugin(short(t), kind, 0)
			must(t, err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			x.show(t)
		}
	})
}

// show logs what both sides have, for who looks for the reason of a failure.
func (x *match) show(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"sa", "show", "west"}, {"events", "tail", "--no-follow"}} {
		out, _ := x.ours.Parley(context.Background(), args...)
		t.Logf("parley %s:\n%s", strings.Join(args, " "), out)
	}
	for _, ns := range []*lab.Namespace{x.east, x.west} {
		_ = ns.Do(func() error {
			counters, err := os.ReadFile("/proc/thread-self/net/xfrm_stat")
			t.Logf("what the kernel of %s dropped, and why:\n%s", ns.Name, zeros.ReplaceAll(counters, nil))
			return err
		})
		states, _ := ns.Links.XfrmStateList(netlink.FAMILY_ALL)
		policies, _ := ns.Links.XfrmPolicyList(netlink.FAMILY_ALL)
		for _, s := range states {
			t.Logf("SA of %s: %v -> %v, SPI %x, encapsulation %v, %+v", ns.Name, s.Src, s.Dst, s.Spi, s.Encap, s.Statistics)
		}
		for _, p := range policies {
			if len(p.Tmpls) > 0 {
				t.Logf("policy of %s: %v", ns.Name, p)
			}
		}
	}
}

// up brings the tunnel up from the side whose role it is, and waits until both have it.
func (x *match) up(t *testing.T) {
	t.Helper()
	if x.weBegin {
		parley(t, x.ours, "up", "west")
	} else {
		x.can(t, x.theirs.Up(short(t)))
	}
	eventually(t, "both sides have the tunnel", func() bool {
		children, theirs := len(x.children(t)), x.theirs.IKESAs(short(t))
		return children == 1 && theirs == 1 || x.repeats() && children > 0 && theirs > 0
	})
}

// zeros are the lines of counters that counted nothing.
var zeros = regexp.MustCompile(`(?m)^\S+\s+0\n`)

// can demands success of a peer; when it cannot, the scenario is skipped with the reason.
func (x *match) can(t *testing.T, err error) {
	t.Helper()
	var why unable
	if errors.As(err, &why) {
		x.skip(t, string(why))
	}
	must(t, err)
}

// skip ends a scenario that cannot be, and notes why for the table.
func (x *match) skip(t *testing.T, why string) {
	t.Helper()
	x.reason = why
	t.Skipf("SKIPPED, cannot be with %s: %s", x.name, why)
}

// childSA is a child SA in `parley sa list -o json`.
type childSA struct {
	Name     string   `json:"name"`
	SPIIn    string   `json:"spi_in"`
	SPIOut   string   `json:"spi_out"`
	LocalTS  []string `json:"local_ts"`
	RemoteTS []string `json:"remote_ts"`
}

type ikeSA struct {
	SPIi     string    `json:"spi_i"`
	State    string    `json:"state"`
	Children []childSA `json:"children"`
}

// ikeSAs returns our established IKE SAs.
func (x *match) ikeSAs(t *testing.T) []ikeSA {
	t.Helper()
	return established(t, x.ours)
}

// established returns the established IKE SAs of a gateway.
func established(t *testing.T, g *lab.Gateway) (all []ikeSA) {
	t.Helper()
	var list struct {
		SAs []ikeSA `json:"sas"`
	}
	must(t, json.Unmarshal([]byte(parley(t, g, "sa", "list", "-o", "json")), &list))
	for _, sa := range list.SAs {
		if sa.State == "established" {
			all = append(all, sa)
		}
	}
	return all
}

func (x *match) children(t *testing.T) (all []childSA) {
	t.Helper()
	for _, sa := range x.ikeSAs(t) {
		all = append(all, sa.Children...)
	}
	return all
}

// repeats reports whether the peer replaces its SAs again and again, and keeps the old ones beside the new ones for a while.
func (x *match) repeats() bool { return x.ikev1 && !x.weBegin && x.name == "Libreswan" }

// parent waits until one IKE SA of ours has children, which a peer may be about to replace, and returns it.
func (x *match) parent(t *testing.T) (sa ikeSA) {
	t.Helper()
	eventually(t, "one IKE SA has children", func() bool {
		now := slices.DeleteFunc(x.ikeSAs(t), func(sa ikeSA) bool { return len(sa.Children) == 0 })
		if len(now) != 1 {
			return false
		}
		sa = now[0]
		return true
	})
	return sa
}

// crosses demands that n pings cross between the protected networks, that each went through the child SA that we have now, as
// both kernels counted it, and that nothing was in clear at either end of the wire.
func (x *match) crosses(t *testing.T, n int) lab.Counts {
	t.Helper()
	return x.crossesBetween(t, "lan", x.eastLAN, x.westLAN, n)
}

// crossesBetween is crosses for a child and two addresses behind it.
func (x *match) crossesBetween(t *testing.T, child, from, to string, n int) lab.Counts {
	t.Helper()
	p, err := x.east.NewPinger(netip.MustParseAddr(from), netip.MustParseAddr(to))
	must(t, err)
	defer p.Close()
	eventually(t, "a ping crosses", func() bool { _, err := p.Ping(pingSize, time.Second); return err == nil })
	for tries := 1; ; tries++ {
		before, had := x.counted(t, child)
		x.capture.Reset()
		x.far.Reset()
		for range n {
			if _, err := p.Ping(pingSize, 5*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		after, have := x.counted(t, child)
		if missing := after.lacks(before, n); missing == "" || tries == 5 || len(had) == 1 && slices.Equal(had, have) {
			if missing != "" {
				t.Error(missing)
			}
			return x.onlyESP(t, n)
		} // a peer replaced the child in the meantime, and two of them share the packets
	}
}

// onlyESP waits until the captures have n pings and their replies as ESP, demands that they saw none in clear, and returns what
// the nearer one saw.
func (x *match) onlyESP(t *testing.T, n int) (seen lab.Counts) {
	t.Helper()
	eventually(t, "the captures have all packets", func() bool {
		seen = x.capture.Counts()
		return seen.Protected() >= 2*n && x.far.Counts().Protected() >= 2*n
	})
	if clear := seen.ClearICMP + x.far.Counts().ClearICMP; clear != 0 {
		t.Errorf("%d pings crossed in clear", clear)
	}
	return seen
}

// pingSize is the data of a ping in octets.
const pingSize = 500

// usage is what kernels counted for the SAs of a child, by namespace and SPI.
type usage map[string]netlink.XfrmStateStats

// counted is what the kernels on both sides counted for the newest child SA of a name, and the SPIs of all of the name. In userspace
// nobody counts.
func (x *match) counted(t *testing.T, name string) (all usage, spis []string) {
	t.Helper()
	eventually(t, "both kernels have the child SA that we have", func() bool {
		all, spis = usage{}, nil
		var newest childSA
		for _, c := range x.children(t) {
			if c.Name == name {
				newest, spis = c, append(spis, c.SPIIn)
			}
		}
		return spis != nil && (x.userspace || all.add(t, x.east, newest) && all.add(t, x.west, newest))
	})
	return all, spis
}

// add notes what the kernel counted in a namespace for a child SA, and reports whether it has it.
func (u usage) add(t *testing.T, ns *lab.Namespace, child childSA) bool {
	t.Helper()
	for _, spi := range []string{child.SPIIn, child.SPIOut} {
		state, ok := kernelSA(t, ns, hexNumber(t, spi))
		if !ok {
			return false
		}
		u[ns.Name+" "+spi] = state.Statistics
	}
	return true
}

// lacks tells where fewer packets or octets than those of n pings were counted since another count.
func (u usage) lacks(before usage, n int) string {
	for where, count := range u {
		if packets, octets := count.Packets-before[where].Packets, count.Bytes-before[where].Bytes; packets < uint64(n) || octets < uint64(n*pingSize) {
			return fmt.Sprintf("%s counted %d packets and %d octets, want those of %d pings", where, packets, octets, n)
		}
	}
	return ""
}

// kernelSA returns the SA with an SPI that the kernel has for a namespace, if it has one.
func kernelSA(t *testing.T, ns *lab.Namespace, spi uint64) (state netlink.XfrmState, ok bool) {
	t.Helper()
	states, err := ns.Links.XfrmStateList(netlink.FAMILY_ALL)
	must(t, err)
	i := slices.IndexFunc(states, func(s netlink.XfrmState) bool { return uint64(uint32(s.Spi)) == spi })
	if i < 0 {
		return state, false
	}
	return states[i], true
}

// kernelSAs is how many SAs the kernel has in a namespace.
func kernelSAs(t *testing.T, ns *lab.Namespace) int {
	t.Helper()
	states, err := ns.Links.XfrmStateList(netlink.FAMILY_ALL)
	must(t, err)
	return len(states)
}

// quiet demands that neither side has a tunnel, and that no ping crosses.
func (x *match) quiet(t *testing.T) {
	t.Helper()
	eventually(t, "we have no SA", func() bool { return len(x.ikeSAs(t)) == 0 })
	eventually(t, "the peer has no SA", func() bool { return x.theirs.IKESAs(short(t)) == 0 })
	x.noStates(t)
}

// noStates demands that our kernel has no SA any more, and no SPI kept for one.
func (x *match) noStates(t *testing.T) {
	t.Helper()
	eventually(t, "our kernel has no SA", func() bool { return x.kernelHas(t, 0) })
}

// kernelHas reports whether our kernel has that many SAs. ESP in userspace leaves it out.
func (x *match) kernelHas(t *testing.T, n int) bool {
	t.Helper()
	return x.userspace || kernelSAs(t, x.east) == n
}

// refused demands that no tunnel comes up from the side whose role it is, and that we explain why.
func (x *match) refused(t *testing.T, weSay, saysOfTheirs []string) {
	t.Helper()
	if x.weBegin {
		fails(t, x.ours, weSay)
		return
	}
	_ = x.theirs.Up(short(t)) // some tell of the failure
	explained := ""
	eventually(t, "we have the explanation", func() bool {
		out, err := x.ours.Parley(short(t), "explain", "west")
		explained = out
		return err == nil && strings.Contains(squeezed(out), squeezed(saysOfTheirs[0]))
	})
	if n := len(x.children(t)); n != 0 {
		t.Errorf("it came up: we have %d children", n)
	}
	contains(t, explained, saysOfTheirs...) // some try again at once
}

// roles are who begins: we, they.
var roles = []bool{true, false}

// role names who begins.
func role(weBegin bool) string {
	if weBegin {
		return "we begin"
	}
	return "they begin"
}
