package protocol

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// Parley is the adapter for our own daemon: parleyd with its plugins in processes of their own, and sa/memory to take the child SAs.
type Parley struct {
	Bin string // folder with parleyd, parley and parley-plugin
}

// Name implements Adapter.
func (Parley) Name() string { return "parleyd" }

const parleyDaemon = `daemon {
  log_level = "info"
  plugin_health = "60s"
%DAEMON%}
nats { mode = "off" }
plugin "memory" {
  kind   = ["sa"]
  path   = "%PLUGIN%"
  sha256 = "%SHA256%"
  args   = ["sa:memory"]
}
credentials {
%PSKS%}
%POOL%`

const parleyConnection = `connection "%NAME%" {
  local  { identity = "%ID%"  auth = "%AUTH%" %LOCAL% }
  remote { address = "%PEER%"  identity = "%PEERID%"  auth = "%AUTH%" %REMOTE% }
%MORE%
  child "lan" {
    local_ts  = ["%TS%"]
    remote_ts = ["%PEERTS%"]
    backend   = "memory"
%CHILD%  }
%SECOND%}
`

// Start implements Adapter.
func (p Parley) Start(ctx context.Context, place Place, s Settings, all []Connection) (Daemon, error) {
	plugin := filepath.Join(p.Bin, "parley-plugin")
	raw, err := os.ReadFile(plugin)
	if err != nil {
		return nil, fmt.Errorf("protocol: %w: run make build", err)
	}
	sum := sha256.Sum256(raw)
	g := &lab.Gateway{Name: "daemon", NS: place.NS, Dir: place.Dir, Bin: p.Bin}
	var psks, connections strings.Builder
	for _, c := range all {
		fmt.Fprintf(&psks, "  psk %q { file = \"%s.psk\" }\n", parleyID(c.PeerID), c.Name)
		if err := g.Write(c.Name+".psk", parleyKey(c)+"\n"); err != nil {
			return nil, err
		}
		connections.WriteString(lab.Fill(parleyConnection, append(parleyInner(place, s, c), "NAME", c.Name, "ID", DaemonID, "PEER", c.Peer.String(), "PEERID", parleyID(c.PeerID), "AUTH", parleyAuth(s),
			"MORE", parleyMore(s, c), "SECOND", parleySecond(s, c))...))
	}
	if s.Certified {
		if err := parleyCertificate(g, s, &psks); err != nil {
			return nil, err
		}
	}
	config := lab.Fill(parleyDaemon, "PLUGIN", plugin, "SHA256", hex.EncodeToString(sum[:]), "PSKS", psks.String(), "DAEMON", parleyGlobal(s), "POOL", parleyPool(s))
	if err := g.Write("parley.hcl", config+connections.String()); err != nil {
		return nil, err
	}
	if err := g.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	if err := g.WaitReady(ctx); err != nil {
		_ = g.Kill()
		return nil, err
	}
	return parleyd{g}, nil
}

func parleyAuth(s Settings) string {
	if s.Certified {
		return "signature"
	}
	return "psk"
}

// parleyCertificate gives the daemon a certificate, and has it trust the authority.
func parleyCertificate(g *lab.Gateway, s Settings, credentials *strings.Builder) error {
	ca, err := authority()
	if err != nil {
		return err
	}
	issue := holder
	if s.IKEv1 != "" { // which begins by RSA signatures only
		issue = rsaHolder
	}
	own, err := issue(DaemonID, ca)
	if err != nil {
		return err
	}
	fmt.Fprintf(credentials, "  certificate %q {\n    file = \"own.pem\"\n    key  = \"own.key\"\n  }\n  ca \"protocol\" { file = \"ca.pem\" }\n", DaemonID)
	return errors.Join(g.Write("own.pem", own.Cert), g.Write("own.key", own.Key), g.Write("ca.pem", ca.PEM()))
}

// parleyID writes an identity with its kind, where its form does not tell.
func parleyID(i Identity) string {
	if i.Kind == peer.IDKeyID {
		return "keyid:" + i.String()
	}
	return i.String()
}

