package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// StrongSwan is a charon in a namespace.
type StrongSwan struct{ daemon }

// Charon is how a charon is to be.
type Charon struct {
	// KernelESP takes the kernel's own ESP. Otherwise charon does it itself (kernel-libipsec), which encapsulates in UDP
	// always and does tunnel mode only.
	KernelESP bool
	Quiet     bool     // it logs nothing, for measurements
	Plugins   string   // more plugins: "xauth-generic"
	Settings  string   // more lines of its section in strongswan.conf
	Files     []string // below its folder, name and content in turn: certificates and keys in swanctl's folders
}

// charonPlugins is explicit because a list starts three times faster than Debian's own. kernel-libipsec must come
// before kernel-netlink.
const (
	charonPlugins = "random nonce openssl drbg aes des sha1 sha2 md5 hmac kdf gmp curve25519 gcm ctr chapoly " +
		"pem pkcs1 pkcs8 pubkey x509 %LIBIPSEC% kernel-netlink socket-default vici updown attr %PLUGINS%"
	userspaceESP = "kernel-libipsec"
)

const charonConfig = `charon-systemd {
  load = ` + charonPlugins + `
  install_routes = yes
  retransmit_tries = 3
  retransmit_timeout = 1.0
  %SETTINGS%
  filelog {
    f {
      path = %DIR%/charon.log
      default = 1
      ike = 2
      cfg = 2
      flush_line = yes
    }
  }
  journal { default = -1 }
  plugins {
    vici { socket = unix://%DIR%/vici }
  }
}
swanctl { load = random nonce openssl pem pkcs1 pkcs8 x509 pubkey }
`

// swanctl looks for these folders and complains without them.
var swanctlFolders = []string{"x509", "x509ca", "x509ocsp", "x509aa", "x509ac", "x509crl", "pubkey", "private", "rsa", "ecdsa", "pkcs8", "pkcs12", "bliss"}

// StartStrongSwan starts charon in ns with the connections of swanctlConf. dir is its folder, empty and below /tmp or
// another place outside /usr and /etc. ctx bounds the start; charon runs until Stop or Kill.
func StartStrongSwan(ctx context.Context, ns *Namespace, root Root, dir, swanctlConf string, how Charon) (*StrongSwan, error) {
	s := &StrongSwan{daemon{Dir: dir, name: "charon", logFile: "charon.log", root: root}}
	if err := s.files(swanctlConf, how); err != nil {
		return nil, err
	}
	if err := s.start(ns, s.command(context.WithoutCancel(ctx), "/usr/sbin/charon-systemd")); err != nil {
		return nil, err
	}
	if err := s.wait(ctx, "start charon", s.listens); err != nil {
		s.Stop()
		return nil, err
	}
	if out, err := s.Swanctl(ctx, "--load-all"); err != nil {
		s.Stop()
		return nil, fmt.Errorf("lab: swanctl --load-all: %w: %s", err, out)
	}
	return s, nil
}

// PID returns the process of the daemon.
func (s *StrongSwan) PID() int { return s.process.Pid }

// listens reports whether charon takes commands. That its socket is there is not enough: it is bound first, and listens later.
func (s *StrongSwan) listens() bool {
	conn, err := net.Dial("unix", s.path("vici"))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (s *StrongSwan) files(swanctlConf string, how Charon) error {
	for _, folder := range swanctlFolders {
		if err := os.MkdirAll(s.path(folder), 0o700); err != nil {
			return err
		}
	}
	esp := userspaceESP
	if how.KernelESP {
		esp = ""
	}
	levels := "default = 1\n    ike = 2\n    cfg = 2"
	if how.Quiet {
		levels = "default = -1"
	}
	config := Fill(charonConfig, "LEVELS", levels, "LIBIPSEC", esp, "DIR", s.Dir, "PLUGINS", how.Plugins, "SETTINGS", how.Settings)
	return s.write(append([]string{"strongswan.conf", config, "swanctl.conf", swanctlConf}, how.Files...)...)
}

func (s *StrongSwan) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := s.root.Command(ctx, program, args...)
	cmd.Env = append(os.Environ(), "STRONGSWAN_CONF="+s.path("strongswan.conf"), "SWANCTL_DIR="+s.Dir)
	return cmd
}

// Swanctl runs one command of swanctl and returns what it printed.
func (s *StrongSwan) Swanctl(ctx context.Context, args ...string) (string, error) {
	cmd := s.command(ctx, "/usr/sbin/swanctl", append(args, "--uri", "unix://"+filepath.Join(s.Dir, "vici"))...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
