package config

import "testing"

func TestModeConfigurationArrives(t *testing.T) {
	t.Parallel()
	const text = `
pool "staff" {
  addresses = ["10.9.0.0/24"]
  banner    = "Welcome.\nAll is logged."
}
connection "road" {
  version             = 1
  application_version = "Parley"
  mode_config         = "push"
  local  { identity = "east.example.net" }
  remote {
    identity = "*.road.example.net"
    pool     = ["staff"]
  }
  child "lan" { local_ts = ["10.1.0.0/16"] }
}
connection "office" {
  version = 1
  local {
    identity = "east.example.net"
    virtual  = ["ipv4"]
  }
  remote {
    address  = "192.0.2.2"
    identity = "west.example.net"
  }
  child "lan" { remote_ts = ["0.0.0.0/0"] }
}
credentials { psk "*.road.example.net" { file = "west.psk" } }
credentials { psk "west.example.net" { file = "west.psk" } }
`
	s, _ := valid(t, text)
	road, office := s.Policy.Connections[0], s.Policy.Connections[1]
	if !road.Push || road.ApplicationVersion != "Parley" || s.Pools[0].Banner != "Welcome.\nAll is logged." {
		t.Errorf("push %v, version %q, banner %q", road.Push, road.ApplicationVersion, s.Pools[0].Banner)
	}
	if office.Push || !office.Children[0].LocalAssigned {
		t.Error("a client does not pull, or has other traffic than that of its address")
	}
}
