package protocol

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// Charon is the adapter for Debian's strongSwan with its userspace ESP.
type Charon struct{}

// Name implements Adapter.
func (Charon) Name() string { return "strongSwan" }

const charonConnection = `%NAME% {
    version = 2
    local_addrs = %ADDR%
    remote_addrs = %PEER%
    proposals = %PROPOSALS%
    unique = never
    mobike = %MOBIKE%
    fragmentation = yes
    dpd_delay = %DPD%
    rekey_time = %LIFEIKE%
    over_time = 60s
    rand_time = 0
%MORE%
    local {
      auth = psk
      id = %ID%
    }
    remote {
      auth = psk
      id = %PEERID%
    }
    children {
      %NAME%-lan {
        local_ts = %TS%
        remote_ts = %PEERTS%
        esp_proposals = %ESP%
        rekey_time = %LIFECHILD%
        life_time = 1h
        rand_time = 0
        updown =
      }
%SECOND%
    }
  }
`

const charonSecond = `      %NAME%-second {
        local_ts = %TS%
        remote_ts = %PEERTS%
        esp_proposals = %ESP%
        rekey_time = 0
      }
`

// Start implements Adapter.
func (Charon) Start(ctx context.Context, place Place, s Settings, all []Connection) (Daemon, error) {
	if why := charonLacks(s); why != "" {
		return nil, fmt.Errorf("%w: %s", ErrCannot, why)
	}
	root, err := lab.Unpack(lab.StrongSwanPackages, os.Stderr)
	if err != nil {
		return nil, err
	}
	var connections, secrets strings.Builder
	for _, c := range all {
		second := ""
		if s.TwoChildren {
			second = charonFill(charonSecond, place, s, c, "TS", SecondTS)
		}
		connections.WriteString("  " + charonFill(charonConnection, place, s, c, "SECOND", second))
		fmt.Fprintf(&secrets, "  ike-%s {\n    id = %s\n    secret = 0x%s\n  }\n", c.Name, charonID(c.PeerID), hex.EncodeToString([]byte(c.Key)))
	}
	conf := "connections {\n" + connections.String() + "}\nsecrets {\n" + secrets.String() + "}\npools {\n  p {\n    addrs = " + PoolNet + "\n    dns = " + PoolDNS + "\n  }\n}\n"
	if err := os.MkdirAll(place.Dir, 0o700); err != nil {
		return nil, err
	}
	swan, err := lab.StartStrongSwan(ctx, place.NS, root, place.Dir, conf, lab.Charon{Settings: charonGlobal(s)})
	if err != nil {
		return nil, err
	}
	return charon{swan}, nil
}

func charonFill(template string, place Place, s Settings, c Connection, more ...string) string {
	proposals, esp, ts := "aes256gcm16-prfsha256-x25519-ecp256-modp2048,aes256-sha256-x25519-ecp256-modp2048", "aes256gcm16-aes128gcm16-x25519-ecp256-modp2048,aes256gcm16-aes128gcm16", DaemonTS
	if c.MODPFirst {
		proposals = "aes256-sha256-modp2048-x25519"
	}
	if len(c.Selectors) > 0 {
		ts = strings.Join(c.Selectors, ", ")
	}
	mobike := "no"
	if s.MOBIKE {
		mobike = "yes"
	}
	var extra string
	if s.Childless != "" {
		extra += "    childless = " + s.Childless + "\n"
	}
	peerTS := c.PeerTS
	if s.Pool {
		peerTS = "dynamic"
		extra += "    pools = p\n"
	}
	if s.AskAddress {
		ts = "dynamic"
		extra += "    vips = 0.0.0.0\n"
	}
	return lab.Fill(template, append(more, "NAME", c.Name, "ADDR", place.Addr.String(), "PEER", c.Peer.String(), "PROPOSALS", proposals, "ESP", esp,
		"MOBIKE", mobike, "DPD", s.Liveness.String(), "LIFEIKE", s.LifeIKE.String(), "LIFECHILD", s.LifeChild.String(), "ID", DaemonID,
		"PEERID", charonID(c.PeerID), "TS", ts, "PEERTS", peerTS, "MORE", extra)...)
}

func charonID(i Identity) string {
	if i.Kind == peer.IDKeyID {
		return "keyid:" + i.String()
	}
	return i.String()
}

