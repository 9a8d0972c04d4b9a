package demo

import (
	"errors"
	"os"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// gateway is one parleyd with its place in the demonstration.
type gateway struct {
	lab.Gateway
	wan, lan string
}

const eastConfig = `connection "west" {
  local  { identity = "east.example.net"  auth = "psk" }
  remote { address = "192.0.2.2"  identity = "west.example.net"  auth = "psk" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.2.0.0/16"]  start = "up" }
}
credentials {
  psk "west.example.net" { file = "west.psk" }
}
`

const westConfig = `connection "east" {
  local  { identity = "west.example.net"  auth = "psk" }
  remote { address = "192.0.2.1"  identity = "east.example.net"  auth = "psk" }
  child "lan" { local_ts = ["10.2.0.0/16"]  remote_ts = ["10.1.0.0/16"] }
}
credentials {
  psk "east.example.net" { file = "east.psk" }
}
`

func (g *gateway) config() string {
	if g.Name == "east" {
		return eastConfig
	}
	return westConfig
}

func (g *gateway) writeConfig() error {
	if err := os.MkdirAll(g.Dir, 0o700); err != nil {
		return err
	}
	peer := map[string]string{"east": "west", "west": "east"}[g.Name]
	return errors.Join(g.Write("parley.hcl", g.config()), g.Write(peer+".psk", "a key that only this demonstration uses\n"))
}