func parleyKey(c Connection) string {
	if c.KeyHex {
		return "0x" + hex.EncodeToString([]byte(c.Key))
	}
	return c.Key
}

// parleyInner is the selectors of the child, and what the two ends say of inner addresses.
func parleyInner(place Place, s Settings, c Connection) []string {
	local, remote, ts, peerTS, child := "", "", DaemonTS, c.PeerTS, ""
	switch {
	case s.Transport:
		ts, peerTS, child = place.Addr.String(), c.Peer.String(), "    mode = \"transport\"\n"
	case len(c.Selectors) > 0:
		ts = strings.Join(c.Selectors, `", "`)
	case s.AskAddress:
		local, ts = `virtual = ["ipv4"]`, "assigned"
	case s.PoolMust:
		remote, peerTS = `pool = ["p"] require_request = true`, "assigned"
	case s.Pool:
		remote, peerTS = `pool = ["p"]`, "assigned"
	}
	if s.Kept {
		child += "    start = \"up\"\n"
	}
	if s.IKEv1 != "" {
		child += "    proposals = [\"" + parleyESP1(s) + "\"]\n"
	}
	return []string{"TS", ts, "PEERTS", peerTS, "LOCAL", local, "REMOTE", remote, "CHILD", child + parleyLife("    ", s.LifeChild)}
}

// parleyLife makes an SA live for ten seconds more than until it is rekeyed.
func parleyLife(indent string, rekey time.Duration) string {
	if rekey == 0 {
		return ""
	}
	return fmt.Sprintf("%slifetime {\n%s  time = %q\n%s  margin = \"10s\"\n%s  jitter = \"0s\"\n%s}\n", indent, indent, rekey+10*time.Second, indent, indent, indent)
}

// parleyESP1 is the proposal of IKEv1's children.
func parleyESP1(s Settings) string {
	if s.PFS {
		return "aes128gcm16-aes256gcm16-" + Groups
	}
	return "aes128gcm16-aes256gcm16"
}

func parleyPool(s Settings) string {
	if !s.Pool && !s.PoolMust {
		return ""
	}
	return "pool \"p\" {\n  addresses = [\"" + PoolNet + "\"]\n  dns = [\"" + PoolDNS + "\"]\n}\n"
}

// parleyGlobal is what settings change in the daemon block.
func parleyGlobal(s Settings) string {
	var b strings.Builder
	if s.Cookies {
		b.WriteString("  flood { cookie_threshold = 1 }\n")
	}
	if s.HalfOpen != 0 {
		fmt.Fprintf(&b, "  half_open_timeout = %q\n", s.HalfOpen)
	}
	return b.String()
}

// parleyMore is what settings change in a connection.
func parleyMore(s Settings, c Connection) string {
	var b strings.Builder
	retransmit, tries := s.Retransmit, s.Tries
	if retransmit == 0 {
		retransmit = longPause
	}
	if tries == 0 {
		tries = 5
	}
	fmt.Fprintf(&b, "  retransmit {\n    initial = %q\n    max = \"60s\"\n    factor = 2\n    tries = %d\n  }\n", retransmit, tries)
	fmt.Fprintf(&b, "  liveness = %q\n", s.Liveness)
	if s.IKEv1 != "" {
		fmt.Fprintf(&b, "  version = 1\n  mode = %q\n  allow_aggressive_psk = %v\n", s.IKEv1, s.IKEv1 == "aggressive")
	} else {
		fmt.Fprintf(&b, "  mobike = %v\n  follow_redirects = %v\n", s.MOBIKE, s.Follow)
	}
	b.WriteString(parleyLife("  ", s.LifeIKE))
	if s.Window != 0 {
		fmt.Fprintf(&b, "  window = %d\n", s.Window)
	}
	if s.Fragments != 0 {
		fmt.Fprintf(&b, "  fragmentation {\n    size = %d\n  }\n", s.Fragments)
	}
	if s.Keepalive != 0 {
		fmt.Fprintf(&b, "  nat_keepalive = %q\n", s.Keepalive)
	}
	if s.Kept {
		b.WriteString("  retry {\n    initial = \"100ms\"\n    max = \"1s\"\n  }\n")
	}
	if s.Redirect != "" {
		fmt.Fprintf(&b, "  redirect {\n    to = %q\n    at = %q\n  }\n", Gateway, s.Redirect)
	}
	if s.Childless != "" {
		fmt.Fprintf(&b, "  childless = %q\n", s.Childless)
	}
	if s.Reauth != 0 {
		fmt.Fprintf(&b, "  reauth = %q\n", s.Reauth)
	}
	if c.MODPFirst {
		b.WriteString("  proposals = [\"aes256-sha256-prfsha256-modp2048-x25519\"]\n")
	}
	return b.String()
}

