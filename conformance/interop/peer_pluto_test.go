package interop

import (
	"context"
	"fmt"
	"regexp"

	"github.com/parley-ike/parley/conformance/interop/lab"
)

// plutoConn is a connection of ipsec.conf. left is always the peer itself.
const plutoConn = `
conn %NAME%
	left=%WAN%
	leftid=@%ID%
	%SUBNETS%
	right=%PEERWAN%
	rightid=@%PEERID%
	%AUTH%
	auto=ignore
	%VERSION%
	retransmit-interval=500
	retransmit-timeout=%PATIENCE%
	%LIVENESS%
	%IKE%
	%ESP%
`

type pluto struct {
	*lab.Libreswan
	ikev1 bool
}

func startPluto(ctx context.Context, s *site, root lab.Root, dir string, values settings, c terms) (peer, error) {
	own := settings{"WAN", s.westWAN, "IKE", line("ike", c.plutoIKE), "ESP", line("esp", c.plutoESP), "LIVENESS", "",
		"VERSION", "ikev2=insist\n\tfragmentation=force\n\tmobike=" + choose(c.mobike, "yes", "no") + "\n\tnarrowing=yes\n\tesn=" + choose(c.esn, "yes", "either"), "SUBNETS", "leftsubnet=%NET%\n\trightsubnet=%PEERNET%"}
	own = append(own, "AUTH", "authby=secret", "PATIENCE", choose(c.own == nil, "10", "30")) // signatures take long on a busy guest
	if c.own != nil {                                                                        // rsasig is RSA with SHA-1 or RSASSA-PSS, the choice is left to it
		own = own.with("AUTH", choose(c.ecdsa, "authby=ecdsa", "authby=rsasig")+"\n\tleftcert=own\n\tleftsendcert=always")
	}
	if c.childless && c.begins {
		return nil, unable("it has no childless initiation")
	}
	switch {
	case c.gives:
		own = own.with("SUBNETS", "leftsubnet=%NET%\n\tleftmodecfgserver=yes\n\trightmodecfgclient=yes\n\trightaddresspool=10.9.0.10-10.9.0.20")
	case c.asks:
		own = own.with("SUBNETS", "leftmodecfgclient=yes\n\trightmodecfgserver=yes\n\tmodecfgpull=yes\n\tleftsubnet=0.0.0.0/0\n\trightsubnet=%PEERNET%")
	}
	if c.ikev1 {
		own = own.with("VERSION", "ikev2=no\n\taggressive="+choose(c.aggressive, "yes", "no")+"\n\tpfs="+choose(c.pfs, "yes", "no")+rekeysSoon(c))
	}
	if c.transport {
		own = own.with("SUBNETS", "type=transport")
	}
	if c.liveness != 0 {
		own = own.with("LIVENESS", fmt.Sprintf("dpddelay=%s\n\tdpdtimeout=%s\n\tdpdaction=clear", seconds(c.liveness), seconds(5*c.liveness)))
	}
	if c.anyAddress {
		values = values.with("PEERWAN", "%any")
	}
	setup := ""
	if c.cookies {
		setup = "ddos-mode=busy"
	}
	if c.ikev1 {
		setup = "ikev1-policy=accept"
	}
	plutoConn := lab.Fill(plutoConn, own...) // what is filled in holds names, too
	conns, names := lab.Fill(plutoConn, values.with("NAME", "lan")...), []string{"lan"}
	if c.second {
		conns += lab.Fill(plutoConn, values.with("NAME", "dmz").with("NET", dmzNets[1]).with("PEERNET", dmzNets[0])...)
		names = append(names, "dmz")
	}
	peer, err := lab.StartLibreswan(ctx, s.west, root, dir, setup, conns, lab.Fill("@%ID% @%PEERID% : PSK \"%SECRET%\"\n", values...), c.own)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := peer.Add(ctx, name); err != nil {
			peer.Stop()
			return nil, said(peer.Log(), err)
		}
	}
	return pluto{peer, c.ikev1}, nil
}

// rekeysSoon has SAs of IKEv1 replaced after some seconds, for whack does not. It keeps an IPsec SA until its end, so that there are two
// for a while.
func rekeysSoon(c terms) string {
	switch {
	case c.rekeysChild:
		return "\n\trekeyfuzz=0%\n\trekeymargin=45s\n\tsalifetime=60s"
	case c.rekeysIKE:
		return "\n\trekeyfuzz=0%\n\trekeymargin=10s\n\tikelifetime=20s"
	}
	return ""
}

// line is a line of ipsec.conf, none without a value.
func line(key, value string) string {
	if value == "" {
		return ""
	}
	return key + "=" + value
}

func (p pluto) do(ctx context.Context, args ...string) error { return said(p.Whack(ctx, args...)) }

func (p pluto) Up(ctx context.Context) error       { return p.do(ctx, "--initiate", "--name", "lan") }
func (p pluto) UpSecond(ctx context.Context) error { return p.do(ctx, "--initiate", "--name", "dmz") }
func (p pluto) UpBoth(ctx context.Context) error {
	if err := p.do(ctx, "--initiate", "--asynchronous", "--name", "lan"); err != nil {
		return err
	}
	return p.UpSecond(ctx)
}
func (p pluto) DownIKE(ctx context.Context) error { return p.do(ctx, "--terminate", "--name", "lan") }
func (p pluto) RekeyChild(ctx context.Context) error {
	if p.ikev1 { // see rekeysSoon
		return nil
	}
	return p.do(ctx, "--rekey-ipsec", "--name", "lan")
}
func (p pluto) RekeyIKE(ctx context.Context) error {
	if p.ikev1 {
		return nil
	}
	return p.do(ctx, "--rekey-ike", "--name", "lan")
}
func (p pluto) Reauth(context.Context) error { return unable("no command for reauthentication") }

// childState is a line of whack --showstates about a child SA, ikeState one about an IKE SA. Of IKEv1 they have the names of its
// states, the last of main, aggressive and quick mode.
var (
	childState = regexp.MustCompile(`#(\d+): "lan".*(ESTABLISHED_CHILD_SA|STATE_QUICK_[IR]2)`)
	ikeState   = regexp.MustCompile(`ESTABLISHED_IKE_SA|STATE_MAIN_(I4|R3)|STATE_AGGR_[IR]2`)
)

// DownChild deletes by number, for whack has no name for the child SA alone.
func (p pluto) DownChild(ctx context.Context) error {
	list, err := p.Whack(ctx, "--showstates")
	if err != nil {
		return said(list, err)
	}
	found := childState.FindStringSubmatch(list)
	if found == nil {
		return fmt.Errorf("no child SA in %s", list)
	}
	return p.do(ctx, "--deletestate", found[1])
}

func (p pluto) IKESAs(ctx context.Context) int {
	list, _ := p.Whack(ctx, "--showstates")
	return len(ikeState.FindAllString(list, -1))
}
