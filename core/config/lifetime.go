package config

import (
	"time"

	"github.com/parley-ike/parley/core/policy"
)

// leastLifetime is the shortest lifetime of an SA: its replacement must have the time to be repeated.
const leastLifetime = 10 * time.Second

// lifetime reads how long an SA may live. That comes after the defaults, because no time means for ever.
func (s *section) lifetime(l *policy.Lifetime, volumes bool) {
	b := s.only("lifetime")
	if b == nil {
		return
	}
	if b.duration("time", &l.Time, 0); l.Time != 0 && l.Time < leastLifetime {
		b.fail(b.valueAt("time"), "time is too short: write %v or more, or \"0s\" for ever", leastLifetime)
	}
	b.duration("margin", &l.Margin, time.Second)
	b.duration("jitter", &l.Jitter, 0)
	if b.has("jitter") && l.Jitter == 0 {
		l.Jitter = 1 // none, and not the default
	}
	if l.Time != 0 && l.Margin+l.Jitter >= l.Time {
		b.fail(b.at, "margin and jitter leave nothing of time (%v): make them shorter", l.Time)
	}
	if volumes {
		b.volume("bytes", &l.Bytes)
		b.volume("packets", &l.Packets)
	}
	b.finish()
}

// leastVolume is the least that a child may carry before it is replaced.
const leastVolume = 1000

func (s *section) volume(name string, dst *uint64) {
	var n int64
	s.size(name, &n)
	if n != 0 && n < leastVolume {
		s.fail(s.valueAt(name), "%s is too little: write %d or more, or 0 for no limit", name, leastVolume)
	}
	*dst = uint64(n)
}
