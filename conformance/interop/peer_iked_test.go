package interop

import (
	"context"
	"regexp"
	"strings"

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
  %LIFETIMES% \
  %AUTH% %INNER%
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
		"DPD", seconds(c.liveness), "MODE", "passive", "GLOBAL", "", "INNER", "", "TMODE", choose(c.transport, "transport", "tunnel")}
	own = append(own, "AUTH", choose(c.own == nil, `psk "%SECRET%"`, ""))
	// It replaces at 85 to 95 % of a lifetime, and at its end the kernel takes a child SA away, whether there is another or not.
	own = own.with("LIFETIMES", choose(c.rekeysIKE, "ikelifetime 10", "ikelifetime 0")+" "+choose(c.rekeysChild, "lifetime 20", "lifetime 3h"))
	if c.esn {
		own = own.with("ESP", "childsa "+ikedDefaultESP+" esn")
	}
	switch {
	case c.gives:
		own, values = own.with("INNER", "config address "+innerPool), values.with("PEERNET", "dynamic")
	case c.asks:
		own, values = own.with("INNER", "request address any iface lan"), values.with("NET", "0.0.0.0/0") // it puts "dynamic" on the wire as 0.0.0.0
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
	conf := strings.ReplaceAll(lab.Fill(lab.Fill(ikedConf, own...), append(values, own...)...), "ikesa=", "ikesa ")
	peer, err := lab.StartOpenIKED(ctx, s.west, root, dir, conf, c.own)
	if err != nil {
		return nil, err
	}
	return iked{peer}, nil
}

// ikedDefaultESP is the best that works: on Linux iked makes its SAs by PF_KEY, and refuses HMAC-SHA2-256 and AES-GCM for ESP.
const ikedDefaultESP = "auth hmac-sha2-512 enc aes-256"

// Up has it begin; ikectl does not wait, as it should not for the other things that it is told.
func (p iked) Up(ctx context.Context) error      { return said(p.Ikectl(ctx, "active")) }
func (p iked) UpSecond(context.Context) error    { return unable("no command to make a child SA") }
func (p iked) UpBoth(context.Context) error      { return unable("no command to make a child SA") }
func (p iked) DownChild(context.Context) error   { return unable("no command to delete a child SA") }
func (p iked) DownIKE(ctx context.Context) error { return said(p.Ikectl(ctx, "reset", "sa")) }
func (p iked) RekeyChild(context.Context) error  { return nil } // by itself, in time
func (p iked) RekeyIKE(context.Context) error    { return nil } // likewise
func (p iked) Reauth(context.Context) error      { return unable("no command for reauthentication") }

func (p iked) IKESAs(ctx context.Context) int {
	list, _ := p.Ikectl(ctx, "show", "sa")
	return len(ikedSA.FindAllString(list, -1))
}

// ikedSA is the line of an established IKE SA, which other tables of the list repeat.
var ikedSA = regexp.MustCompile(`(?m)^iked_sas: .* ESTABLISHED `)
