package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// quick makes a gateway give up early.
const quick = `retransmit { initial = "100ms"  max = "300ms"  tries = 3 }`

// unsuccessful is an attempt of east that must fail, and what both sides say of it.
type unsuccessful struct {
	name       string
	east, west settings
	westKey    string // another key than east's
	lostKey    string // the gateway that loses its key file when it runs
	eastSays   []string
	westSays   []string // nil: it knows of nothing
}

var failures = []unsuccessful{
	{
		name: "another key", westKey: "another key",
		eastSays: []string{"west: the peer refused to authenticate us: the pre-shared keys differ, or it does not know one of the identities that we sent",
			"> give both sides the same pre-shared key for fqdn:west.example.net; ours is in", "east/parley.hcl:12", "have the peer expect us as fqdn:east.example.net"},
		westSays: []string{"east: the peer's proof is wrong: its pre-shared key and ours for fqdn:east.example.net differ",
			"> give both sides the same pre-shared key for fqdn:east.example.net; ours is in", "west/parley.hcl:12"},
	},
	{
		name: "no IKE proposal in common",
		east: settings{"CONNECTION", `proposals = ["aes128-sha256-modp2048"]`}, west: settings{"CONNECTION", `proposals = ["aes256gcm16-prfsha384-ecp384"]`},
		eastSays: []string{"west: the peer accepts none of our IKE proposals, or has no connection for our address", "> set proposals to what the peer's configuration names for IKE",
			"east/parley.hcl:4", "aes128-sha256-prfsha256-modp2048"},
		westSays: []string{"east: the peer's IKE proposals and ours have nothing in common: they differ in ENCR and INTEG and PRF and KE",
			`> add the proposal "aes128-sha256-prfsha256-modp2048" to our ike proposals, or ask the peer for "aes256gcm16-prfsha384-ecp384"`, "west/parley.hcl:4",
			"ENCR aes128 aes256gcm16 - NO", "KE modp2048 ecp384 - NO"},
	},
	{
		name: "no child proposal in common",
		east: settings{"CHILD", `proposals = ["aes128-sha256"]`}, west: settings{"CHILD", `proposals = ["aes256gcm16"]`},
		eastSays: []string{`west: the peer accepts none of our ESP proposals for child "lan"`, "> set proposals to what the peer's configuration names for ESP", "east/parley.hcl:8"},
		westSays: []string{`east: the peer's ESP proposals and those of child "lan" have nothing in common: they differ in ENCR and INTEG`,
			`> add the proposal "aes128-sha256" to our esp proposals, or ask the peer for "aes256gcm16"`, "west/parley.hcl:8", "ENCR aes128 aes256gcm16 - NO", "ESN noesn noesn noesn ok"},
	},
	{
		name: "no selectors in common", west: settings{"NET", "10.9.0.0/16"},
		eastSays: []string{`west: the peer accepts none of the traffic selectors of child "lan"`, "local_ts 10.1.0.0/16 must be what the peer has as its remote side", "east/parley.hcl:6",
			"remote_ts 10.2.0.0/16 must be what the peer has as its local side", "east/parley.hcl:7"},
		westSays: []string{`east: the traffic selectors of child "lan" and those of the peer have nothing in common: local_ts differs`,
			`> set local_ts = ["10.2.0.0/16"] in child "lan" as the peer has it, or have the peer use 10.9.0.0/16`, "west/parley.hcl:6", "lan local 10.9.0.0/16 10.2.0.0/16 none"},
	},
	{
		name: "an identity that the responder does not know", east: settings{"ID", "north.example.net"},
		eastSays: []string{"west: the peer refused to authenticate us", "have the peer expect us as fqdn:north.example.net, which we sent, or change our local identity", "east/parley.hcl:2"},
		westSays: []string{`east: the peer calls itself fqdn:north.example.net, but "east" expects fqdn:east.example.net`,
			`> set remote { identity = "fqdn:north.example.net" } if that is the peer you mean`, "west/parley.hcl:3"},
	},
	{
		name: "a key that was lost here", lostKey: "east",
		eastSays: []string{"west: we have no credential for fqdn:west.example.net", "> see that the credential plugin can read", "east/parley.hcl:12",
			"east/peer.psk: open: no such file or directory"},
	},
	{
		name: "a key that was lost there", lostKey: "west",
		eastSays: []string{"west: the peer refused to authenticate us"},
		westSays: []string{"east: we have no credential for fqdn:east.example.net", "> see that the credential plugin can read", "west/parley.hcl:12",
			"west/peer.psk: open: no such file or directory"},
	},
	{
		name: "an address where nobody is", east: settings{"PEERWAN", "192.0.2.77", "CONNECTION", quick},
		eastSays: nobodyAt("192.0.2.77"),
	},
	{
		name: "a host that lets nothing through", east: settings{"PEERWAN", "198.51.100.9", "CONNECTION", quick},
		eastSays: nobodyAt("198.51.100.9"),
	},
	{
		name: "a plugin is down",
		east: settings{"MORE", "plugin \"broken\" {\n  kind = \"ke\"\n  path = \"/bin/false\"\n  sha256 = \"" + strings.Repeat("0", 64) + "\"\n}\ndaemon { half_open_timeout = \"2s\" }"},
		eastSays: []string{"west: a plugin failed: the key exchange plugin could not make a value", "no plugin that is up provides key exchange method", "not up: broken",
			"> see the daemon's log for plugin broken, and `parley plugin list`", "east/parley.hcl:14", "wrong checksum: the catalogue expects SHA-256 0000"},
	},
}

