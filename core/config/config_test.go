package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parley-ike/parley/core/policy"
)

// minimal is a complete configuration.
const minimal = `connection "west" {
  local  { identity = "east.example.net"  auth = "psk" }
  remote { address = "192.0.2.2"  identity = "west.example.net"  auth = "psk" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["10.2.0.0/16"]  start = "up" }
}
credentials { psk "west.example.net" { file = "west.psk" } }
`

// folder returns a folder with files of the given modes, each with some content.
func folder(t testing.TB, files map[string]os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func valid(t testing.TB, src string) (*Snapshot, string) {
	t.Helper()
	dir := folder(t, map[string]os.FileMode{"west.psk": 0o600, "east.psk": 0o400, "plugin": 0o755, "nats.creds": 0o600, "key.pem": 0o600})
	s, err := Parse("parley.hcl", []byte(src), dir)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s, dir
}

func TestTheMinimalConfigurationIsComplete(t *testing.T) {
	t.Parallel()
	s, dir := valid(t, minimal)
	sel := func(in string) []policy.Selector {
		x, err := policy.ParseSelector(in)
		if err != nil {
			t.Fatal(err)
		}
		return []policy.Selector{x}
	}
	id := func(in string) policy.Identity {
		x, err := policy.ParseIdentity(in)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	want := &policy.Connection{
		Name:   "west",
		Local:  policy.Endpoint{Identity: id("east.example.net"), Auth: "psk"},
		Remote: policy.Endpoint{Addr: netip.MustParseAddr("192.0.2.2"), Identity: id("west.example.net"), Auth: "psk"},
		IKE:    policy.DefaultIKE(), Retransmit: policy.DefaultRetransmit(),
		Liveness: 30 * time.Second, HalfOpen: 30 * time.Second, NATKeepalive: 20 * time.Second, CallBudget: 5 * time.Second, MaxChildren: 64, Lifetime: policy.Lifetime{Time: 4 * time.Hour}, MOBIKE: true,
		Children: []*policy.Child{{Name: "lan", LocalTS: sel("10.1.0.0/16"), RemoteTS: sel("10.2.0.0/16"), ESP: policy.DefaultESP(), Start: policy.StartUp, OnDead: policy.DeadRestart, ReplayWindow: 64, Lifetime: policy.Lifetime{Time: time.Hour}}},
		Session:  policy.Session{Retry: policy.DefaultRetry(), RedirectGrace: policy.DefaultRedirectGrace},
		Messages: policy.Messages{FragmentSize: 1280, Window: 1},
	}
	if len(s.Policy.Connections) != 1 || !reflect.DeepEqual(s.Policy.Connections[0], want) {
		t.Errorf("connection: %+v\nwant %+v", s.Policy.Connections[0], want)
	}
	psk := PSK{Remote: "fqdn:west.example.net", RemoteID: id("west.example.net"), File: filepath.Join(dir, "west.psk")}
	if !reflect.DeepEqual(s.Credentials, []PSK{psk}) {
		t.Errorf("credentials: %+v, want %+v", s.Credentials, psk)
	}
	host := hostName()
	daemon := Daemon{Name: host, ControlSocket: "/run/parley/control.sock", StateDir: "/var/lib/parley", RuntimeDir: "/run/parley", LogLevel: "info",
		Listen: []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, Port: 500, NATTPort: 4500,
		Flood: defaultFlood(), HalfOpenTimeout: 30 * time.Second, PluginHealth: 10 * time.Second}
	if !reflect.DeepEqual(s.Daemon, daemon) {
		t.Errorf("daemon: %+v, want %+v", s.Daemon, daemon)
	}
	if want := (NATS{Mode: "embedded", StoreDir: "/var/lib/parley/nats", MaxBytes: 1 << 30}); s.NATS != want {
		t.Errorf("nats: %+v, want %+v", s.NATS, want)
	}
	sum := sha256.Sum256([]byte(minimal))
	if s.Hash != hex.EncodeToString(sum[:]) || len(s.Plugins) != 0 || len(s.Warnings) != 0 {
		t.Errorf("hash %s, plugins %v, warnings %v", s.Hash, s.Plugins, s.Warnings)
	}
}

const everything = `
daemon {
  name              = "gw-1"
  control_socket    = "run/control.sock"
  journal           = "/var/log/parley"
  state_dir         = "state"
  runtime_dir       = "/run/gw"
  log_level         = "debug"
  listen            = ["192.0.2.1", "2001:db8::1"]
  port              = 1500
  natt_port         = 14500
  flood { cookie_threshold = 0 }
  half_open_timeout = "10s"
  plugin_health = "2s"
}

connection "west" {
  local {
    address  = "192.0.2.1"
    identity = "east.example.net"
  }
  remote { address = "west.example.net" }
  proposals     = ["aes256gcm16-prfsha384-ecp384", "aes128-sha256-modp2048"]
  liveness      = "0s"
  nat_keepalive = "0s"
  call_budget   = "2s"
  max_children  = 3
  force_encap   = true
  retransmit {
    initial = "1s"
    factor  = 2
    max     = "8s"
    tries   = 5
  }
  child "lan" {
    local_ts      = ["10.1.0.0/16[tcp/80]", "fd01::/16"]
    remote_ts     = ["10.2.0.0/16", "fd02::/16"]
    proposals     = ["aes256gcm16-ecp384"]
    mode          = "tunnel"
    start         = "trap"
    backend       = "userspace"
    replay_window = 0
  }
  child "hosts" { local_ts = "192.0.2.1"  remote_ts = "10.9.0.0/24"  profile = "compatible" }
}

connection "road" {
  local  { identity = "192.0.2.1" }
  remote { address = ["198.51.100.0/24", "203.0.113.7"]  identity = "*.road.example.net" }
  profile = "compatible"
  child "all" { local_ts = ["0.0.0.0/0"]  remote_ts = ["10.3.0.0/16"] }
}

credentials {
  psk "west.example.net" { file = "west.psk" }
  psk "*.road.example.net" {
    file  = "east.psk"
    local = "192.0.2.1"
  }
}

plugin "fancy" {
  kind       = ["ke", "auth"]
  path       = "plugin"
  sha256     = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
  args       = ["--fast"]
  config     = { slots = 4, names = ["a", "b"], deep = { on = true } }
  privileges = ["net_admin"]
  user       = "parley"
}

nats {
  mode        = "external"
  url         = "tls://nats.example.net:4222"
  credentials = "nats.creds"
  max_bytes   = "64MiB"
  tls {
    ca   = "ca.pem"
    cert = "cert.pem"
    key  = "key.pem"
  }
}

events {}
`

func TestEverySettingArrives(t *testing.T) {
	t.Parallel()
	s, dir := valid(t, everything)
	in := func(name string) string { return filepath.Join(dir, name) }
	daemon := Daemon{Name: "gw-1", ControlSocket: in("run/control.sock"), Journal: "/var/log/parley", StateDir: in("state"), RuntimeDir: "/run/gw", LogLevel: "debug",
		Listen: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, Port: 1500, NATTPort: 14500, HalfOpenTimeout: 10 * time.Second, PluginHealth: 2 * time.Second}
	daemon.Flood = defaultFlood()
	daemon.Flood.CookieThreshold = 0
	if !reflect.DeepEqual(s.Daemon, daemon) {
		t.Errorf("daemon: %+v\nwant %+v", s.Daemon, daemon)
	}
	nats := NATS{Mode: "external", URL: "tls://nats.example.net:4222", Credentials: in("nats.creds"), StoreDir: in("state/nats"), MaxBytes: 64 << 20,
		TLS: TLS{CA: in("ca.pem"), Cert: in("cert.pem"), Key: in("key.pem")}}
	if s.NATS != nats {
		t.Errorf("nats: %+v\nwant %+v", s.NATS, nats)
	}
	plugin := Plugin{Name: "fancy", Kinds: []string{"ke", "auth"}, Path: in("plugin"), SHA256: strings.ToLower("E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"),
		Args: []string{"--fast"}, Config: json.RawMessage(`{"deep":{"on":true},"names":["a","b"],"slots":4}`), Privileges: []string{"net_admin"}, User: "parley"}
	if !reflect.DeepEqual(s.Plugins, []Plugin{plugin}) {
		t.Errorf("plugins: %+v\nwant %+v", s.Plugins, plugin)
	}
	west, _ := s.Policy.Connection("west")
	if west.Remote.Host != "west.example.net" || west.Remote.Identity.String() != "fqdn:west.example.net" || west.Remote.Addr.IsValid() {
		t.Errorf("remote: %+v, want a name to look up, which is the identity as well", west.Remote)
	}
	if west.Liveness != 0 || west.NATKeepalive != 0 || west.CallBudget != 2*time.Second || west.MaxChildren != 3 || !west.ForceEncap || west.HalfOpen != 10*time.Second {
		t.Errorf("west: %+v", west)
	}
	if want := (policy.Retransmit{Initial: time.Second, Factor: 2, Max: 8 * time.Second, Tries: 5}); west.Retransmit != want {
		t.Errorf("retransmit: %+v, want %+v", west.Retransmit, want)
	}
	lan, hosts := west.Children[0], west.Children[1]
	if lan.ReplayWindow != 0 || lan.Start != policy.StartTrap || lan.Backend != "userspace" || len(lan.LocalTS) != 2 || lan.ESP[0].String() != "aes256gcm16-ecp384" {
		t.Errorf("lan: %+v", lan)
	}
	if !reflect.DeepEqual(hosts.ESP, policy.CompatibleESP()) || hosts.LocalTS[0].String() != "192.0.2.1" {
		t.Errorf("hosts: %+v", hosts)
	}
	road, _ := s.Policy.Connection("road")
	if len(road.Remote.Prefixes) != 2 || road.Remote.Prefixes[1].String() != "203.0.113.7/32" || !reflect.DeepEqual(road.IKE, policy.CompatibleIKE()) {
		t.Errorf("road: %+v", road)
	}
	if !reflect.DeepEqual(road.Children[0].ESP, policy.CompatibleESP()) {
		t.Error("the child does not have the profile of its connection")
	}
	if len(s.Warnings) != 2 || !strings.Contains(s.Warnings[0].Message, "SHA-1") {
		t.Errorf("warnings: %v, want one for each weak profile", s.Warnings)
	}
}

func TestWhatIsNotSaidComesFromTheAddresses(t *testing.T) {
	t.Parallel()
	s, _ := valid(t, `
connection "hosts" {
  local  { address = "192.0.2.1" }
  remote { address = "192.0.2.2" }
  child "all" {}
}
credentials { psk "192.0.2.2" { file = "west.psk" } }`)
	c := s.Policy.Connections[0]
	got := []string{c.Local.Identity.String(), c.Remote.Identity.String(), c.Children[0].LocalTS[0].String(), c.Children[0].RemoteTS[0].String()}
	if want := []string{"ipv4:192.0.2.1", "ipv4:192.0.2.2", "192.0.2.1", "192.0.2.2"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWhereTellsTheLineOfASetting(t *testing.T) {
	t.Parallel()
	s, _ := valid(t, minimal)
	for _, tt := range []struct{ key, want string }{
		{"connection.west", "parley.hcl:1"},
		{"connection.west.local.identity", "parley.hcl:2"},
		{"connection.west.child.lan.remote_ts", "parley.hcl:4"},
		{"connection.west.proposals", "parley.hcl:1"}, // not there: where it could be
		{"connection.west.child.lan.proposals", "parley.hcl:4"},
		{"credentials.psk.west.example.net", "parley.hcl:6"},
		{"credentials.psk.fqdn:west.example.net", "parley.hcl:6"},
		{"credentials.psk.west.example.net.file", "parley.hcl:6"},
		{"connection.north", ""},
		{"nats.url", ""},
	} {
		if got := s.Where(tt.key); got != tt.want {
			t.Errorf("Where(%q) = %q, want %q", tt.key, got, tt.want)
		}
	}
	s, _ = valid(t, everything)
	lines := strings.Split(everything, "\n")
	for _, key := range []string{"proposals", "liveness", "retransmit"} {
		_, line, _ := strings.Cut(s.Where("connection.west."+key), ":")
		if n := atoi(t, line); !strings.Contains(lines[n-1], key) {
			t.Errorf("%s: line %d is %q", key, n, lines[n-1])
		}
	}
}

func atoi(t testing.TB, s string) (n int) {
	t.Helper()
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	if n == 0 {
		t.Fatalf("%q is no line", s)
	}
	return n
}

func TestLoadReadsTheFoldersFilesInLexicalOrder(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]os.FileMode{"west.psk": 0o600})
	write := func(name, src string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	north := strings.ReplaceAll(minimal, "west", "north")
	write("parley.hcl", minimal)
	write("conf.d/20-north.hcl", north)
	write("conf.d/10-south.hcl", strings.ReplaceAll(minimal, "west", "south"))
	write("conf.d/north.psk", "content")
	write("conf.d/south.psk", "content")
	write("conf.d/README", "not { read")
	s, err := Load(filepath.Join(dir, "parley.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range s.Policy.Connections {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, ","); got != "west,south,north" {
		t.Errorf("connections %s, want west,south,north", got)
	}
	if got, want := s.Where("connection.north.remote"), filepath.Join(dir, "conf.d/20-north.hcl")+":3"; got != want {
		t.Errorf("north is in %s, want %s", got, want)
	}
	if got, want := s.Credentials[2].File, filepath.Join(dir, "conf.d/north.psk"); got != want {
		t.Errorf("its key is in %s, want %s", got, want)
	}
	write("conf.d/30-again.hcl", north)
	_, err = Load(filepath.Join(dir, "parley.hcl"))
	if err == nil || !strings.Contains(err.Error(), "30-again.hcl:1:1: connection \"north\": the name is taken in "+filepath.Join(dir, "conf.d/20-north.hcl")+":1") {
		t.Errorf("the same name in two files: %v", err)
	}
}

func TestLoadSaysThatThereIsNoFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "parley.hcl")
	_, err := Load(name)
	var ds Diagnostics
	if !errors.As(err, &ds) || err.Error() != name+": cannot read the configuration: open "+name+": no such file or directory" {
		t.Errorf("got %v", err)
	}
}

func TestDiffNamesWhatAReloadChanges(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]os.FileMode{"west.psk": 0o600, "north.psk": 0o600, "south.psk": 0o600, "plugin": 0o700})
	parse := func(src string) *Snapshot {
		t.Helper()
		s, err := Parse("parley.hcl", []byte(src), dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	north, south := strings.ReplaceAll(minimal, "west", "north"), strings.ReplaceAll(minimal, "west", "south")
	old := parse(minimal + north)
	for _, tt := range []struct {
		name string
		new  string
		want Changes
	}{
		{"nothing but comments and explicit defaults", "# hello\n" + strings.Replace(minimal, "{", "{\n  liveness = \"30s\"\n", 1) + north, Changes{Same: []string{"west", "north"}}},
		{"one goes, one comes", minimal + south, Changes{Added: []string{"south"}, Removed: []string{"north"}, Same: []string{"west"}, Credentials: true}},
		{"one changes", minimal + strings.Replace(north, "10.2.", "10.3.", 1), Changes{Changed: []Change{{"north", []string{"child lan: remote_ts"}, true, []string{"lan"}}}, Same: []string{"west"}}},
		{"a child comes", minimal + strings.Replace(north, `child "lan"`, "child \"dmz\" {\n local_ts = [\"10.1.0.0/16\"]\n remote_ts = [\"10.5.0.0/16\"]\n }\n child \"lan\"", 1),
			Changes{Changed: []Change{{"north", []string{"child dmz added"}, true, nil}}, Same: []string{"west"}}},
		{"much changes", minimal + strings.NewReplacer("identity = \"north", "identity = \"no", `child "lan"`, "liveness = \"1s\"\n child \"dmz\"").Replace(north) + "credentials { psk \"no.example.net\" { file = \"north.psk\" } }",
			Changes{Changed: []Change{{"north", []string{"remote identity", "liveness", "child dmz added", "child lan removed"}, false, []string{"lan"}}}, Same: []string{"west"}, Credentials: true}},
		{"the daemon", minimal + north + "daemon { port = 501 }\nnats { mode = \"off\" }", Changes{Same: []string{"west", "north"}, Restart: []string{"daemon port", "nats"}}},
		{"plugins", minimal + north + plugin("acme", dir), Changes{Same: []string{"west", "north"}, Restart: []string{"plugin acme"}}},
	} {
		if got := Diff(old, parse(tt.new)); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	if !Diff(old, old).Empty() || Diff(nil, old).Empty() {
		t.Error("a snapshot differs from itself, or not from nothing")
	}
}

func plugin(name, dir string) string {
	return fmt.Sprintf("plugin %q {\n kind = [\"ke\"]\n path = %q\n sha256 = %q\n}\n", name, filepath.Join(dir, "plugin"), strings.Repeat("0", 64))
}

func TestDiagnosticsAreAJSONList(t *testing.T) {
	t.Parallel()
	_, err := Parse("parley.hcl", []byte("daemon { prot = 1 }"), "/")
	var ds Diagnostics
	if !errors.As(err, &ds) {
		t.Fatalf("%T", err)
	}
	got, err := json.Marshal(ds)
	const want = `[{"file":"parley.hcl","line":1,"column":10,"message":"daemon: unknown setting \"prot\": did you mean \"port\"?","source":"daemon { prot = 1 }"}]`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestAVendorsAuthenticatorHasItsOwnName(t *testing.T) {
	t.Parallel()
	src := strings.ReplaceAll(minimal, `auth = "psk"`, `auth = "token"`)
	dir := folder(t, map[string]os.FileMode{"west.psk": 0o600, "plugin": 0o755})
	if _, err := Parse("parley.hcl", []byte(src), dir); err == nil || !strings.Contains(err.Error(), `unknown auth "token": use one of psk`) {
		t.Errorf("without a plugin: %v", err)
	}
	plugin := `plugin "vendor" { kind = "auth"  path = "plugin"  sha256 = "` + strings.Repeat("0a", 32) + `" }`
	s, err := Parse("parley.hcl", []byte(src+plugin), dir)
	if err != nil || s.Policy.Connections[0].Local.Auth != "token" {
		t.Errorf("with one: %v", err)
	}
	src, _, _ = strings.Cut(src, "credentials")
	if _, err := Parse("parley.hcl", []byte(src+plugin), dir); err != nil {
		t.Errorf("a connection without pre-shared keys needs none: %v", err)
	}
}

func TestAPeerMayBeAnywhere(t *testing.T) {
	t.Parallel()
	s, _ := valid(t, `
connection "road" {
  local  { identity = "east" }
  remote { address = "%any" }
  child "lan" { local_ts = ["10.1.0.0/16"]  remote_ts = ["0.0.0.0/0"] }
}
credentials { psk "%any" { file = "west.psk" } }
nats { max_bytes = 1048576 }`)
	r := s.Policy.Connections[0].Remote
	if r.Addr.IsValid() || r.Prefixes != nil || r.Host != "" || !r.Identity.IsAny() || s.Credentials[0].Remote != "%any" || s.NATS.MaxBytes != 1<<20 {
		t.Errorf("remote %+v, credentials %+v, max_bytes %d", r, s.Credentials, s.NATS.MaxBytes)
	}
}
