package config

import (
	"strings"
	"testing"
)

func TestFloodsAreBoundedByDefaultAndAsConfigured(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]Flood{
		"":                    defaultFlood(),
		"daemon { flood {} }": defaultFlood(),
		"daemon { flood { cookie_threshold = 0 } }": {0, 20, 10_000, 500, 2000, 100, 1000, 50, 1000, 50, 200, 20, 50, 10},
		`daemon { flood {
			cookie_threshold = 1
			source_cookie_threshold = 2
			max_half_open = 30
			source_max_half_open = 4
			rate = 5
			source_rate = 6
			errors = 7
			source_errors = 8
			ikev1_max_half_open = 9
			ikev1_source_max_half_open = 10
			ikev1_rate = 11
			ikev1_source_rate = 12
			rsa_decryptions = 13
			source_rsa_decryptions = 14
		} }`: {1, 2, 30, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14},
	} {
		s, _ := valid(t, minimal+strings.ReplaceAll(more, "\t", " "))
		if s.Daemon.Flood != want {
			t.Errorf("%q: %+v, want %+v", more, s.Daemon.Flood, want)
		}
	}
}
