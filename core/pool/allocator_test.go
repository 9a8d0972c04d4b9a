package pool

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
)

var (
	morning = time.Date(2026, 1, 2, 8, 0, 0, 0, time.UTC)
	home    = netip.MustParseAddr("198.51.100.7")
	hotel   = netip.MustParseAddr("203.0.113.9")
	any4    = netip.IPv4Unspecified()
	any6    = netip.IPv6Unspecified()
)

func conf(t testing.TB, name string, keep time.Duration, ranges ...string) policy.Pool {
	t.Helper()
	p := policy.Pool{Name: name, Keep: keep}
	for _, s := range ranges {
		r, err := policy.ParseRange(s)
		if err != nil {
			t.Fatal(err)
		}
		p.Ranges = append(p.Ranges, r)
	}
	return p
}

func uid(n int) event.UID { return event.UID{15: byte(n), 14: byte(n >> 8)} }

func user(name string) machine.Identity { return machine.Identity{Type: 2, Data: []byte(name)} }

// ask asks for an address in pool "staff".
func ask(holder int, name string, want ...netip.Addr) machine.Lease {
	if want == nil {
		want = []netip.Addr{any4}
	}
	return machine.Lease{Pools: []string{"staff"}, Holder: uid(holder), Identity: user(name), From: home, Want: want}
}

func mustLease(t testing.TB, a *Allocator, now time.Time, op machine.Lease) string {
	t.Helper()
	l, err := a.Lease(now, op)
	if err != nil {
		t.Fatalf("%v: %v", op, err)
	}
	return fmt.Sprint(l.Addresses)
}

