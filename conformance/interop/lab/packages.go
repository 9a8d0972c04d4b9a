package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Packages is a set of Debian's packages that is unpacked together.
type Packages struct {
	Name     string // of its folder in the cache
	Packages []string
}

// StrongSwanPackages are charon and its userspace ESP; LibreswanPackages pluto and the tools of its key database;
// OpenIKEDPackages iked; TSharkPackages Wireshark's dissectors; IKEScanPackages a scanner for IKE daemons; XAUTHPackages a charon
// that knows users, too; VPNCPackages a client of Cisco's concentrators.
var (
	StrongSwanPackages = Packages{"strongswan", []string{
		"charon-systemd", "strongswan-swanctl", "libstrongswan-standard-plugins", "libstrongswan-extra-plugins", "libcharon-extra-plugins",
	}}
	LibreswanPackages = Packages{"libreswan", []string{"libreswan", "libnss3-tools"}}
	OpenIKEDPackages  = Packages{"openiked", []string{"openiked"}}
	TSharkPackages    = Packages{"tshark", []string{"tshark"}}
	IKEScanPackages   = Packages{"ike-scan", []string{"ike-scan"}}
	XAUTHPackages     = Packages{"strongswan-xauth", append(StrongSwanPackages.Packages[:len(StrongSwanPackages.Packages):len(StrongSwanPackages.Packages)], "libcharon-extauth-plugins")}
	VPNCPackages      = Packages{"vpnc", []string{"vpnc"}}

	// Peers are all that the tests use.
	Peers = []Packages{StrongSwanPackages, LibreswanPackages, OpenIKEDPackages, TSharkPackages, IKEScanPackages, XAUTHPackages, VPNCPackages}
)

// CacheDir is where unpacked packages are kept: PARLEY_CACHE, or a folder of the user's cache.
func CacheDir() string {
	if dir := os.Getenv("PARLEY_CACHE"); dir != "" {
		return dir
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "parley")
	}
	return filepath.Join(os.TempDir(), "parley-cache")
}

// Root is a folder with unpacked packages that a Peer sees laid over the machine's own /usr and /etc.
type Root string

// ErrNoPackages says that Debian's packages cannot be had here.
var ErrNoPackages = errors.New("lab: Debian's packages cannot be had")

// Unpack makes sure that the packages and what they need beyond this machine's own are unpacked in the cache, and returns
// their folder. Nothing is installed. Progress goes to out. Several processes may ask at once.
func Unpack(p Packages, out io.Writer) (Root, error) {
	root := Root(filepath.Join(CacheDir(), p.Name))
	if root.complete() {
		return root, nil
	}
	unlock, err := lockFile(string(root) + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if root.complete() { // somebody was faster
		return root, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", fmt.Errorf("%w: no apt-get on this machine", ErrNoPackages)
	}
	fmt.Fprintf(out, "fetching %s from Debian\n", strings.Join(p.Packages, ", "))
	files, err := download(string(root)+".debs", p.Packages)
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if err := run("dpkg", "-x", file, string(root)); err != nil {
			return "", err
		}
	}
	if err := root.mergeUsr(); err != nil {
		return "", err
	}
	return root, os.WriteFile(root.done(), nil, 0o644)
}

func (r Root) complete() bool {
	_, err := os.Stat(r.done())
	return err == nil
}

// lockFile takes a lock that processes and goroutines respect, and returns what gives it back.
func lockFile(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lab: lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

func (r Root) done() string { return filepath.Join(string(r), ".complete") }

// mergeUsr moves what packages put in /lib and /sbin to /usr, where those are links to on today's Debian.
func (r Root) mergeUsr() error {
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		from := filepath.Join(string(r), dir)
		if _, err := os.Stat(from); err != nil {
			continue
		}
		to := filepath.Join(string(r), "usr", dir)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := run("cp", "-a", from+"/.", to); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(string(r), "etc"), 0o755)
}

// Command runs a program of the unpacked packages: in a mount namespace of its own, with them laid over /usr and /etc.
func (r Root) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	script := `set -e
mount --make-rprivate /
for d in usr etc; do mount -t overlay overlay -o lowerdir="$0/$d:/$d" /$d; done
mount -t tmpfs tmpfs /run
exec "$@"`
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"-m", "sh", "-c", script, string(r), program}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	return cmd
}

func download(dir string, packages []string) ([]string, error) {
	if err := os.MkdirAll(filepath.Join(dir, "partial"), 0o755); err != nil {
		return nil, err
	}
	fetch := append([]string{"install", "-y", "--download-only", "--no-install-recommends", "--reinstall",
		"-o", "Dir::Cache::archives=" + dir, "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"}, packages...)
	if run("apt-get", fetch...) != nil { // perhaps the lists are missing or old
		if err := run("apt-get", "update"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoPackages, err)
		}
		if err := run("apt-get", fetch...); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoPackages, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%w: apt-get brought no file", ErrNoPackages)
	}
	return files, err
}

func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("lab: %s: %w: %s", name, err, lastLine(out))
	}
	return nil
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
