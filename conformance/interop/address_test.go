package interop

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// Inner addresses (RFC 7296 sections 2.19 and 3.15): we give them to strongSwan, it gives them to us, and we to ourselves.

// givingConfig is of a gateway that gives its peer addresses.
const givingConfig = `pool "staff" {
  addresses = [%ADDRESSES%]
  dns       = ["10.1.0.53", "fd01::53"]
  subnets   = ["10.1.0.0/16"]
  domains   = ["corp.example"]
}
connection "west" {
  local  { identity = "east.example.net" }
  remote {
    address  = "%WESTWAN%"
    identity = "west.example.net"
    pool     = "staff"
  }
  application_version = "Parley in a test"
  %CONNECTION%
  child "lan" {
    local_ts = [%LOCAL%]
    %CHILD%
  }
}
credentials {
  psk "west.example.net" { file = "peer.psk" }
}
`

// askingConfig is of a gateway that asks its peer for addresses; other is who it is not: "east" for west.
const askingConfig = `connection "%PEER%" {
  local {
    identity = "%ID%"
    virtual  = [%VIRTUAL%]
  }
  remote {
    address  = "%PEERWAN%"
    identity = "%PEERID%"
  }
  application_version = "Parley in a test"
  %CONNECTION%
  child "lan" {
    remote_ts = [%REMOTE%]
    %CHILD%
  }
}
credentials {
  psk "%PEERID%" { file = "peer.psk" }
}
`

// addressSite is a site with both families behind its gateways.
func addressSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t, v4in4)
	must(t, s.east.Addr("lan", host(v6in4.eastLAN)))
	must(t, s.west.Addr("lan", host(v6in4.westLAN)))
	return s
}

// newGiving writes the files of a gateway that gives addresses, with settings of its own.
func (s *site) newGiving(t *testing.T, addresses string, own ...string) *lab.Gateway {
	t.Helper()
	g := s.newGateway(t, s.east)
	local := `"10.1.0.0/16"`
	if strings.Contains(addresses, ":") {
		local += `, "fd01::/64"`
	}
	must(t, g.Write("parley.hcl", lab.Fill(givingConfig, append(own, "ADDRESSES", addresses, "WESTWAN", s.westWAN, "LOCAL", local, "CONNECTION", "", "CHILD", "")...)))
	return g
}

func (s *site) giving(t *testing.T, addresses string, own ...string) *lab.Gateway {
	t.Helper()
	g := s.newGiving(t, addresses, own...)
	start(t, g)
	return g
}

func (s *site) asking(t *testing.T, ns *lab.Namespace, virtual string, own ...string) *lab.Gateway {
	t.Helper()
	g := s.newGateway(t, ns)
	values := settings{"PEER", "west", "ID", "east.example.net", "PEERID", "west.example.net", "PEERWAN", s.westWAN}
	four, six := `"10.2.0.0/16"`, `"fd02::/64"`
	if ns == s.west {
		values = settings{"PEER", "east", "ID", "west.example.net", "PEERID", "east.example.net", "PEERWAN", s.eastWAN}
		four, six = `"10.1.0.0/16"`, `"fd01::/64"`
	}
	if strings.Contains(virtual, "ipv6") {
		four += ", " + six
	}
	values = append(values, "REMOTE", four, "VIRTUAL", virtual, "CONNECTION", "", "CHILD", "")
	must(t, g.Write("parley.hcl", lab.Fill(askingConfig, append(own, values...)...)))
	start(t, g)
	return g
}

// addressedCharon is a strongSwan that asks for addresses (VIPS) or gives them (POOLS).
const addressedCharon = `connections {
  east {
    version = 2
    local_addrs = %WAN%
    remote_addrs = %PEERWAN%
    mobike = no
    %VIPS%
    %POOLS%
    local {
      auth = psk
      id = west.example.net
    }
    remote {
      auth = psk
      id = east.example.net
    }
    children {
      lan {
        %LOCAL%
        %REMOTE%
        esp_proposals = default
      }
    }
  }
}
pools {
  four {
    addrs = 10.9.0.0/24
    dns = 10.2.0.53
    subnet = 10.2.0.0/16
  }
  six {
    addrs = fd09::/120
    dns = fd02::53
  }
}
secrets {
  ike-east {
    secret = "%SECRET%"
  }
}
`

