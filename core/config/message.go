package config

import "github.com/parley-ike/parley/core/policy"

// messages reads how IKE messages travel. The result, called after the defaults, turns off what is to be off.
func (s *section) messages(m *policy.Messages) (off func()) {
	integer(s, "window", &m.Window, 1, policy.MaxWindow)
	b := s.only("fragmentation")
	if b == nil {
		return func() {}
	}
	enable := true
	b.boolean("enable", &enable)
	integer(b, "size", &m.FragmentSize, policy.MinFragmentSize, policy.MaxFragmentSize)
	b.finish()
	return func() {
		if !enable {
			m.FragmentSize = 0
		}
	}
}
