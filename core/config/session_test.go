package config

import (
	"testing"

	"github.com/parley-ike/parley/core/policy"
)

// session returns the first connection of a configuration with some settings in it.
func session(t *testing.T, settings, child string) *policy.Connection {
	t.Helper()
	s, _ := valid(t, `
connection "west" {
  local  { identity = "east.example.net" }
  remote {
    address = "192.0.2.2"
    identity = "west.example.net"
  }
  `+settings+`
  child "lan" {
    local_ts  = ["10.1.0.0/16"]
    remote_ts = ["10.2.0.0/16"]
    `+child+`
  }
}
credentials { psk "west.example.net" { file = "west.psk" } }`)
	return s.Policy.Connections[0]
}

func TestHowSAsOfAPeerRelateIsSaidByWords(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]policy.Unique{
		"": policy.UniqueReplace, `unique = "replace"`: policy.UniqueReplace, `unique = "keep"`: policy.UniqueKeep, `unique = "never"`: policy.UniqueNever} {
		if got := session(t, settings, "").Unique; got != want {
			t.Errorf("%q gives %v, want %v", settings, got, want)
		}
	}
}