func (s *site) addressedCharon(t *testing.T, own ...string) *lab.StrongSwan {
	t.Helper()
	root, err := lab.Unpack(lab.StrongSwanPackages, os.Stderr)
	if err != nil {
		t.Skipf("SKIPPED, not proven here: no strongSwan: %v", err)
	}
	values := map[string]string{"WAN": s.westWAN, "PEERWAN": s.eastWAN, "SECRET": secretKey, "VIPS": "", "POOLS": "", "LOCAL": "", "REMOTE": ""}
	for i := 0; i < len(own); i += 2 {
		values[own[i]] = own[i+1]
	}
	var all []string
	for name, value := range values {
		all = append(all, name, value)
	}
	peer, err := lab.StartStrongSwan(short(t), s.west, root, filepath.Join(s.dir, "charon"), lab.Fill(addressedCharon, all...), lab.Charon{})
	must(t, err)
	t.Cleanup(func() {
		peer.Stop()
		if t.Failed() {
			t.Logf("charon.log:\n%s", peer.Log())
		}
	})
	return peer
}

// reaches demands that a ping crosses between two addresses, as ESP.
func (s *site) reaches(t *testing.T, ns *lab.Namespace, from, to string) {
	t.Helper()
	p, err := ns.NewPinger(netip.MustParseAddr(from), netip.MustParseAddr(to))
	must(t, err)
	defer p.Close()
	eventually(t, from+" reaches "+to, func() bool {
		s.capture.Reset()
		_, err := p.Ping(56, time.Second)
		seen := s.capture.Counts()
		return err == nil && seen.Protected() > 0 && seen.ClearICMP == 0
	})
}

// TestStrongSwanGetsAddressesOfOurPool: one of each family, narrowed selectors, DNS; the same ones again when it comes again.
func TestStrongSwanGetsAddressesOfOurPool(t *testing.T) {
	s := addressSite(t)
	g := s.giving(t, `"10.9.0.0/24", "fd09::/120"`)
	peer := s.addressedCharon(t, "VIPS", "vips = 0.0.0.0, ::", "REMOTE", "remote_ts = 10.1.0.0/16, fd01::/64")
	for range 2 {
		swanctl(t, peer, "--initiate", "--child", "lan")
		contains(t, listSAs(t, peer), "[10.9.0.1 fd09::1]", "local 10.9.0.1/32 fd09::1/128", "remote 10.1.0.0/16 fd01::/64")
		contains(t, parley(t, g, "sa", "show", "west"), "gave 10.9.0.1, fd09::1 to the peer", "10.1.0.0/16, fd01::/64 <-> 10.9.0.1, fd09::1")
		contains(t, parley(t, g, "pool", "list"), "staff 509 2 0", "staff 10.9.0.1 used fqdn:west.example.net", "staff fd09::1 used fqdn:west.example.net")
		s.reaches(t, s.east, s.eastLAN, "10.9.0.1")
		s.reaches(t, s.east, v6in4.eastLAN, "fd09::1")
		swanctl(t, peer, "--terminate", "--ike", "east")
		eventually(t, "the addresses are kept", func() bool { return strings.Contains(squeezed(parley(t, g, "pool", "list")), "staff 509 0 2") })
	}
	must(t, peer.WaitLog(short(t), "installing new virtual IP 10.9.0.1"))
	must(t, peer.WaitLog(short(t), "INTERNAL_IP4_DNS"))
}

