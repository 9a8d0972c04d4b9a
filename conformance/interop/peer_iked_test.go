package interop

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

const ikedConf = `%GLOBAL%
set nomobike
set fragmentation
set dpd_check_interval %DPD%
ikev2 "lan" %MODE% %TMODE% esp from %NET% to %PEERNET% \
  local %WAN% peer %PEERWAN% \
  %IKE% \
  %ESP% \
  srcid %ID% dstid %PEERID% \
  psk "%SECRET%"
`

type iked struct{ *lab.OpenIKED }

func startIked(ctx context.Context, s *site, root lab.Root, dir string, values settings, c terms) (peer, error) {
	if c.cookies {
		return nil, unable("it never asks for a cookie")
	}
	if c.childless {
		return nil, unable("it has no childless initiation")
	}
	own := settings{"WAN", s.westWAN, "IKE", orDefault(line("ikesa", c.ikedIKE), "\\"), "ESP", "childsa " + orDefault(c.ikedESP, ikedDefaultESP),
		"DPD", seconds(c.liveness), "MODE", "passive", "GLOBAL", "", "TMODE", choose(c.transport, "transport", "tunnel")}
	if c.esn {
		own = own.with("ESP", "childsa "+ikedDefaultESP+" esn")
	}
	if c.transport {
		values = values.with("NET", s.westWAN).with("PEERNET", s.eastWAN)
	}
	if c.begins {
		own = own.with("MODE", "active").with("GLOBAL", "set passive")
	}
	if c.anyAddress {
		values = values.with("PEERWAN", "any")
	}
	conf := strings.ReplaceAll(lab.Fill(ikedConf, append(values, own...)...), "ikesa=", "ikesa ")
	peer, err := lab.StartOpenIKED(ctx, s.west, root, dir, conf)
	if err != nil {
		return nil, err
	}
	return iked{peer}, nil
}

// ikedDefaultESP is the best that works: on Linux iked makes its SAs by PF_KEY, and refuses HMAC-SHA2-256 and AES-GCM for ESP.
const ikedDefaultESP = "auth hmac-sha2-512 enc aes-256"

// Up has it begin, and waits, since ikectl does not.
func (p iked) Up(ctx context.Context) error {
	if out, err := p.Ikectl(ctx, "active"); err != nil {
		return said(out, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	for p.IKESAs(ctx) == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

func (p iked) UpSecond(context.Context) error    { return unable("no command to make a child SA") }
func (p iked) DownChild(context.Context) error   { return unable("no command to delete a child SA") }
func (p iked) DownIKE(ctx context.Context) error { return said(p.Ikectl(ctx, "reset", "sa")) }
func (p iked) RekeyChild(context.Context) error  { return unable("no command to rekey") }
func (p iked) RekeyIKE(context.Context) error    { return unable("no command to rekey") }
func (p iked) Reauth(context.Context) error      { return unable("no command for reauthentication") }

func (p iked) IKESAs(ctx context.Context) int {
	list, _ := p.Ikectl(ctx, "show", "sa")
	return len(ikedSA.FindAllString(list, -1))
}

// ikedSA is the line of an established IKE SA, which other tables of the list repeat.
var ikedSA = regexp.MustCompile(`(?m)^iked_sas: .* ESTABLISHED `)
