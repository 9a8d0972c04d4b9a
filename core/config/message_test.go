package config

import (
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/policy"
)

// connectionWith is the connection of the minimal configuration with more in it.
func connectionWith(t *testing.T, more string) *policy.Connection {
	t.Helper()
	s, _ := valid(t, strings.Replace(minimal, "  child", "  "+more+"\n  child", 1))
	return s.Policy.Connections[0]
}

func TestFragmentationIsOnAndCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]int{
		"":                                 1280,
		"fragmentation {}":                 1280,
		"fragmentation { size = 576 }":     576,
		"fragmentation { enable = false }": 0,
		"fragmentation { \n enable = true\n size = 200 }": 200,
	} {
		if got := connectionWith(t, more).FragmentSize; got != want {
			t.Errorf("%q: %d octets, want %d", more, got, want)
		}
	}
}

func TestTheWindowIsOneUnlessConfigured(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]int{"": 1, "window = 1": 1, "window = 32": 32} {
		if got := connectionWith(t, more).Window; got != want {
			t.Errorf("%q: %d requests, want %d", more, got, want)
		}
	}
}