func wantAddr(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnIdentityGetsItsAddressAgain(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.0/29")})
	wantAddr(t, mustLease(t, a, morning, ask(1, "alice")), "[10.9.0.1]")
	wantAddr(t, mustLease(t, a, morning, ask(2, "bob")), "[10.9.0.2]")
	a.Release(morning, uid(1))
	wantAddr(t, mustLease(t, a, morning, ask(3, "carol")), "[10.9.0.3]")
	wantAddr(t, mustLease(t, a, morning.Add(59*time.Minute), ask(4, "alice")), "[10.9.0.1]")
	a.Release(morning.Add(59*time.Minute), uid(4))
	a.Expire(morning.Add(3 * time.Hour))
	wantAddr(t, mustLease(t, a, morning.Add(3*time.Hour), ask(5, "alice")), "[10.9.0.4]")
}

func TestAHolderThatAsksAgainHasWhatItHad(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.0/29")})
	first := mustLease(t, a, morning, ask(1, "alice"))
	wantAddr(t, mustLease(t, a, morning, ask(1, "alice")), first)
	if n := a.Release(morning, uid(1)); n != 1 {
		t.Errorf("%d addresses given back, want 1", n)
	}
	if n := a.Release(morning, uid(1)); n != 0 {
		t.Errorf("given back twice: %d", n)
	}
}

func TestTwoSAsOfAnIdentityHaveDifferentAddresses(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.0/29")})
	wantAddr(t, mustLease(t, a, morning, ask(1, "alice")), "[10.9.0.1]")
	wantAddr(t, mustLease(t, a, morning, ask(2, "alice")), "[10.9.0.2]")
	elsewhere := ask(3, "alice", netip.MustParseAddr("10.9.0.1"))
	elsewhere.From = hotel
	wantAddr(t, mustLease(t, a, morning, elsewhere), "[10.9.0.3]")
}

func TestAReauthenticationSharesTheAddressWithWhatItReplaces(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.0/29")})
	mustLease(t, a, morning, ask(1, "alice"))
	wantAddr(t, mustLease(t, a, morning, ask(2, "alice", netip.MustParseAddr("10.9.0.1"))), "[10.9.0.1]")
	if n := a.Release(morning, uid(1)); n != 0 {
		t.Errorf("%d addresses are free while the new SA holds one", n)
	}
	wantAddr(t, mustLease(t, a, morning, ask(3, "bob", netip.MustParseAddr("10.9.0.1"))), "[10.9.0.2]")
	if n := a.Release(morning, uid(2)); n != 1 {
		t.Errorf("%d addresses given back, want 1", n)
	}
}

func TestASuccessorGetsWhatItsPredecessorHas(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.0/29")})
	mustLease(t, a, morning, ask(1, "alice"))
	op := ask(2, "alice")
	op.From, op.Succeeds = hotel, true
	wantAddr(t, mustLease(t, a, morning, op), "[10.9.0.1]")
	a.Release(morning, uid(1))
	wantAddr(t, mustLease(t, a, morning, ask(3, "bob")), "[10.9.0.2]")
}

// RFC7296-3.15.1: a requested address is likely one that the peer had before.
func TestAPeerGetsTheAddressItAsksForWhenItIsFree(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.0/29")})
	wantAddr(t, mustLease(t, a, morning, ask(1, "alice", netip.MustParseAddr("10.9.0.5"))), "[10.9.0.5]")
	wantAddr(t, mustLease(t, a, morning, ask(2, "bob", netip.MustParseAddr("10.9.0.5"))), "[10.9.0.1]")
	wantAddr(t, mustLease(t, a, morning, ask(3, "carol", netip.MustParseAddr("192.0.2.1"))), "[10.9.0.2]")
	a.Release(morning, uid(1))
	wantAddr(t, mustLease(t, a, morning, ask(4, "dave", netip.MustParseAddr("10.9.0.5"))), "[10.9.0.3]") // it waits for alice
	wantAddr(t, mustLease(t, a, morning.Add(2*time.Hour), ask(5, "erin", netip.MustParseAddr("10.9.0.5"))), "[10.9.0.5]")
}

func TestAPoolThatRunsOutTakesTheAddressThatRestedLongest(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.1-10.9.0.2")})
	mustLease(t, a, morning, ask(1, "alice"))
	mustLease(t, a, morning, ask(2, "bob"))
	_, err := a.Lease(morning, ask(3, "carol"))
	if err == nil || err.Kind != machine.Exhausted || !strings.Contains(err.Text, `all 2 IPv4 addresses of pool "staff" are in use`) {
		t.Fatalf("%v", err)
	}
	a.Release(morning, uid(2))
	a.Release(morning.Add(time.Minute), uid(1))
	wantAddr(t, mustLease(t, a, morning.Add(2*time.Minute), ask(3, "carol")), "[10.9.0.2]")
}

func TestBothFamiliesAreGivenTogether(t *testing.T) {
	t.Parallel()
	p := conf(t, "staff", time.Hour, "10.9.0.0/29", "2001:db8:9::/64")
	p.DNS, p.Domains = []netip.Addr{home}, []string{"example.net"}
	a := NewAllocator([]policy.Pool{p})
	l, err := a.Lease(morning, ask(1, "alice", any4, any6))
	if err != nil || fmt.Sprint(l) != "{[staff] [10.9.0.1 2001:db8:9::1] [198.51.100.7] [] [example.net] }" {
		t.Errorf("%v %v", l, err)
	}
}

// RFC 7296 section 3.15.4: what cannot be given is left out as long as something can.
func TestAFamilyThatAPoolDoesNotHaveIsLeftOut(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.0/29")})
	wantAddr(t, mustLease(t, a, morning, ask(1, "alice", any6, any4)), "[10.9.0.1]")
	_, err := a.Lease(morning, ask(2, "bob", any6))
	if err == nil || !strings.Contains(err.Text, "asks for IPv6, of which pool staff has none") {
		t.Errorf("%v", err)
	}
}

// RFC 7296 section 3.15.3: the interface identifier is kept where the prefix cannot be.
func TestAnInterfaceIdentifierIsKeptWithAPrefixOfOurs(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "2001:db8:9::/64")})
	wantAddr(t, mustLease(t, a, morning, ask(1, "alice", netip.MustParseAddr("2001:db8:77::abcd:1"))), "[2001:db8:9::abcd:1]")
	wantAddr(t, mustLease(t, a, morning, ask(2, "bob", netip.MustParseAddr("2001:db8:66::abcd:1"))), "[2001:db8:9::1]")
}

func TestPoolsAreTriedInTheirOrder(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "small", time.Hour, "10.9.0.1"), conf(t, "large", time.Hour, "10.10.0.0/24")})
	op := ask(1, "alice")
	op.Pools = []string{"small", "large"}
	wantAddr(t, mustLease(t, a, morning, op), "[10.9.0.1]")
	op.Holder, op.Identity = uid(2), user("bob")
	wantAddr(t, mustLease(t, a, morning, op), "[10.10.0.1]")
	op.Holder, op.Identity, op.Pools = uid(3), user("carol"), []string{"small"}
	if _, err := a.Lease(morning, op); err == nil {
		t.Error("a pool that was not named gave an address")
	}
}

func TestARequestIsBounded(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.0/16")})
	l, err := a.Lease(morning, ask(1, "alice", slices.Repeat([]netip.Addr{any4}, 500)...))
	if err != nil || len(l.Addresses) != maxWanted {
		t.Errorf("%d addresses, %v", len(l.Addresses), err)
	}
}

