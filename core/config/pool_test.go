package config

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/policy"
)

const roaming = `
pool "staff" {
  addresses = ["10.9.0.0/24", "2001:db8:9::/64"]
  dns       = ["10.1.0.53"]
  subnets   = "10.0.0.0/8"
  domains   = ["Corp.Example."]
  keep      = "1h"
}
pool "guests" { addresses = ["10.10.0.5"] }
connection "road" {
  local  { identity = "east.example.net" }
  remote {
    identity        = "*.road.example.net"
    pool            = ["staff", "guests"]
    require_request = true
  }
  application_version = "Parley"
  child "lan" { local_ts = ["10.1.0.0/16"] }
  child "both" {
    local_ts  = ["10.1.0.0/16"]
    remote_ts = ["assigned", "10.2.0.0/16"]
  }
}
connection "office" {
  local {
    identity = "east.example.net"
    virtual  = ["ipv4", "2001:db8:9::7"]
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

func TestPoolsAndWhoUsesThemArrive(t *testing.T) {
	t.Parallel()
	s, _ := valid(t, roaming)
	staff := s.Pools[0]
	if got := fmt.Sprint(staff.Name, staff.Ranges, staff.DNS, staff.Subnets, staff.Domains, staff.Keep); got !=
		"staff[10.9.0.1-10.9.0.254 2001:db8:9::1-2001:db8:9:0:ffff:ffff:ffff:ffff] [10.1.0.53] [10.0.0.0/8] [corp.example] 1h0m0s" {
		t.Error(got)
	}
	if guests := s.Pools[1]; guests.Keep != policy.DefaultKeep || len(guests.DNS) != 0 {
		t.Errorf("%+v", guests)
	}
	road, office := s.Policy.Connections[0], s.Policy.Connections[1]
	want := policy.Addresses{Pools: []string{"staff", "guests"}, RequireRequest: true, ApplicationVersion: "Parley"}
	if !reflect.DeepEqual(road.Addresses, want) {
		t.Errorf("%+v, want %+v", road.Addresses, want)
	}
	if lan, both := road.Children[0], road.Children[1]; !lan.RemoteAssigned || lan.RemoteTS != nil || !both.RemoteAssigned || len(both.RemoteTS) != 1 {
		t.Errorf("%+v %+v", lan, both)
	}
	if got := fmt.Sprint(office.Virtual); got != "[0.0.0.0 2001:db8:9::7]" {
		t.Error(got)
	}
	if lan := office.Children[0]; !lan.LocalAssigned || lan.LocalTS != nil || lan.RemoteAssigned {
		t.Errorf("%+v", lan)
	}
}

func TestDiffTellsOfPools(t *testing.T) {
	t.Parallel()
	old, _ := valid(t, roaming)
	same := *old
	same.Pools, same.Policy = slices.Clone(old.Pools), &policy.Snapshot{Connections: slices.Clone(old.Policy.Connections)}
	if c := Diff(old, &same); c.Pools || !c.Empty() {
		t.Errorf("%+v", c)
	}
	same.Pools[1].Keep = time.Minute
	if c := Diff(old, &same); !c.Pools || c.Empty() || len(c.Changed) != 0 {
		t.Errorf("%+v", c)
	}
	office := *same.Policy.Connections[1]
	office.Virtual = nil
	same.Policy.Connections[1] = &office
	if c := Diff(old, &same); len(c.Changed) != 1 || fmt.Sprint(c.Changed[0].What) != "[virtual]" {
		t.Errorf("%+v", c)
	}
}
