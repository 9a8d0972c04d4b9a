package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"strings"
)

// OpenIKED is an iked in a namespace. It needs a kernel with ESP and PF_KEY.
type OpenIKED struct{ daemon }

// ikedUser is the user and the folder to which iked confines its processes; Debian's package makes the user when it is
// installed.
const ikedUser = "_iked:x:64000:64000::/run/iked:/usr/sbin/nologin\n"

// asIked makes the user and the key known to a program in a mount namespace of its own.
const asIked = `mkdir -p /run/iked
for f in passwd group iked/private iked/certs iked/ca; do mount --bind "$0/$f" /etc/$f; done
exec "$@"`

// StartOpenIKED starts iked in ns with iked.conf, and with a certificate unless own is nil. dir is its folder, empty and outside /usr, /etc and /run. ctx bounds the
// start; iked runs until Stop or Kill.
func StartOpenIKED(ctx context.Context, ns *Namespace, root Root, dir, conf string, own *Identity) (*OpenIKED, error) {
	o := &OpenIKED{daemon{Dir: dir, name: "iked", logFile: "stderr", root: root}}
	if err := o.files(conf, own); err != nil {
		return nil, err
	}
	if err := o.start(ns, o.command(context.WithoutCancel(ctx), "/usr/sbin/iked", "-d", "-v", "-v", "-f", o.path("iked.conf"), "-s", o.path("iked.sock"))); err != nil {
		return nil, err
	}
	if err := o.wait(ctx, "start iked", o.configured); err != nil {
		o.Stop()
		return nil, err
	}
	return o, nil
}

func (o *OpenIKED) files(conf string, own *Identity) error {
	for _, folder := range []string{"iked/private", "iked/certs", "iked/ca"} {
		if err := os.MkdirAll(o.path(folder), 0o755); err != nil {
			return err
		}
	}
	passwd, _ := os.ReadFile("/etc/passwd")
	group, _ := os.ReadFile("/etc/group")
	files := []string{"iked.conf", conf, "passwd", string(passwd) + ikedUser, "group", string(group) + "_iked:x:64000:\n"}
	if own != nil {
		if err := o.write(append(files, "iked/private/local.key", own.Key, "iked/certs/own.crt", own.Cert, "iked/ca/ca.crt", own.CA)...); err != nil {
			return err
		}
		return errors.Join(os.Chmod(o.path("iked/certs/own.crt"), 0o644), os.Chmod(o.path("iked/ca/ca.crt"), 0o644)) // ikedUser reads them
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // iked wants one even for pre-shared keys
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return o.write(append(files, "iked/private/local.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))...)
}

// configured reports whether the configuration has reached all processes of iked: until then it forgets the SAs that it
// makes.
func (o *OpenIKED) configured() bool {
	return o.exists("iked.sock") && strings.Contains(o.Log(), "config_getstatic: no")
}

// Ikectl runs one command of ikectl and returns what it printed.
func (o *OpenIKED) Ikectl(ctx context.Context, args ...string) (string, error) {
	out, err := o.command(ctx, "/usr/sbin/ikectl", append([]string{"-s", o.path("iked.sock")}, args...)...).CombinedOutput()
	return string(out), err
}

func (o *OpenIKED) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	return o.root.Command(ctx, "sh", append([]string{"-c", asIked, o.Dir, program}, args...)...)
}
