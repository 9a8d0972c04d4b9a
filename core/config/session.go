package config

import (
	"slices"

	"github.com/parley-ike/parley/core/policy"
)

// session reads how the IKE SAs of a connection relate and live.
func (s *section) session(c *policy.Connection) {
	chosen(s, "unique", &c.Unique, policy.UniqueWords())
}

// chosen sets dst to the place of a word in words.
func chosen[T ~uint8](s *section, name string, dst *T, words []string) {
	word := words[*dst]
	s.choice(name, &word, words...)
	*dst = T(slices.Index(words, word))
}
