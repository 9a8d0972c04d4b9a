package config

import "github.com/parley-ike/parley/core/policy"

// fragmentation reads how large IKE messages are sent (RFC 7383), and reports whether in fragments at all.
func (s *section) fragmentation(size *int) bool {
	b := s.only("fragmentation")
	if b == nil {
		return true
	}
	enable := true
	b.boolean("enable", &enable)
	integer(b, "size", size, policy.MinFragmentSize, policy.MaxFragmentSize)
	b.finish()
	return enable
}
