package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// VPNC is a client of Cisco's VPN concentrators in a namespace: aggressive mode with a group's pre-shared key, XAUTH, mode configuration
// with Unity's attributes, and its own ESP over a TUN device.
type VPNC struct{ daemon }

// vpncScript takes the place of Debian's script: it gives the device its address, and routes what the server protects there. Nothing of
// the machine's own settings is touched.
const vpncScript = `#!/bin/sh
env | grep -E '^(reason|TUNDEV|INTERNAL|CISCO)' >> %DIR%/environment
[ "$reason" = connect ] || exit 0
ip link set "$TUNDEV" up mtu 1390
ip addr add "$INTERNAL_IP4_ADDRESS/32" dev "$TUNDEV"
ip route add "$CISCO_SPLIT_INC_0_ADDR/$CISCO_SPLIT_INC_0_MASKLEN" dev "$TUNDEV"
echo done > %DIR%/connected
`

// StartVPNC starts vpnc in ns with conf, in which the script and the file of its process ID are added, and waits until it is connected.
func StartVPNC(ctx context.Context, ns *Namespace, root Root, dir, conf string) (*VPNC, error) {
	v := &VPNC{daemon{Dir: dir, name: "vpnc", logFile: "stderr", root: root}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte(Fill(vpncScript, "DIR", dir)), 0o700); err != nil {
		return nil, err
	}
	conf += "Script " + script + "\nPidfile " + filepath.Join(dir, "pid") + "\n"
	if err := v.write("vpnc.conf", conf); err != nil {
		return nil, err
	}
	cmd := root.Command(context.WithoutCancel(ctx), "/usr/sbin/vpnc", "--no-detach", "--non-inter", "--debug", "1", v.path("vpnc.conf"))
	if err := v.start(ns, cmd); err != nil {
		return nil, err
	}
	if err := v.wait(ctx, "connect", func() bool { return v.exists("connected") }); err != nil {
		v.Kill()
		return nil, err
	}
	return v, nil
}

// Environment returns what vpnc told its script.
func (v *VPNC) Environment() string {
	b, _ := os.ReadFile(v.path("environment"))
	return strings.TrimSpace(string(b))
}
