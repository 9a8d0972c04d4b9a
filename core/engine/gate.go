package engine

import (
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/parley-ike/parley/bus/event"
)

// Gate decides about first messages before they cost anything, for all shards of an engine together. Its methods take
// now and are safe for concurrent use.
type Gate struct {
	limits Limits

	mu        sync.Mutex
	halfOpen  int
	strangers bucket // SAs for messages without a good cookie
	proven    bucket // SAs for messages with one
	halfOpen1 int    // of IKEv1
	states1   bucket // SAs of IKEv1
	decrypted bucket // RSA decryptions for strangers
	errors    bucket // unprotected errors
	demanding bool   // cookies, from everyone
	sources   sources
	cookies   cookieKeys
	tally     tally
	crossed   []event.Event // changes of demanding that nobody was told of
}

// NewGate returns a Gate that draws its cookie secrets from rand.
func NewGate(l Limits, rand io.Reader) *Gate {
	return &Gate{limits: l.WithDefaults(), sources: sources{}, cookies: cookieKeys{rand: rand}}
}

// verdict is a decision about a first message.
type verdict uint8

const (
	admit  verdict = iota // make an SA; the place is taken until closed is called
	demand                // answer with a cookie
	refuse                // no answer
)

// judge decides about a first message, verified when it carries a cookie of ours, and takes a place for one that is
// admitted.
func (g *Gate) judge(now time.Time, from netip.Addr, verified bool) (verdict, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !verified {
		return g.judgeUnverified(now, from), ""
	}
	src := g.sources.get(now, prefixOf(from))
	switch l := g.limits; {
	case g.halfOpen >= l.MaxHalfOpen:
		return refuse, "too many half-open IKE SAs"
	case src.halfOpen >= l.SourceMaxHalfOpen:
		return refuse, "too many half-open IKE SAs from this source"
	case !src.states.take(now, l.SourceRate, 0):
		return refuse, "too many new IKE SAs per second from this source"
	case !g.proven.take(now, l.Rate, 0):
		return refuse, "too many new IKE SAs per second"
	}
	g.open(src)
	return admit, ""
}

// judgeUnverified admits a message whose source address may be forged, unless there is any reason to ask. Whatever the
// forger does then harms only those without a cookie. While cookies are asked of everyone, sources cost no memory.
func (g *Gate) judgeUnverified(now time.Time, from netip.Addr) verdict {
	l := g.limits
	if g.demanding || l.CookieThreshold < 0 || !g.strangers.has(now, l.CookieThreshold, 0) {
		return demand
	}
	src := g.sources.get(now, prefixOf(from))
	if src.halfOpen >= l.SourceCookieThreshold || !src.states.take(now, l.SourceRate, l.SourceRate) {
		return demand
	}
	g.strangers.take(now, l.CookieThreshold, 0)
	g.open(src)
	return admit
}

// open takes a place. At the threshold cookies are demanded from all; it ends at half of it, so that a load around the
// threshold does not flap.
func (g *Gate) open(src *source) {
	src.halfOpen++
	g.halfOpen++
	if t := g.limits.CookieThreshold; !g.demanding && t > 0 && g.halfOpen >= t {
		g.turn(true)
	}
}

// closed gives a place back: the SA is established or has ended.
func (g *Gate) closed(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if src := g.sources[prefixOf(from)]; src != nil && src.halfOpen > 0 {
		src.halfOpen--
	}
	g.halfOpen--
	if g.demanding && g.halfOpen <= g.limits.CookieThreshold/2 {
		g.turn(false)
	}
}

func (g *Gate) turn(on bool) {
	g.demanding = on
	g.crossed = append(g.crossed, event.CookieThreshold{On: on, HalfOpen: g.halfOpen})
}

// maySendError reports whether an unprotected error to from is within the rates, and counts it.
func (g *Gate) maySendError(now time.Time, from netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.errors.has(now, g.limits.Errors, 0) {
		return false
	}
	src := g.sources.get(now, prefixOf(from))
	return src.errors.take(now, g.limits.SourceErrors, 0) && g.errors.take(now, g.limits.Errors, 0)
}

// keys returns the keys for cookies, the present one and the one before.
func (g *Gate) keys(now time.Time) [2]CookieKey {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cookies.at(now)
}

// note adds a dropped datagram to the sums that are told once per second.
func (g *Gate) note(now time.Time, kind noteKind, from netip.Addr, reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tally.add(now, kind, prefixOf(from), reason)
}

// due is when there will be something to tell, the zero time for never.
func (g *Gate) due() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tally.due
}

// tell returns the events that are due.
func (g *Gate) tell(now time.Time) []event.Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	events := g.crossed
	g.crossed = nil
	return append(events, g.tally.take(now)...)
}
