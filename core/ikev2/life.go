package ikev2

import (
	"time"

	"github.com/parley-ike/parley/core/machine"
)

// This file is about whether the peer lives (RFC 7296 section 2.4): IKE and ESP messages that are authentic say so, and when
// none came for a while the peer is asked.

// probe asks whether the peer lives, by an empty request (RFC 7296 section 2.4). Any outstanding request asks that, too.
func (s *SA) probe() {
	if s.state == Established && s.own.idle() {
		s.request(s.probeMapping())
	}
}

// livenessDue is when the peer has been silent for long enough to be asked.
func (s *SA) livenessDue() time.Time {
	if s.state != Established || s.conn.Liveness == 0 || !s.own.idle() || s.session.looking > 0 {
		return time.Time{}
	}
	return s.lastHeard.Add(s.conn.Liveness)
}

// checkLiveness looks for ESP from the peer before it asks: what came in by a child shows that the peer lives.
func (s *SA) checkLiveness() {
	if !s.due(s.livenessDue()) {
		return
	}
	l := &look{s: s}
	for _, c := range s.children {
		if c.up && !c.removing && s.showsLife() {
			s.session.looking++
			ask(s, machine.QueryUsage{Child: bare(c.sa)}, c.key(), func(r machine.Usage, err *machine.CallError) { l.counted(c, r, err) })
		}
	}
	if s.session.looking == 0 {
		s.probe()
	}
}

// look is the question to SA backends what has come in.
type look struct {
	s     *SA
	alive bool
}

// counted takes the answer for one child; after the last one it is known whether to ask the peer.
func (l *look) counted(c *child, r machine.Usage, err *machine.CallError) {
	s := l.s
	s.session.looking--
	if err == nil && r.Traffic.PacketsIn > c.packetsIn {
		c.packetsIn, l.alive = r.Traffic.PacketsIn, true
	}
	switch {
	case s.session.looking > 0:
	case l.alive:
		s.lastHeard = s.now
	default:
		s.probe()
	}
}
