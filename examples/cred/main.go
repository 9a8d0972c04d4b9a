// Command cred is a minimal credential store: one pre-shared key for all peers with names below one domain, in a file of
// the store's configuration, {"domain": "example.net", "file": "/etc/parley/example.psk"}. A real store would ask a vault
// or a token for the derivation.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
	"github.com/parley-ike/parley/sdk/serve"
)

func main() {
	serve.Main(serve.Info{Name: "example-cred", Version: "1.0.0", Vendor: "Example"}, serve.Cred("example", &store{}))
}

type store struct{ config atomic.Pointer[config] }

type config struct {
	Domain string `json:"domain"`
	File   string `json:"file"`
	key    secret.Bytes
}

const (
	fqdn    = 2    // identity type, RFC 7296 section 3.5
	maxFile = 4096 // octets of a key file; more is no key
)

// prfs are the hashes of the HMAC PRFs by IANA transform ID: SHA-1, SHA2-256, SHA2-384 and SHA2-512.
var prfs = map[uint16]func() hash.Hash{2: sha1.New, 5: sha256.New, 6: sha512.New384, 7: sha512.New}

func (*store) Schema() string {
	return `{"type":"object","additionalProperties":false,"required":["domain","file"],
		"properties":{"domain":{"type":"string"},"file":{"type":"string"}}}`
}

func (*store) Validate(text []byte) []string {
	if _, err := load(text); err != nil {
		return []string{err.Error()}
	}
	return nil
}

func (s *store) Configure(_ context.Context, _ serve.Env, text []byte) error {
	c, err := load(text)
	if err == nil {
		s.config.Store(c)
	}
	return err
}

func load(text []byte) (*config, error) {
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("example: configuration: %w", err)
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, fmt.Errorf("example: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("example: group or others can read the key: chmod 0600 %s", c.File)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("example: %w", err)
	}
	if c.key = bytes.TrimSpace(content); c.Domain == "" || len(c.key) == 0 {
		return nil, fmt.Errorf("example: no domain, or no key in %s", c.File)
	}
	return &c, nil
}

// match finds the key for a query, or says that there is none.
func (s *store) match(ctx context.Context, q cred.Query) (*config, error) {
	c := s.config.Load()
	switch {
	case q.Purpose != cred.PSK:
		return nil, fmt.Errorf("example: purpose %d: %w", q.Purpose, sdk.ErrUnsupported)
	case c == nil || q.Remote.Type != fqdn || !strings.HasSuffix(string(q.Remote.Data), "."+c.Domain):
		return nil, fmt.Errorf("example: no key for %v: %w", q.Remote, sdk.ErrNoCredential)
	}
	return c, ctx.Err()
}

func (s *store) Find(ctx context.Context, q cred.Query) ([]cred.Ref, error) {
	c, err := s.match(ctx, q)
	if err != nil {
		return nil, err
	}
	return []cred.Ref{{ID: c.Domain, Source: c.File}}, nil
}

func (s *store) MAC(ctx context.Context, q cred.Query, macs []cred.MAC) ([][]byte, error) {
	c, err := s.match(ctx, q)
	if err != nil {
		return nil, err
	}
	var sums [][]byte
	for _, m := range macs {
		h := prfs[m.PRF]
		key := c.key // for IKEv1, RFC 2409 section 5
		switch {
		case h == nil || m.Scheme != cred.IKEv2Auth && m.Scheme != cred.IKEv1SKEYID:
			return nil, fmt.Errorf("example: scheme %d with PRF %d: %w", m.Scheme, m.PRF, sdk.ErrUnsupported)
		case m.Scheme == cred.IKEv2Auth:
			key = prf(h, c.key, []byte("Key Pad for IKEv2")) // RFC 7296 section 2.15
		}
		sums = append(sums, prf(h, key, m.Data))
	}
	return sums, nil
}

func prf(h func() hash.Hash, key, data []byte) []byte {
	mac := hmac.New(h, key)
	mac.Write(data)
	return mac.Sum(nil)
}
