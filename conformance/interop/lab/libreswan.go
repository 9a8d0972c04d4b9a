package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Libreswan is a pluto in a namespace. It needs a kernel with ESP.
type Libreswan struct{ daemon }

// plutoSetup is what every ipsec.conf here begins with. It sends only to itself what it would resolve.
const plutoSetup = `config setup
	logfile=%DIR%/pluto.log
	logtime=no
	uniqueids=no
	dnssec-enable=no
	virtual-private=
	%SETUP%
`

// StartLibreswan starts pluto in ns with the connections of conns, in the form of ipsec.conf, more lines for its section
// "config setup", and the text of its ipsec.secrets. own, unless nil, is imported with the nickname "own". dir is its folder, empty
// and outside /usr, /etc and /run. ctx bounds the start; pluto runs until Stop or Kill.
func StartLibreswan(ctx context.Context, ns *Namespace, root Root, dir, setup, conns, secrets string, own *Identity) (*Libreswan, error) {
	l := &Libreswan{daemon{Dir: dir, name: "pluto", logFile: "pluto.log", root: root}}
	for _, folder := range []string{"nss", "run"} {
		if err := os.MkdirAll(l.path(folder), 0o700); err != nil {
			return nil, err
		}
	}
	config := Fill(plutoSetup, "DIR", dir, "SETUP", setup) + conns
	if err := l.write("ipsec.conf", config, "ipsec.secrets", secrets); err != nil {
		return nil, err
	}
	// pluto wants a key database even for pre-shared keys.
	if out, err := l.command(ctx, "certutil", "-N", "-d", "sql:"+l.path("nss"), "--empty-password").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("lab: certutil: %w: %s", err, out)
	}
	if err := l.importOwn(ctx, own); err != nil {
		return nil, err
	}
	cmd := l.command(context.WithoutCancel(ctx), "/usr/libexec/ipsec/pluto", "--nofork", "--config", l.path("ipsec.conf"),
		"--secretsfile", l.path("ipsec.secrets"), "--nssdir", l.path("nss"), "--rundir", l.path("run"), "--nhelpers", "0")
	if err := l.start(ns, cmd); err != nil {
		return nil, err
	}
	if err := l.serve(ctx); err != nil {
		l.Stop()
		return nil, err
	}
	return l, nil
}

// importOwn puts a certificate, its key and its authority into pluto's database, which takes keys as PKCS #12 alone.
func (l *Libreswan) importOwn(ctx context.Context, own *Identity) error {
	if own == nil {
		return nil
	}
	if err := l.write("own.pem", own.Cert, "own.key", own.Key, "ca.pem", own.CA); err != nil {
		return err
	}
	nss := "sql:" + l.path("nss")
	for _, args := range [][]string{
		{"openssl", "pkcs12", "-export", "-in", l.path("own.pem"), "-inkey", l.path("own.key"), "-name", "own", "-passout", "pass:lab", "-out", l.path("own.p12")},
		{"pk12util", "-i", l.path("own.p12"), "-d", nss, "-W", "lab", "-K", ""},
		{"certutil", "-A", "-n", "ca", "-t", "CT,,", "-d", nss, "-i", l.path("ca.pem")},
	} {
		if out, err := l.command(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("lab: %s: %w: %s", args[0], err, out)
		}
	}
	return nil
}

// serve waits for pluto's socket, and has it read its secrets and listen.
func (l *Libreswan) serve(ctx context.Context) error {
	if err := l.wait(ctx, "start pluto", func() bool { return l.exists("run/pluto.ctl") }); err != nil {
		return err
	}
	if out, err := l.Whack(ctx, "--listen"); err != nil {
		return fmt.Errorf("lab: whack --listen: %w: %s", err, out)
	}
	return nil
}

// Add loads a connection of the configuration.
func (l *Libreswan) Add(ctx context.Context, name string) error {
	out, err := l.command(ctx, "/usr/libexec/ipsec/addconn", "--config", l.path("ipsec.conf"), "--ctlsocket", l.path("run/pluto.ctl"), name).CombinedOutput()
	if err != nil {
		return fmt.Errorf("lab: addconn %s: %w: %s", name, err, out)
	}
	return nil
}

// Whack gives pluto one command and returns what it printed.
func (l *Libreswan) Whack(ctx context.Context, args ...string) (string, error) {
	out, err := l.command(ctx, "/usr/libexec/ipsec/whack", append([]string{"--ctlsocket", l.path("run/pluto.ctl")}, args...)...).CombinedOutput()
	return string(out), err
}

func (l *Libreswan) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	return l.root.Command(ctx, program, args...)
}