func charonLacks(s Settings) string {
	switch {
	case s.IKEv1 != "":
		return "IKEv1, for want of an adapter that configures it"
	case s.Window != 0:
		return "windows above one"
	case s.Transport:
		return "transport mode with userspace ESP"
	case s.PoolMust:
		return "to insist on CP"
	case s.Redirect != "":
		return "to redirect clients without a plugin that decides"
	case s.Kept:
		return "to try again soon"
	case s.Certified:
		return "certificates, for want of an adapter that configures them"
	case s.Reauth != 0:
		return "AUTH_LIFETIME in seconds that a case can wait for"
	}
	return ""
}

// charonGlobal is what settings change in strongswan.conf.
func charonGlobal(s Settings) string {
	b := "threads = 64\n  block_threshold = 0\n  cookie_threshold_ip = 0\n  retransmit_base = 2\n"
	retransmit, tries := s.Retransmit, s.Tries
	if retransmit == 0 {
		retransmit = longPause
	}
	if tries == 0 {
		tries = 5
	}
	b += fmt.Sprintf("  retransmit_timeout = %.3f\n  retransmit_tries = %d\n", retransmit.Seconds(), tries)
	if !s.Follow {
		b += "  follow_redirects = no\n"
	}
	if s.Cookies {
		b += "  cookie_threshold = 1\n"
	}
	if s.Keepalive != 0 {
		b += fmt.Sprintf("  keep_alive = %ds\n", int(s.Keepalive.Seconds()))
	}
	if s.HalfOpen != 0 {
		b += fmt.Sprintf("  half_open_timeout = %d\n", int(s.HalfOpen.Seconds()))
	}
	if s.Fragments != 0 {
		b += fmt.Sprintf("  fragment_size = %d\n", s.Fragments)
	}
	return b
}

// charon is a daemon that runs.
type charon struct{ *lab.StrongSwan }

// Order implements Daemon.
func (d charon) Order(ctx context.Context, o Order, connection string) error {
	args := map[Order][]string{
		Up:         {"--initiate", "--child", connection + "-lan"},
		UpSecond:   {"--initiate", "--child", connection + "-second"},
		Down:       {"--terminate", "--ike", connection},
		DownChild:  {"--terminate", "--child", connection + "-lan"},
		RekeyIKE:   {"--rekey", "--ike", connection},
		RekeyChild: {"--rekey", "--child", connection + "-lan"},
	}[o]
	if args == nil {
		return fmt.Errorf("%w %s", ErrCannot, o)
	}
	if o != RekeyIKE && o != RekeyChild {
		args = append(args, "--timeout", "-1") // do not wait
	}
	go func() { _, _ = d.Swanctl(context.WithoutCancel(ctx), args...) }()
	return nil
}

// Count implements Daemon.
func (d charon) Count(ctx context.Context, connection string) (ike, child int, err error) {
	out, err := d.Swanctl(ctx, "--list-sas", "--noblock", "--ike", connection)
	if err != nil {
		return 0, 0, fmt.Errorf("protocol: swanctl --list-sas: %w: %s", err, out)
	}
	for line := range strings.Lines(out) {
		switch {
		case strings.HasPrefix(line, connection+":") && strings.Contains(line, " ESTABLISHED,"):
			ike++
		case strings.HasPrefix(line, "  "+connection+"-") && (strings.Contains(line, " INSTALLED,") || strings.Contains(line, " REKEYED,")):
			child++
		}
	}
	return ike, child, nil
}

// Load implements Daemon.
func (d charon) Load(ctx context.Context) (l Load, err error) {
	out, err := d.Swanctl(ctx, "--list-sas", "--noblock")
	for line := range strings.Lines(out) {
		if strings.Contains(line, ": #") { // the number of an IKE SA or a child
			l.SAs++
		}
	}
	return l, err
}

// Told implements Daemon.
func (charon) Told(context.Context, string, string) (bool, error) {
	return false, fmt.Errorf("%w: events by the names of ours", ErrCannot)
}

// Log implements Daemon.
func (d charon) Log() string { return d.StrongSwan.Log() }

// Stop implements Daemon.
func (d charon) Stop() error {
	d.StrongSwan.Stop()
	return nil
}
