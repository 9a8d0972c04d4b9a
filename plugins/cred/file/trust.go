package file

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/parley-ike/parley/plugins/cred/internal/chain"
	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
)

// publicKey is the key of one peer.
type publicKey struct {
	config  PublicKey
	purpose cred.Purpose
	files   watched[[]byte] // SubjectPublicKeyInfo
}

func newPublicKey(config PublicKey) *publicKey {
	p := &publicKey{config: config, purpose: purposes[config.Purpose]}
	p.files = watched[[]byte]{paths: []string{config.File}, load: func([]string) ([]byte, error) { return readPublic(config.File) }}
	return p
}

func (p *publicKey) get(now time.Time) ([]byte, error) {
	public, err := p.files.get(now)
	if err != nil {
		return nil, fmt.Errorf("cred/file: %w: %w", err, sdk.ErrNoCredential)
	}
	return public, nil
}

func readPublic(path string) ([]byte, error) {
	content, err := parseFile(path, checkPublic, nil)
	if err != nil {
		return nil, err
	}
	if len(content.Certificates) == 1 && len(content.Publics) == 0 {
		content.Publics = append(content.Publics, content.Certificates[0].PublicKey)
	}
	if len(content.Publics) != 1 || len(content.Keys) > 0 {
		return nil, fmt.Errorf("%s: it holds %v: name a file with one public key, or one certificate", path, content)
	}
	if key, ok := content.Publics[0].(*rsa.PublicKey); ok && (key.N.BitLen() < chain.MinRSA || key.N.BitLen() > chain.MaxRSA) {
		return nil, fmt.Errorf("%s: its key is RSA with %d bits: have the peer make one of %d to %d", path, key.N.BitLen(), chain.MinRSA, chain.MaxRSA)
	}
	return x509.MarshalPKIXPublicKey(content.Publics[0])
}

// trust judges a peer's key: by the public key that is configured for it, if there is one, else by its certificates.
func (r *keyring) trust(q cred.TrustRequest, now time.Time) (cred.Verdict, error) {
	if q.Now.IsZero() {
		q.Now = now
	}
	for _, p := range r.publics {
		if p.purpose == q.Purpose && text(cred.Identity(p.config.Remote)) == text(q.Identity) {
			return p.judge(q, now)
		}
	}
	if len(q.Chain) == 0 {
		return cred.Verdict{}, fmt.Errorf("cred/file: the peer %s sent no certificate, and there is no public key for it: have it send one, or add credentials { public_key \"IDENTITY\" { file = \"FILE\" } }: %w", chain.Show(q.Identity), sdk.ErrNoCredential)
	}
	verdict, err := chain.Judge(q, r.trusted.get(now))
	if errors.Is(err, sdk.ErrNoCredential) {
		err = errors.Join(append([]error{err}, r.trusted.problems(now)...)...)
	}
	if err != nil {
		return cred.Verdict{}, fmt.Errorf("cred/file: %w", err)
	}
	return verdict, nil
}

// judge compares keys; of a certificate nothing else counts.
func (p *publicKey) judge(q cred.TrustRequest, now time.Time) (cred.Verdict, error) {
	public, err := p.get(now)
	if err != nil {
		return cred.Verdict{}, err
	}
	if len(q.Chain) == 0 {
		return cred.Verdict{Public: public, Anchor: p.config.File}, nil
	}
	certificates, err := chain.Parse(q.Chain[:1])
	if err != nil {
		return cred.Verdict{}, fmt.Errorf("cred/file: %w", err)
	}
	if sent := certificates[0].RawSubjectPublicKeyInfo; !bytes.Equal(sent, public) {
		return cred.Verdict{}, fmt.Errorf("cred/file: %s sent a certificate for another public key (SHA-256 %s) than the one in %s (SHA-256 %s): %w",
			chain.Show(q.Identity), fingerprint(sent), p.config.File, fingerprint(public), sdk.ErrRefused)
	}
	return cred.Verdict{Public: public, Anchor: p.config.File}, nil
}

func fingerprint(public []byte) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:])
}