// squeezed has one blank between words.
func squeezed(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestALeaseOutlivesTheDaemon: after a restart the peer has its address again, though another one would be free.
func TestALeaseOutlivesTheDaemon(t *testing.T) {
	s := addressSite(t)
	g := s.newGiving(t, `"10.9.0.0/24"`)
	must(t, g.Start(t.Context()))
	must(t, g.WaitReady(short(t)))
	peer := s.addressedCharon(t, "VIPS", "vips = 10.9.0.77", "REMOTE", "remote_ts = 10.1.0.0/16")
	swanctl(t, peer, "--initiate", "--child", "lan")
	contains(t, parley(t, g, "pool", "list"), "10.9.0.77 used fqdn:west.example.net")
	must(t, g.Kill())
	peer.Stop()
	start(t, g)
	contains(t, parley(t, g, "pool", "list"), "10.9.0.77 kept fqdn:west.example.net")
	must(t, os.RemoveAll(filepath.Join(s.dir, "charon")))
	again := s.addressedCharon(t, "VIPS", "vips = 0.0.0.0", "REMOTE", "remote_ts = 10.1.0.0/16")
	swanctl(t, again, "--initiate", "--child", "lan")
	contains(t, listSAs(t, again), "[10.9.0.77]")
}

// TestStrongSwanGetsNoAddress: it is told so, the IKE SA stays, and explain says why.
func TestStrongSwanGetsNoAddress(t *testing.T) {
	s := addressSite(t)
	g := s.giving(t, `"10.9.0.0/24"`)
	peer := s.addressedCharon(t, "VIPS", "vips = ::", "REMOTE", "remote_ts = fd01::/64")
	_, _ = peer.Swanctl(short(t), "--initiate", "--child", "lan")
	must(t, peer.WaitLog(short(t), "received INTERNAL_ADDRESS_FAILURE"))
	contains(t, parley(t, g, "explain", "west"), "west: there is no inner address for fqdn:west.example.net: the peer asks for IPv6, of which pool staff has none",
		"> add addresses to the pool", "east/parley.hcl:2")
}

// TestStrongSwanMustAskForAnAddress: FAILED_CP_REQUIRED, and what to do.
func TestStrongSwanMustAskForAnAddress(t *testing.T) {
	s := addressSite(t)
	g := s.giving(t, `"10.9.0.0/24"`)
	peer := s.addressedCharon(t, "LOCAL", "local_ts = 10.2.0.0/16", "REMOTE", "remote_ts = 10.1.0.0/16")
	_, _ = peer.Swanctl(short(t), "--initiate", "--child", "lan")
	must(t, peer.WaitLog(short(t), "received FAILED_CP_REQUIRED"))
	contains(t, parley(t, g, "explain", "west"), `west: the peer asks for no inner address, and "west" gives one to every peer`, "vips = 0.0.0.0")
}

// TestStrongSwanGivesUsAddresses: one of each family, DNS in a file as long as they are ours.
func TestStrongSwanGivesUsAddresses(t *testing.T) {
	s := addressSite(t)
	peer := s.addressedCharon(t, "POOLS", "pools = four, six", "LOCAL", "local_ts = 10.2.0.0/16, fd02::/64")
	g := s.asking(t, s.east, `"ipv4", "ipv6"`)
	parley(t, g, "up", "west")
	contains(t, parley(t, g, "sa", "show", "west"), "has 10.9.0.1, fd09::1 from the peer", "10.9.0.1, fd09::1 <-> 10.2.0.0/16, fd02::/64")
	contains(t, listSAs(t, peer), "[10.9.0.1 fd09::1]", "remote 10.9.0.1/32 fd09::1/128")
	dns := filepath.Join(g.Path("run"), "dns", "west.conf")
	eventually(t, "the DNS servers are written down", func() bool {
		b, _ := os.ReadFile(dns)
		return strings.Contains(string(b), "nameserver 10.2.0.53\nnameserver fd02::53\n")
	})
	contains(t, parley(t, g, "events", "tail", "--no-follow"), "the peer gave us 10.9.0.1, fd09::1, DNS 10.2.0.53, fd02::53", "the peer is ")
	parley(t, g, "down", "west")
	eventually(t, "the DNS servers are gone", func() bool { _, err := os.Stat(dns); return os.IsNotExist(err) })
}

// TestStrongSwanHasNoAddressForUs: explain says whose matter it is.
func TestStrongSwanHasNoAddressForUs(t *testing.T) {
	s := addressSite(t)
	s.addressedCharon(t, "LOCAL", "local_ts = 10.2.0.0/16, fd02::/64")
	g := s.asking(t, s.east, `"ipv4"`)
	if out, err := g.Parley(short(t), "up", "west"); err == nil {
		t.Errorf("it came up:\n%s", out)
	}
	contains(t, parley(t, g, "explain", "west"), "west: the peer has no inner address for us", "see the address pool at the peer")
}

// TestWeGiveAddressesToOurselves: two parleyd, with split DNS (RFC 8598).
func TestWeGiveAddressesToOurselves(t *testing.T) {
	s := addressSite(t)
	east := s.giving(t, `"10.9.0.5", "fd09::/64"`)
	west := s.asking(t, s.west, `"ipv6", "10.9.0.5"`)
	parley(t, west, "up", "east")
	contains(t, parley(t, west, "sa", "show", "east"), "has fd09::1, 10.9.0.5 from the peer")
	contains(t, parley(t, west, "events", "tail", "--no-follow"), "the peer gave us fd09::1, 10.9.0.5, DNS 10.1.0.53, fd01::53 for corp.example",
		"the peer is Parley in a test")
	b, err := os.ReadFile(filepath.Join(west.Path("run"), "dns", "east.conf"))
	must(t, err)
	contains(t, string(b), "search corp.example")
	contains(t, parley(t, east, "pool", "list"), "staff 18446744073709551616 2 0")
	parley(t, west, "down", "east")
	eventually(t, "the addresses are kept", func() bool {
		return strings.Contains(squeezed(parley(t, east, "pool", "list")), "staff 18446744073709551616 0 2")
	})
}
