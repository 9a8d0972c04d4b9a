package config

import (
	"net/netip"
	"slices"
	"time"

	"github.com/parley-ike/parley/core/policy"
)

// session reads how the IKE SAs of a connection relate and live.
func (s *section) session(c *policy.Connection) {
	chosen(s, "unique", &c.Unique, policy.UniqueWords())
	chosen(s, "childless", &c.Childless, policy.ChildlessWords())
	if s.duration("reauth", &c.Reauth, 0); c.Reauth != 0 && c.Reauth < leastReauth {
		s.fail(s.valueAt("reauth"), "reauth is too short: write %v or more, or \"0s\" for never", leastReauth)
	}
	s.boolean("follow_redirects", &c.FollowRedirects)
	s.redirect(c)
	s.duration("redirect_grace", &c.RedirectGrace, leastRedirectGrace)
	c.Retry = policy.DefaultRetry()
	s.retry(&c.Retry)
}

// redirect reads where clients are sent.
func (s *section) redirect(c *policy.Connection) {
	b := s.only("redirect")
	if b == nil {
		return
	}
	t, ok := b.text("to")
	_, err := netip.ParseAddr(t.value)
	switch {
	case !b.has("to"):
		b.fail(b.at, "it does not say where to: add to = \"192.0.2.9\", or a DNS name")
	case ok && err != nil && !isHost(t.value):
		b.fail(t.at, "%q is no gateway: write an address such as \"192.0.2.9\", or a DNS name", t.value)
	}
	c.RedirectTo = t.value
	chosen(b, "at", &c.RedirectAt, policy.RedirectWords())
	b.finish()
}

// leastRedirectGrace is the shortest time in which a client can be elsewhere: a handshake, of which a message may be lost.
const leastRedirectGrace = time.Second

// leastReauth is the shortest lifetime of an authentication: the next attempt must have the time to be repeated.
const leastReauth = time.Minute

// retry reads when a connection is tried again.
func (s *section) retry(r *policy.Retry) {
	b := s.only("retry")
	if b == nil {
		return
	}
	b.duration("initial", &r.Initial, 100*time.Millisecond)
	b.duration("max", &r.Max, 100*time.Millisecond)
	if f, ok := b.number("factor", 1, 10); ok {
		r.Factor, _ = f.Float64()
	}
	if f, ok := b.number("jitter", 0, 1); ok {
		r.Jitter, _ = f.Float64()
	}
	if r.Max < r.Initial {
		b.fail(b.at, "max (%v) is less than initial (%v): exchange them", r.Max, r.Initial)
	}
	b.finish()
}

// modes reads what is agreed on with a child beside its algorithms and selectors.
func (s *section) modes(c *policy.Child) {
	chosen(s, "mode", &c.Mode, policy.ModeWords())
	integer(s, "tfc", &c.TFC, 0, maxTFC)
	if c.TFC != 0 && c.Mode == policy.Transport {
		s.fail(s.valueAt("tfc"), "tfc pads in tunnel mode only: leave it out, or write mode = \"tunnel\"")
	}
	esn := policy.ESNWords()[0]
	s.choice("esn", &esn, policy.ESNWords()...)
	if s.has("esn") {
		if len(c.ESP) == 0 {
			c.ESP = policy.DefaultESP()
		}
		c.ESP = policy.WithESN(c.ESP, esn)
	}
}

// maxTFC is the longest packet to pad to, in octets: what fits into an Ethernet frame of common size, with room for outer headers,
// would be 1400; jumbo frames are longer.
const maxTFC = 9000

// onDead reads what becomes of a child whose peer is dead.
func (s *section) onDead(c *policy.Child) {
	t, ok := s.text("on_dead")
	if !ok {
		return
	}
	words := policy.OnDeadWords()
	i := slices.Index(words, t.value)
	if i < 0 {
		s.fail(t.at, "unknown on_dead %q: %s", t.value, suggest(t.value, words))
		return
	}
	c.OnDead = policy.OnDead(i + 1)
}

// checkDead judges on_dead together with the rest.
func checkDead(s *section, c *policy.Child, known bool) {
	switch {
	case c.OnDead == policy.DeadTrap && c.Start != policy.StartTrap:
		s.fail(s.valueAt("on_dead"), "on_dead = \"trap\" needs a trap: write start = \"trap\", or on_dead = \"restart\" to bring the child up again")
	case c.OnDead == policy.DeadRestart && !known:
		s.fail(s.valueAt("on_dead"), "on_dead = \"restart\" needs a peer to call: write its address or DNS name into remote, or leave on_dead out")
	}
}

// chosen sets dst to the place of a word in words.
func chosen[T ~uint8](s *section, name string, dst *T, words []string) {
	word := words[*dst]
	s.choice(name, &word, words...)
	*dst = T(slices.Index(words, word))
}
