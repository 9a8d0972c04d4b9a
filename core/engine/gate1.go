package engine

import (
	"net/netip"
	"time"
)

// aggressiveCost is how many first messages of main mode one of aggressive mode counts for: it makes us compute a key exchange for
// an address that may be forged, where main mode does so after a round trip (RFC 2409 sections 5 and 5.4).
const aggressiveCost = 5

// judge1 decides about a first message of IKEv1, and takes a place for one that is admitted. IKEv1 has no cookie exchange that costs
// nothing: the cookies of RFC 2408 section 2.5.3 come with an SA. So its SAs have limits of their own, and a flood of them takes
// nothing from IKEv2.
func (g *Gate) judge1(now time.Time, from netip.Addr, aggressive bool) (verdict, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	cost := 1
	if aggressive {
		cost = aggressiveCost
	}
	l, src := g.limits, g.sources.get(now, prefixOf(from))
	switch {
	case g.halfOpen1 >= l.IKEv1MaxHalfOpen:
		return refuse, "too many half-open IKEv1 SAs"
	case src.halfOpen1 >= l.IKEv1SourceMaxHalfOpen:
		return refuse, "too many half-open IKEv1 SAs from this source"
	case !src.states1.spend(now, l.IKEv1SourceRate, cost):
		return refuse, "too many new IKEv1 SAs per second from this source"
	case !g.states1.spend(now, l.IKEv1Rate, cost):
		return refuse, "too many new IKEv1 SAs per second"
	}
	src.halfOpen1++
	g.halfOpen1++
	return admit, ""
}

// closed1 gives a place back that judge1 gave.
func (g *Gate) closed1(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if src := g.sources[prefixOf(from)]; src != nil && src.halfOpen1 > 0 {
		src.halfOpen1--
	}
	g.halfOpen1--
}
