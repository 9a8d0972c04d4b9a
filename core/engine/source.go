package engine

import (
	"net/netip"
	"time"
)

// source is what is known of one place that first messages come from.
type source struct {
	halfOpen  int
	states    bucket // new SAs
	errors    bucket // unprotected errors
	halfOpen1 int    // of IKEv1
	states1   bucket // new SAs of IKEv1
	decrypted bucket // RSA decryptions
}

// bucket is a token bucket that is empty of debts when new.
type bucket struct {
	used float64 // tokens taken and not yet refilled
	at   time.Time
}

// take takes a token unless that would leave less than reserve of burst.
func (b *bucket) take(now time.Time, rate, reserve int) bool {
	if !b.has(now, rate, reserve) {
		return false
	}
	b.used++
	return true
}

// has reports whether take would.
func (b *bucket) has(now time.Time, rate, reserve int) bool {
	b.refill(now, rate)
	return b.used+1 <= float64(rate*burstSeconds-reserve)
}

// spend takes several tokens, or none.
func (b *bucket) spend(now time.Time, rate, cost int) bool {
	if !b.has(now, rate, cost-1) {
		return false
	}
	b.used += float64(cost)
	return true
}

func (b *bucket) refill(now time.Time, rate int) {
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.used = max(0, b.used-passed*float64(rate))
		b.at = now
	}
}

// prefixOf returns the source that an address belongs to.
func prefixOf(addr netip.Addr) netip.Prefix {
	bits := sourceBits6
	if addr = addr.Unmap(); addr.Is4() {
		bits = sourceBits4
	}
	p, _ := addr.Prefix(bits) // drops the zone
	return p
}

// sources is the bounded table.
type sources map[netip.Prefix]*source

// get returns the entry of p, making room for it when the table is full.
func (t sources) get(now time.Time, p netip.Prefix) *source {
	if s := t[p]; s != nil {
		return s
	}
	if len(t) >= maxSources {
		t.sweep(now)
	}
	s := &source{}
	t[p] = s
	return s
}

// sweep forgets the sources that have no half-open SA: first those that were quiet for a burst and are as good as new,
// then, under a flood from more sources than the table holds, the others as well. The limits for all still stand.
func (t sources) sweep(now time.Time) {
	quiet := now.Add(-burstSeconds * time.Second)
	for p, s := range t {
		if s.idle() && s.states.at.Before(quiet) && s.errors.at.Before(quiet) && s.states1.at.Before(quiet) && s.decrypted.at.Before(quiet) {
			delete(t, p)
		}
	}
	if len(t) < maxSources*3/4 {
		return
	}
	for p, s := range t {
		if s.idle() {
			delete(t, p)
		}
	}
}

// idle reports whether the source has no half-open SA.
func (s *source) idle() bool { return s.halfOpen == 0 && s.halfOpen1 == 0 }