func nobodyAt(address string) []string {
	return []string{address + ":500 never answered: we sent 4 packets of IKE_SA_INIT in", "and nothing came back; likely a firewall stops UDP 500, or no IKE daemon runs there",
		"> see that " + address + " is the peer's address, that its IKE daemon runs, and that firewalls let UDP 500 and 4500 pass both ways", "east/parley.hcl:3"}
}

// TestExplanationsOfBothSides: two parleyd that cannot agree; each says what is wrong and which line to change.
func TestExplanationsOfBothSides(t *testing.T) {
	t.Parallel()
	for _, c := range failures {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, v4in4)
			east, west := s.newGateway(t, s.east, c.east...), s.newGateway(t, s.west, c.west...)
			if c.westKey != "" {
				must(t, west.Write("peer.psk", c.westKey+"\n"))
			}
			start(t, west)
			start(t, east)
			if c.lostKey != "" {
				must(t, os.Remove(filepath.Join(s.dir, c.lostKey, "peer.psk")))
			}
			fails(t, east, c.eastSays)
			if c.westSays != nil {
				contains(t, parley(t, west, "explain", "east"), c.westSays...)
			}
		})
	}
}

// onTheWay are packets that are lost on the way, and what both sides say of it.
var onTheWay = []struct {
	name     string
	nat      bool
	lost     func(lab.Packet) bool
	eastSays []string
	westSays []string
}{
	{
		"UDP 4500 behind a NAT", true, func(p lab.Packet) bool { return p.To.Port() == 4500 || p.From.Port() == 4500 },
		[]string{"west: 203.0.113.2 answered on UDP 500, but not on UDP 4500: we sent 4 packets of IKE_AUTH in", "likely a firewall stops UDP 4500",
			"> let UDP 4500 pass both ways between 192.0.2.1 and 203.0.113.2"},
		[]string{"east: 203.0.113.1 began and we answered, but it did not go on to IKE_AUTH", "UDP 4500 is blocked"},
	},
	{
		"UDP 4500 without a NAT", false, func(p lab.Packet) bool { return p.To.Port() == 4500 || p.From.Port() == 4500 },
		[]string{"west: 203.0.113.2 answered on UDP 500, but not on UDP 4500", "or set mobike = false"},
		[]string{"UDP 4500 is blocked"},
	},
	{
		"IKE_AUTH", false, func(p lab.Packet) bool { return p.Exchange() == 35 },
		[]string{"west: 203.0.113.2 answered at first and then fell silent: we sent 4 packets of IKE_AUTH in", "> read the peer's log", "a firewall may drop IP fragments"},
		[]string{"east: 192.0.2.1 began and we answered, but it did not go on to IKE_AUTH", "> let UDP 500 and 4500 pass both ways between 203.0.113.2 and 192.0.2.1"},
	},
}

