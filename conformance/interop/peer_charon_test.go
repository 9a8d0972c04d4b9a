package interop

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

const charonConf = `connections {
  east {
    version = %VERSION%
    aggressive = %AGGRESSIVE%
    local_addrs = %WAN%
    remote_addrs = %PEERWAN%
    proposals = %IKE%
    mobike = %MOBIKE%
    childless = %CHILDLESS%
    %INNER%
    %PULL%
    dpd_delay = %DPD%
    local {
      %AUTH%
      id = %ID%
    }
    remote {
      auth = %PEERAUTH%
      id = %PEERID%
    }
    children {
      lan {
        mode = %MODE%
        local_ts = %NET%
        remote_ts = %PEERNET%
        esp_proposals = %ESP%
      }
      %SECOND%
    }
  }
}
pools {
  inner { addrs = %POOL% }
}
secrets {
  ike-east { secret = "%SECRET%" }
}
`

type charon struct{ *lab.StrongSwan }

func startCharon(ctx context.Context, s *site, root lab.Root, dir string, values settings, c terms) (peer, error) {
	own := settings{"WAN", s.westWAN, "IKE", orDefault(c.charonIKE, "default"), "ESP", orDefault(c.charonESP, "default"), "DPD", seconds(c.liveness),
		"MOBIKE", choose(c.mobike, "yes", "no"), "SECOND", "", "VERSION", choose(c.ikev1, "1", "2"), "AGGRESSIVE", choose(c.aggressive, "yes", "no"),
		"CHILDLESS", choose(c.childless && c.begins, "force", "allow"), "INNER", "", "PULL", "", "POOL", innerPool, "MODE", choose(c.transport, "transport", "tunnel")}
	how := lab.Charon{KernelESP: !c.userspace}
	own = append(own, "AUTH", "auth = psk", "PEERAUTH", "psk")
	if c.own != nil {
		own = own.with("AUTH", "auth = pubkey\n certs = own.pem").with("PEERAUTH", "pubkey")
		how.Files = []string{"x509/own.pem", c.own.Cert, "private/own.pem", c.own.Key, "x509ca/ca.pem", c.own.CA}
	}
	if c.second {
		own = own.with("SECOND", fmt.Sprintf("dmz {\n local_ts = %s\n remote_ts = %s\n esp_proposals = %s\n }", dmzNets[1], dmzNets[0], orDefault(c.charonESP, "default")))
	}
	if c.anyAddress {
		values = values.with("PEERWAN", "%any")
	}
	if c.transport {
		values = values.with("NET", "dynamic").with("PEERNET", "dynamic")
	}
	switch {
	case c.gives:
		own, values = own.with("INNER", "pools = inner"), values.with("PEERNET", "dynamic")
	case c.asks:
		own, values = own.with("INNER", "vips = 0.0.0.0"), values.with("NET", "dynamic")
	}
	if c.pushes {
		own = own.with("PULL", "pull = no")
	}
	if c.esn {
		own = own.with("ESP", "aes256gcm16-esn")
	}
	if c.aggressive {
		how.Settings = "i_dont_care_about_security_and_use_aggressive_mode_psk = yes"
	}
	if c.longNames {
		how.Settings = "fragment_size = 400"
	}
	if c.cookies {
		how.Settings += "\ncookie_threshold = 1" // half-open SAs before it asks: one
	}
	peer, err := lab.StartStrongSwan(ctx, s.west, root, dir, lab.Fill(charonConf, append(values, own...)...), how)
	if err != nil {
		return nil, err
	}
	return charon{peer}, nil
}

func (p charon) do(ctx context.Context, args ...string) error {
	return said(p.Swanctl(ctx, append(args, "--timeout", "20")...))
}

func (p charon) Up(ctx context.Context) error       { return p.do(ctx, "--initiate", "--child", "lan") }
func (p charon) UpSecond(ctx context.Context) error { return p.do(ctx, "--initiate", "--child", "dmz") }
func (p charon) UpBoth(ctx context.Context) error {
	lan := make(chan error, 1)
	go func() { lan <- p.Up(ctx) }()
	return errors.Join(p.UpSecond(ctx), <-lan)
}
func (p charon) DownChild(ctx context.Context) error {
	return p.do(ctx, "--terminate", "--child", "lan")
}
func (p charon) DownIKE(ctx context.Context) error { return p.do(ctx, "--terminate", "--ike", "east") }
func (p charon) RekeyChild(ctx context.Context) error {
	return said(p.Swanctl(ctx, "--rekey", "--child", "lan"))
}
func (p charon) RekeyIKE(ctx context.Context) error {
	return said(p.Swanctl(ctx, "--rekey", "--ike", "east"))
}
func (p charon) Reauth(ctx context.Context) error {
	return said(p.Swanctl(ctx, "--rekey", "--ike", "east", "--reauth"))
}

func (p charon) IKESAs(ctx context.Context) int {
	list, _ := p.Swanctl(ctx, "--list-sas")
	return strings.Count(list, "ESTABLISHED")
}
