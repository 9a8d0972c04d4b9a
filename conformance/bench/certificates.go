package bench

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/plugins/cred/file"
)

// Files of a gateway that signs, in its folder.
const certFile, keyFile, caFile = "own.pem", "own.key", "ca.pem"

// writeCertificates makes an authority, and for each gateway in its folder a key with a certificate for its address.
func writeCertificates(kind lab.KeyKind, addressOf map[string]string) error {
	ca, err := lab.NewAuthority("bench", kind)
	if err != nil {
		return err
	}
	for dir, address := range addressOf {
		h, err := ca.Issue(address, kind, time.Hour, 24*time.Hour)
		if err != nil {
			return err
		}
		err = errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, certFile), []byte(h.Cert), 0o600),
			os.WriteFile(filepath.Join(dir, keyFile), []byte(h.Key), 0o600), os.WriteFile(filepath.Join(dir, caFile), []byte(ca.PEM()), 0o600))
		if err != nil {
			return err
		}
	}
	return nil
}

// signing makes a connection one with signatures on both sides.
func (s Setup) signing(c *policy.Connection) {
	if s.Keys != "" {
		c.Local.Auth, c.Remote.Auth = policy.AuthSignature, policy.AuthSignature
	}
}

// keyring is the private key of a gateway that signs, and the authority.
func (s Setup) keyring() file.Config {
	own := file.Key{Certificate: filepath.Join(s.Dir, certFile), Key: filepath.Join(s.Dir, keyFile)}
	return file.Config{Keys: []file.Key{own}, Authorities: []file.Authority{{Path: filepath.Join(s.Dir, caFile)}}}
}
