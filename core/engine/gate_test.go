package engine

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

// cookieOf returns the cookie that a datagram demands.
func cookieOf(t *testing.T, s machine.Send) []byte {
	t.Helper()
	cookie, ok := strings.CutPrefix(string(s.Bytes), "cookie:")
	if !ok {
		t.Fatalf("sent %q, want a demand for a cookie", s.Bytes)
	}
	return []byte(cookie)
}

// fill opens n SAs from as many sources.
func (b *bench) fill(n int) {
	b.t.Helper()
	for i := range n {
		b.loop(first(sourceAddr(1000+i), uint64(1000+i), nil))
	}
	if b.Len() != n {
		b.t.Fatalf("%d SAs, want %d", b.Len(), n)
	}
}

// RFC7296-2.6-2: many half-open SAs make a responder ask for cookies, and what follows costs no state.
func TestAFloodFromManySourcesIsBoundedByCookies(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	const flood, threshold = 20_000, 100
	for i := range flood {
		b.now = b.now.Add(10 * time.Microsecond)
		b.loop(first(sourceAddr(i), uint64(i+1), nil))
	}
	if b.Len() != threshold || len(b.inits) != threshold || len(b.requests) != threshold {
		t.Errorf("%d SAs, %d in the index, %d calls; want %d of each", b.Len(), len(b.inits), len(b.requests), threshold)
	}
	if n := len(b.flushed()); n != flood-threshold {
		t.Errorf("%d demands, want %d", n, flood-threshold)
	}
	if n := len(b.c.Gate.sources); n > maxSources {
		t.Errorf("%d sources are remembered, limit %d", n, maxSources)
	}
}

// First messages that are refused at once leave no half-open SA, but they are work: from forged addresses there is only so
// much of it per second.
func TestAFloodThatLeavesNoStateIsBoundedByCookies(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	const threshold = 100
	for i := range 20 * threshold {
		b.now = b.now.Add(time.Millisecond)
		b.loop(first(sourceAddr(i), uint64(i+1), []byte("misfit")))
	}
	if n := len(b.fakes.made); b.Len() != 0 || n < threshold || n > 4*threshold { // the rate of two seconds, and a burst
		t.Errorf("%d SAs were made in 2 s and %d are left, want at most %d and none", n, b.Len(), 4*threshold)
	}
}

// RFC 7296 section 2.6: the cookie proves the address, and lets its owner in while the flood goes on.
func TestACookieOpensTheGate(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{CookieThreshold: 10})
	b.fill(10)
	b.loop(first(them, 1, nil))
	sent := b.flushed()
	if b.Len() != 10 || len(sent) != 1 {
		t.Fatalf("%d SAs, sent %q", b.Len(), sent)
	}
	cookie := cookieOf(t, sent[0])
	for name, d := range map[string]machine.Datagram{
		"another address":  first(sourceAddr(5), 1, cookie),
		"another SPI":      first(them, 2, cookie),
		"another cookie":   first(them, 1, append([]byte{cookie[0]}, make([]byte, len(cookie)-1)...)),
		"an empty cookie":  first(them, 1, []byte{0}),
		"a shorter cookie": first(them, 1, cookie[:len(cookie)-1]),
	} {
		b.loop(d)
		if b.Len() != 10 || len(b.flushed()) != 1 { // RFC7296-2.6-5: as if there were none
			t.Errorf("%s: %d SAs", name, b.Len())
		}
	}
	b.loop(first(them, 1, cookie))
	if b.Len() != 11 || b.counters.CookiesVerified.Load() != 1 {
		t.Errorf("with its cookie: %d SAs", b.Len())
	}
}

func TestACookieIsGoodForOneToTwoMinutes(t *testing.T) {
	t.Parallel()
	for after, good := range map[time.Duration]bool{
		0: true, cookieLife - time.Second: true, cookieLife + time.Second: true, 2*cookieLife - time.Second: true,
		2*cookieLife + time.Second: false, time.Hour: false,
	} {
		b := newBench(t, Limits{CookieThreshold: 10, SourceCookieThreshold: 1})
		b.c.Gate.demanding = true
		b.loop(first(them, 1, nil))
		cookie := cookieOf(t, b.flushed()[0])
		b.now = b.now.Add(after)
		b.loop(first(them, 1, cookie))
		if got := b.Len() == 1; got != good {
			t.Errorf("after %s: admitted %t, want %t", after, got, good)
		}
	}
}

func TestTheThresholdIsToldOnceEachWayAndDoesNotFlap(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{CookieThreshold: 10})
	b.fill(10)
	b.events()
	end := func() { b.loop(message(b.fakes.made[0].birth.SPI, "auth")); b.fakes.made = b.fakes.made[1:] }
	b.Flush(b.now)
	var told []event.Event
	collect := func() {
		for _, r := range b.records {
			if e, ok := r.Event.(event.CookieThreshold); ok {
				told = append(told, e)
			}
		}
		b.records = nil
	}
	for range 4 {
		end()
	}
	collect()
	b.loop(first(them, 1, nil))
	if len(told) != 0 || b.Len() != 10 {
		t.Fatalf("with 6 half-open: told %v, %d SAs", told, b.Len())
	}
	end()
	collect()
	if !slices.Equal(told, []event.Event{event.CookieThreshold{On: false, HalfOpen: 5}}) {
		t.Errorf("with 5 half-open: told %v", told)
	}
	b.loop(first(them, 1, nil))
	if b.Len() != 11 {
		t.Error("cookies are still demanded")
	}
}

