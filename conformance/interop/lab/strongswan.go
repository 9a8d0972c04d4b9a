package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// StrongSwan is a charon with its userspace ESP plugin (kernel-libipsec) in a namespace. It encapsulates ESP in UDP
// always and does tunnel mode only.
type StrongSwan struct {
	Dir    string // configuration, log and control socket
	root   Root
	daemon *exec.Cmd
	ended  chan error
}

// charonPlugins is explicit because a list starts three times faster than Debian's own. kernel-libipsec must come
// before kernel-netlink.
const charonPlugins = "random nonce openssl drbg aes des sha1 sha2 md5 hmac kdf gmp curve25519 gcm ctr chapoly " +
	"pem pkcs1 pkcs8 pubkey x509 kernel-libipsec kernel-netlink socket-default vici updown"

const charonConfig = `charon-systemd {
  load = %s
  install_routes = yes
  retransmit_tries = 3
  retransmit_timeout = 1.0
  filelog {
    f {
      path = %s/charon.log
      default = 1
      ike = 2
      cfg = 2
      flush_line = yes
    }
  }
  journal { default = -1 }
  plugins {
    vici { socket = unix://%s/vici }
  }
}
swanctl { load = random nonce openssl pem pkcs1 pkcs8 x509 pubkey }
`

// swanctl looks for these folders and complains without them.
var swanctlFolders = []string{"x509", "x509ca", "x509ocsp", "x509aa", "x509ac", "x509crl", "pubkey", "private", "rsa", "ecdsa", "pkcs8", "pkcs12", "bliss"}

// StartStrongSwan starts charon in ns with the connections of swanctlConf. dir is its folder, empty and below /tmp or
// another place outside /usr and /etc. ctx bounds the start; charon runs until Stop.
func StartStrongSwan(ctx context.Context, ns *Namespace, root Root, dir, swanctlConf string) (*StrongSwan, error) {
	s := &StrongSwan{Dir: dir, root: root, ended: make(chan error, 1)}
	if err := s.write(swanctlConf); err != nil {
		return nil, err
	}
	s.daemon = s.command(context.WithoutCancel(ctx), "/usr/sbin/charon-systemd")
	if err := ns.Start(s.daemon); err != nil {
		return nil, fmt.Errorf("lab: start charon: %w", err)
	}
	go func() { s.ended <- s.daemon.Wait() }()
	if err := s.waitForSocket(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	if out, err := s.Swanctl(ctx, "--load-all"); err != nil {
		s.Stop()
		return nil, fmt.Errorf("lab: swanctl --load-all: %w: %s", err, out)
	}
	return s, nil
}

func (s *StrongSwan) write(swanctlConf string) error {
	for _, folder := range swanctlFolders {
		if err := os.MkdirAll(filepath.Join(s.Dir, folder), 0o700); err != nil {
			return err
		}
	}
	config := fmt.Sprintf(charonConfig, charonPlugins, s.Dir, s.Dir)
	if err := os.WriteFile(filepath.Join(s.Dir, "strongswan.conf"), []byte(config), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.Dir, "swanctl.conf"), []byte(swanctlConf), 0o600)
}

func (s *StrongSwan) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := s.root.Command(ctx, program, args...)
	cmd.Env = append(os.Environ(), "STRONGSWAN_CONF="+filepath.Join(s.Dir, "strongswan.conf"), "SWANCTL_DIR="+s.Dir)
	return cmd
}

func (s *StrongSwan) waitForSocket(ctx context.Context) error {
	for {
		if _, err := os.Stat(filepath.Join(s.Dir, "vici")); err == nil {
			return nil
		}
		select {
		case err := <-s.ended:
			return fmt.Errorf("lab: charon ended: %w\n%s", err, s.Log())
		case <-ctx.Done():
			return fmt.Errorf("lab: charon did not start: %w\n%s", ctx.Err(), s.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Swanctl runs one command of swanctl and returns what it printed.
func (s *StrongSwan) Swanctl(ctx context.Context, args ...string) (string, error) {
	cmd := s.command(ctx, "/usr/sbin/swanctl", append(args, "--uri", "unix://"+filepath.Join(s.Dir, "vici"))...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Log returns what charon logged so far.
func (s *StrongSwan) Log() string {
	log, _ := os.ReadFile(filepath.Join(s.Dir, "charon.log"))
	return string(log)
}

// WaitLog waits until the log holds text.
func (s *StrongSwan) WaitLog(ctx context.Context, text string) error {
	for !strings.Contains(s.Log(), text) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab: charon's log never said %q: %w", text, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// Stop ends charon, in order when it listens.
func (s *StrongSwan) Stop() {
	_ = s.daemon.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
		_ = s.daemon.Process.Kill()
		<-s.ended
	}
}
