package config

import (
	"os"
	"reflect"
	"testing"

	"github.com/parley-ike/parley/core/policy"
)

func TestUsersAndPasswordsAreRead(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]os.FileMode{"good.psk": 0o600, "west.psk": 0o600})
	s, err := Parse("parley.hcl", []byte(`
connection "road" {
  version = 1
  local  { identity = "gateway"  auth = "signature" }
  remote { auth = "xauth"  user = ["alice", "bob@example.net"]  identity = "%any" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.2.0.0/16"] }
}
connection "up" {
  version = 1
  local  { identity = "east"  user = "carol" }
  remote { address = "192.0.2.2" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.2.0.0/16"] }
}
credentials {
  private_key "gateway" { file = "good.psk" }
  psk "192.0.2.2" { file = "good.psk" }
  password "alice" { file = "good.psk" }
  password "bob@example.net" { file = "west.psk" }
  password "carol" { file = "west.psk"  own = true }
}`), dir)
	if err != nil {
		t.Fatal(err)
	}
	road, up := s.Policy.Connections[0], s.Policy.Connections[1]
	if !road.Hybrid() || !road.Remote.AdmitsUser("alice") || road.Remote.AdmitsUser("carol") || road.Local.Extended() {
		t.Errorf("road is %+v", road)
	}
	if up.Hybrid() || !up.Extended() || !reflect.DeepEqual(up.Local.Users, []string{"carol"}) {
		t.Errorf("up is %+v", up)
	}
	want := []Password{{User: "alice", File: dir + "/good.psk"}, {User: "bob@example.net", File: dir + "/west.psk"}, {User: "carol", File: dir + "/west.psk", Own: true}}
	if !reflect.DeepEqual(s.Passwords, want) {
		t.Errorf("passwords are %+v", s.Passwords)
	}
}

func TestAnyUserStandsForAll(t *testing.T) {
	t.Parallel()
	e := policy.Endpoint{Users: []string{policy.AnyUser}}
	if !e.AdmitsUser("mallory") || policy.ValidUser("") || policy.ValidUser("a\x00") || !policy.ValidUser("Zoë") {
		t.Error("a user is misjudged")
	}
}