func TestTheThresholdIsToldWhenItIsCrossed(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{CookieThreshold: 10})
	b.fill(10)
	n := 0
	for _, r := range b.records {
		if r.Event == (event.CookieThreshold{On: true, HalfOpen: 10}) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("told %d times", n)
	}
}

// One source may not use up the places of all: first it must prove its address, then it is refused.
func TestOneSourceIsBoundedByItself(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{SourceCookieThreshold: 5, SourceMaxHalfOpen: 8})
	spi := uint64(0)
	for range 20 {
		spi++
		b.loop(first(them, spi, nil))
	}
	if b.Len() != 5 {
		t.Fatalf("without cookies: %d SAs, want 5", b.Len())
	}
	b.loop(first(sourceAddr(1), 1, nil))
	if b.Len() != 6 {
		t.Fatal("another source has to suffer")
	}
	b.flushed()
	for range 20 {
		spi++
		b.loop(first(them, spi, nil))
		b.loop(first(them, spi, cookieOf(t, b.flushed()[0])))
	}
	if b.Len() != 9 {
		t.Errorf("with cookies: %d SAs, want 8 and the other one", b.Len())
	}
	b.now = b.now.Add(tallyPeriod)
	b.events()
	b.loop()
	want := event.RateLimited{Prefix: netip.PrefixFrom(them.Addr(), 32), Count: 17, Reason: "too many half-open IKE SAs from this source"}
	if len(b.records) != 1 || b.records[0].Event != want {
		t.Errorf("told %+v, want %+v", b.records, want)
	}
}

func TestTheNumberOfHalfOpenSAsIsBoundedAlways(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{CookieThreshold: 10, MaxHalfOpen: 15})
	b.fill(10)
	b.flushed()
	for i := range 20 {
		from := sourceAddr(i)
		b.loop(first(from, 1, nil))
		b.loop(first(from, 1, cookieOf(t, b.flushed()[0])))
	}
	if b.Len() != 15 || b.counters.DroppedRefused.Load() != 15 {
		t.Errorf("%d SAs, %d refused", b.Len(), b.counters.DroppedRefused.Load())
	}
}

func TestForgersCannotUseUpTheRateOfThoseWithACookie(t *testing.T) {
	t.Parallel()
	g := NewGate(Limits{SourceRate: 10, CookieThreshold: 1000, SourceCookieThreshold: 1000}, rand.NewChaCha8([32]byte{}))
	admitted := func(verified bool) (n int) {
		for range 100 {
			if v, _ := g.judge(epoch, them.Addr(), verified); v == admit {
				n++
			}
		}
		return n
	}
	if n := admitted(false); n != 10 {
		t.Errorf("%d without a cookie, want 10", n)
	}
	if n := admitted(true); n != 10 {
		t.Errorf("%d with a cookie after that, want 10", n)
	}
}

func TestSourcesAreIPv4AddressesAndIPv6Customers(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8:1:22ff::7": "2001:db8:1:2200::/56", "fe80::1%eth0": "fe80::/56",
	} {
		if got := prefixOf(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s belongs to %s, want %s", addr, got, want)
		}
	}
}

func TestAFloodOfDatagramsIsNotAFloodOfEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t, Limits{})
	const n = 10_000
	for i := range n {
		b.loop(machine.Datagram{Local: us, Remote: sourceAddr(i), Bytes: []byte("noise")})
	}
	if len(b.records) != 0 {
		t.Fatal("told at once")
	}
	if at := b.Deadline(); !at.Equal(b.now.Add(tallyPeriod)) {
		t.Errorf("the shard wants to be woken at %s", at)
	}
	b.now = b.now.Add(tallyPeriod)
	b.loop()
	var sum uint64
	for _, r := range b.records {
		sum += r.Event.(event.ParseErrors).Count
	}
	if len(b.records) != maxTally+1 || sum != n {
		t.Errorf("%d events about %d datagrams", len(b.records), sum)
	}
	if !b.Deadline().IsZero() {
		t.Error("the shard still waits for something")
	}
}

func TestTheTableOfSourcesKeepsThoseWithHalfOpenSAs(t *testing.T) {
	t.Parallel()
	table := sources{}
	keep := prefixOf(them.Addr())
	table.get(epoch, keep).halfOpen = 1
	for i := range 3 * maxSources {
		s := table.get(epoch, prefixOf(sourceAddr(i).Addr()))
		s.states.take(epoch, 10, 0)
		if len(table) > maxSources {
			t.Fatalf("%d sources", len(table))
		}
	}
	if table[keep] == nil {
		t.Error("a source with a half-open SA was forgotten")
	}
}