// TestExplanationsOfWhatIsLostOnTheWay: the peer answers IKE_SA_INIT, and then nothing comes any more.
func TestExplanationsOfWhatIsLostOnTheWay(t *testing.T) {
	t.Parallel()
	for _, c := range onTheWay {
		t.Run(c.name, func(t *testing.T) {
			s := newRoutedSite(t, c.nat)
			s.middle.Drop(c.lost)
			own := settings{"MORE", `daemon { half_open_timeout = "2s" }`}
			if c.nat {
				own = append(own, behindNAT...)
			}
			west := s.gateway(t, s.west, own...)
			mobike := ""
			if c.name == "IKE_AUTH" {
				mobike = "\n  mobike = false" // which would make it UDP 4500
			}
			east := s.gateway(t, s.east, "CONNECTION", quick+mobike)
			fails(t, east, c.eastSays)
			eventually(t, "the responder gave up", func() bool { return ended(sas(t, west)) })
			contains(t, parley(t, west, "explain", "east"), c.westSays...)
		})
	}
}

// TestExplanationsWithStrongSwan: what we can tell of a peer of another make.
func TestExplanationsWithStrongSwan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		own, their settings
		weAsk      []string // we say this when we asked
		theyAsk    []string // and this when they asked
	}{
		{
			"another key", nil, settings{"SECRET", "another key"},
			[]string{"west: the peer refused to authenticate us: the pre-shared keys differ", "east/parley.hcl:12"},
			[]string{"west: the peer's proof is wrong: its pre-shared key and ours for fqdn:west.example.net differ", "east/parley.hcl:12"},
		},
		{
			"no IKE proposal in common", settings{"CONNECTION", `proposals = ["aes128-sha256-modp2048"]`}, settings{"IKE", "aes256gcm16-prfsha384-ecp384"},
			[]string{"west: the peer accepts none of our IKE proposals", "east/parley.hcl:4"},
			[]string{"west: the peer's IKE proposals and ours have nothing in common", `> add the proposal "aes256gcm16-prfsha384-ecp384" to our ike proposals, or ask the peer for "aes128-sha256-prfsha256-modp2048"`,
				"ENCR aes256gcm16 aes128 - NO", "east/parley.hcl:4"},
		},
		{
			"no child proposal in common", settings{"CHILD", `proposals = ["aes128-sha256"]`}, settings{"ESP", "aes256gcm16"},
			[]string{`west: the peer accepts none of our ESP proposals for child "lan"`, "east/parley.hcl:8"},
			[]string{`west: the peer's ESP proposals and those of child "lan" have nothing in common`, `> add the proposal "aes256gcm16" to our esp proposals`, "east/parley.hcl:8"},
		},
		{
			"no selectors in common", nil, settings{"NET", "10.9.0.0/16"},
			[]string{`west: the peer accepts none of the traffic selectors of child "lan"`, "east/parley.hcl:6"},
			[]string{`west: the traffic selectors of child "lan" and those of the peer have nothing in common`, "10.9.0.0/16", "east/parley.hcl:7"},
		},
		{
			"an identity that they do not have", settings{"PEERID", "north.example.net"}, nil,
			[]string{"west: the peer refused to authenticate us", "have the peer call itself fqdn:north.example.net, which we asked for", "east/parley.hcl:3"},
			[]string{`west: the peer calls itself fqdn:west.example.net, but "west" expects fqdn:north.example.net`, "east/parley.hcl:3"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, v4in4)
			peer := s.strongSwan(t, c.their...)
			g := s.gateway(t, s.east, c.own...)
			fails(t, g, c.weAsk)
			parley(t, g, "down", "west") // an IKE SA without a child stays
			if out, err := peer.Swanctl(short(t), "--initiate", "--child", "lan", "--timeout", "10"); err == nil {
				t.Errorf("it came up:\n%s", out)
			}
			contains(t, parley(t, g, "explain", "west"), c.theyAsk...)
		})
	}
}

// fails demands that a connection does not come up, and that `parley up` and `parley explain` say why.
func fails(t *testing.T, g *lab.Gateway, says []string) {
	t.Helper()
	out, err := g.Parley(short(t), "up", "west")
	if err == nil {
		t.Fatalf("it came up:\n%s", out)
	}
	contains(t, out, says...)
	contains(t, parley(t, g, "explain", "west"), says...)
}
