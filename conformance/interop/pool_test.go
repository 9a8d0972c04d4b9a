package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// client is a connection of ours that asks for an address, with an identity of its own: one daemon is several clients.
func client(s *site, name, more string) string {
	return lab.Fill(`connection "%NAME%" {
  local {
    identity = "%NAME%.example.net"
    virtual  = ["ipv4"]
  }
  remote {
    address  = "%EAST%"
    identity = "east.example.net"
  }
  `+soon+`
  child "lan" {
    remote_ts = ["10.1.0.0/16"]
    %MORE%
  }
}
`, "NAME", name, "EAST", s.eastWAN, "MORE", more)
}

// poolGateway gives every client of example.net an address.
func poolGateway(t *testing.T, s *site, addresses string) *lab.Gateway {
	t.Helper()
	g := s.newGateway(t, s.east)
	must(t, g.Write("parley.hcl", lab.Fill(`pool "staff" { addresses = ["%ADDRESSES%"] }
connection "clients" {
  local { identity = "east.example.net" }
  remote {
    identity = "*.example.net"
    pool     = "staff"
  }
  `+soon+`
  child "lan" { local_ts = ["10.1.0.0/16"] }
}
credentials {
  psk "*.example.net" { file = "peer.psk" }
}
`, "ADDRESSES", addresses)))
	start(t, g)
	return g
}

func clients(t *testing.T, s *site, all ...string) *lab.Gateway {
	t.Helper()
	g := s.newGateway(t, s.west)
	must(t, g.Write("parley.hcl", clientsConfig(all...)))
	start(t, g)
	return g
}

func clientsConfig(all ...string) string {
	return strings.Join(all, "") + `credentials {
  psk "east.example.net" { file = "peer.psk" }
}
`
}

// TestAPoolThatIsExhausted: two addresses for three clients. The third is told, both sides explain it, and it has its address by itself
// when one of the others has gone; nobody holds one in the end.
func TestAPoolThatIsExhausted(t *testing.T) {
	s := newSite(t, v4in4)
	east := poolGateway(t, s, "10.9.0.1-10.9.0.2")
	two := client(s, "ann", "") + client(s, "bob", "")
	west := clients(t, s, two)
	parley(t, west, "up", "ann")
	parley(t, west, "up", "bob")
	must(t, west.Write("parley.hcl", clientsConfig(two, client(s, "eve", `start = "up"`))))
	parley(t, west, "reload")
	eventually(t, "the third one has tried again", func() bool {
		return strings.Count(parley(t, west, "explain", "eve"), "no inner address") > 1
	})
	contains(t, parley(t, west, "explain", "eve"), "eve: the peer has no inner address for us", "> see the address pool at the peer: it may be exhausted")
	contains(t, parley(t, east, "explain", "clients"), `pool_exhausted: there is no inner address for fqdn:eve.example.net: all 2 IPv4 addresses of pool "staff" are in use`)
	contains(t, parley(t, east, "events", "tail", "--no-follow", "--filter", "pool.*"), "pool.exhausted", "no address for fqdn:eve.example.net")
	contains(t, parley(t, east, "pool", "list"), "staff 2 2 0")

	parley(t, west, "down", "ann")
	eventually(t, "the third one has an address", func() bool {
		return strings.Contains(squeezed(parley(t, east, "pool", "list")), "staff 10.9.0.1 used fqdn:eve.example.net")
	})
	contains(t, parley(t, east, "pool", "list"), "staff 10.9.0.2 used fqdn:bob.example.net")
	s.reaches(t, s.east, s.eastLAN, "10.9.0.1")
	for _, name := range []string{"bob", "eve"} {
		parley(t, west, "down", name)
	}
	for _, g := range []*lab.Gateway{east, west} {
		eventually(t, g.Name+" has no SA", func() bool { return ended(sas(t, g)) })
	}
	eventually(t, "nobody holds an address", func() bool { return strings.Contains(squeezed(parley(t, east, "pool", "list")), "staff 2 0 2") })
}

// TestOurVirtualAddressCarriesPacketsAndIsOursAgain: the address is on the machine as long as the tunnel is up, packets of it cross both
// ways, the gateway's death takes it away, and the next tunnel brings the same one.
func TestOurVirtualAddressCarriesPacketsAndIsOursAgain(t *testing.T) {
	s := newSite(t, v4in4)
	before := furniture(t, s.west)
	east := poolGateway(t, s, "10.9.0.0/24")
	west := clients(t, s, client(s, "ann", `start = "up"`))
	const ours = "10.9.0.1"
	for range 2 {
		eventually(t, "we have the address", func() bool { return has(t, s.west, ours) })
		s.reaches(t, s.west, ours, s.eastLAN)
		s.reaches(t, s.east, s.eastLAN, ours)
		contains(t, parley(t, west, "sa", "show", "ann"), "has 10.9.0.1 from the peer")
		must(t, east.Kill())
		eventually(t, "the address is gone with the tunnel", func() bool { return !has(t, s.west, ours) })
		start(t, east)
	}
	eventually(t, "we have the address", func() bool { return has(t, s.west, ours) })
	parley(t, west, "down", "ann")
	eventually(t, "the address is gone with the tunnel", func() bool { return !has(t, s.west, ours) })
	eventually(t, "it is kept for us", func() bool { return strings.Contains(squeezed(parley(t, east, "pool", "list")), "staff 254 0 1") })
	if _, err := os.Stat(filepath.Join(west.Path("run"), "dns", "ann.conf")); !os.IsNotExist(err) {
		t.Errorf("resolver settings are left: %v", err)
	}
	must(t, west.Stop())
	if after := furniture(t, s.west); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// has reports whether a namespace has an address.
func has(t *testing.T, ns *lab.Namespace, address string) bool {
	t.Helper()
	all, err := ns.Addresses()
	must(t, err)
	for _, a := range all {
		if a.String() == address {
			return true
		}
	}
	return false
}