func parleySecond(s Settings, c Connection) string {
	if !s.TwoChildren {
		return ""
	}
	return lab.Fill("  child \"second\" {\n    local_ts = [\"%TS%\"]\n    remote_ts = [\"%PEERTS%\"]\n    backend = \"memory\"\n  }\n", "TS", SecondTS, "PEERTS", c.PeerTS)
}

// parleyd is a daemon that runs.
type parleyd struct{ *lab.Gateway }

// Order implements Daemon.
func (d parleyd) Order(ctx context.Context, o Order, connection string) error {
	args := map[Order][]string{
		Up:         {"up", connection, "--no-wait"},
		UpSecond:   {"up", connection, "--child", "second", "--no-wait"},
		Down:       {"down", connection, "--no-wait"},
		DownChild:  {"down", connection, "--child", "lan", "--no-wait"},
		RekeyIKE:   {"rekey", connection, "--no-wait"},
		RekeyChild: {"rekey", connection + "/lan", "--no-wait"},
		Redirect:   {"redirect", connection, Gateway},
		Reauth:     {"reauth", connection},
	}[o]
	if args == nil {
		return fmt.Errorf("%w %s", ErrCannot, o)
	}
	out, err := d.Parley(ctx, args...)
	if err != nil {
		return fmt.Errorf("protocol: parley %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Count implements Daemon.
func (d parleyd) Count(ctx context.Context, connection string) (ike, child int, err error) {
	out, err := d.Parley(ctx, "sa", "list", connection, "-o", "json")
	if err != nil {
		return 0, 0, fmt.Errorf("protocol: parley sa list: %w: %s", err, out)
	}
	var list struct {
		SAs []struct {
			State    string            `json:"state"`
			Children []json.RawMessage `json:"children"`
		} `json:"sas"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return 0, 0, fmt.Errorf("protocol: parley sa list: %w: %s", err, out)
	}
	for _, sa := range list.SAs {
		if sa.State == "established" {
			ike, child = ike+1, child+len(sa.Children)
		}
	}
	return ike, child, nil
}

// Load implements Daemon.
func (d parleyd) Load(ctx context.Context) (l Load, err error) {
	out, err := d.Parley(ctx, "status", "-o", "json")
	if err != nil {
		return l, fmt.Errorf("protocol: parley status: %w: %s", err, out)
	}
	var status struct {
		Counts struct {
			IKE   int `json:"ike_sas"`
			Child int `json:"child_sas"`
		} `json:"counts"`
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return l, fmt.Errorf("protocol: parley status: %w: %s", err, out)
	}
	l.SAs = status.Counts.IKE + status.Counts.Child
	l.Memory, err = resident(d.PID())
	return l, err
}

// Told implements Daemon.
func (d parleyd) Told(ctx context.Context, name, words string) (bool, error) {
	out, err := d.Parley(ctx, "events", "tail", "--no-follow", "--since", "10m", "--lines", "1000", "--filter", name+"*", "-o", "json")
	if err != nil {
		return false, fmt.Errorf("protocol: parley events tail: %w: %s", err, out)
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, words) {
			return true, nil
		}
	}
	return false, nil
}

// resident is how much memory of its own a process holds, in octets (proc(5), RssAnon).
func resident(pid int) (octets int64, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), "RssAnon:")
	_, err = fmt.Sscanf(rest, "%d kB", &octets)
	return octets << 10, err
}

// Stop implements Daemon. Nobody answers for the SAs that the cases left behind, so the daemon is not asked to end them.
func (d parleyd) Stop() error { return d.Kill() }