func TestOtherPoolsTakeOverWhatIsInUse(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.0/29")})
	mustLease(t, a, morning, ask(1, "alice"))
	mustLease(t, a, morning, ask(2, "bob"))
	a.Release(morning, uid(2))
	a.SetPools([]policy.Pool{conf(t, "renamed", time.Hour, "10.9.0.0/24")})
	op := ask(3, "bob")
	op.Pools = []string{"renamed"}
	wantAddr(t, mustLease(t, a, morning, op), "[10.9.0.2]") // what bob had is forgotten, what alice has is not given away
	a.SetPools([]policy.Pool{conf(t, "other", time.Hour, "10.66.0.0/24")})
	if n := a.Release(morning, uid(1)); n != 1 {
		t.Errorf("%d addresses given back, want 1", n)
	}
	if n := a.Len(); n != 0 {
		t.Errorf("%d addresses of pools that are gone are remembered", n)
	}
}

func TestWhatNobodyOwnsAnyMoreIsReleasedTheSecondTime(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.0/29")})
	mustLease(t, a, morning, ask(1, "alice"))
	mustLease(t, a, morning, ask(2, "bob"))
	mustLease(t, a, morning, ask(3, "carol"))
	alive := func(n ...int) map[event.UID]bool {
		m := map[event.UID]bool{}
		for _, i := range n {
			m[uid(i)] = true
		}
		return m
	}
	for i, step := range []struct {
		alive map[event.UID]bool
		want  int
	}{{alive(2), 0}, {alive(2, 3), 1}, {alive(2), 0}, {alive(2, 3), 0}, {alive(2), 0}, {alive(2), 1}} {
		if n := a.Retain(morning, step.alive); n != step.want {
			t.Errorf("step %d: %d holders released, want %d", i+1, n, step.want)
		}
	}
	if s := a.Stats()[0]; s.Used != 1 || s.Kept != 2 {
		t.Errorf("%+v", s)
	}
}

func TestStatisticsSayWhoHasWhat(t *testing.T) {
	t.Parallel()
	a := NewAllocator([]policy.Pool{conf(t, "staff", time.Hour, "10.9.0.0/29", "2001:db8:9::/64")})
	mustLease(t, a, morning, ask(1, "alice", any6, any4))
	mustLease(t, a, morning, ask(2, "bob"))
	a.Release(morning, uid(2))
	s := a.Stats()[0]
	if s.Size.String() != "18446744073709551621" || s.Used != 2 || s.Kept != 1 || len(s.Leases) != 3 {
		t.Fatalf("%+v", s)
	}
	alice, bob := s.Leases[0], s.Leases[1]
	if alice.Addr.String() != "10.9.0.1" || alice.Holders[0] != uid(1) || alice.Since != morning || !alice.Until.IsZero() {
		t.Errorf("%+v", alice)
	}
	if string(bob.Identity.Data) != "bob" || len(bob.Holders) > 0 || bob.Until != morning.Add(time.Hour) {
		t.Errorf("%+v", bob)
	}
}

// TestNoAddressHasTwoIdentities takes an allocator through any sequence of operations.
func TestNoAddressHasTwoIdentities(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := NewAllocator([]policy.Pool{{Name: "staff", Keep: time.Duration(rapid.IntRange(0, 3).Draw(t, "keep")) * time.Minute, Ranges: []policy.Range{
			{First: netip.MustParseAddr("10.9.0.1"), Last: netip.MustParseAddr("10.9.0.4")}, {First: netip.MustParseAddr("10.9.0.7"), Last: netip.MustParseAddr("10.9.0.7")}}}})
		now, held := morning, map[event.UID]machine.Lease{}
		has := map[event.UID][]netip.Addr{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "pause")) * time.Second)
			holder := rapid.IntRange(1, 8).Draw(t, "holder")
			if rapid.Bool().Draw(t, "release") {
				a.Release(now, uid(holder))
				delete(held, uid(holder))
				delete(has, uid(holder))
				continue
			}
			op := ask(holder, fmt.Sprint("user", rapid.IntRange(1, 4).Draw(t, "user")), netip.AddrFrom4([4]byte{10, 9, 0, byte(rapid.IntRange(0, 9).Draw(t, "want"))}))
			if before, again := held[uid(holder)]; again {
				op = before
			}
			l, err := a.Lease(now, op)
			if err != nil {
				continue
			}
			held[uid(holder)], has[uid(holder)] = op, l.Addresses
			for other, addrs := range has {
				if addrs[0] == l.Addresses[0] && string(held[other].Identity.Data) != string(op.Identity.Data) {
					t.Fatalf("%v has %v, which is also given to %v", other, addrs, op)
				}
			}
		}
		for holder := range held {
			a.Release(now, holder)
		}
		if s := a.Stats()[0]; s.Used != 0 {
			t.Fatalf("left behind: %+v", s)
		}
		a.Expire(now.Add(time.Hour))
		if a.Len() != 0 {
			t.Fatalf("%d entries are kept for ever", a.Len())
		}
	})
}
