package auth

import (
	"context"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/secret"
)

// Protect is a request to encrypt bodies of IKEv1 payloads for the peer (RFC 2409 sections 5.2 and 5.3).
type Protect struct {
	Auth          string // the connection's setting, "rsaenc"
	Local, Remote Identity
	Certs         [][]byte       // the peer's as it sent them, DER; none: the public key that is configured for Remote
	Plain         []secret.Bytes // each encrypted by itself
}

// Protected has a ciphertext for each body.
type Protected struct {
	Cipher [][]byte
	Key    []byte   // the peer's certificate or public key that was used, DER: what HASH(1) covers
	Certs  [][]byte // ours for the peer to encrypt to, DER, the end certificate first; none with a bare key
}

// Unprotect is a request to decrypt bodies of payloads with our private key.
type Unprotect struct {
	Auth    string
	Local   Identity // type 0: any of ours
	KeyHash []byte   // HASH(1): the hash of our certificate or public key that the peer has used; nil: our first
	PRF     uint16   // IANA transform ID, naming the hash of HASH(1)
	Cipher  [][]byte
}

// Protector is implemented by plugins that authenticate by public key encryption: whoever can decrypt is who it should be, and
// there is no Sign or Verify for it.
//
// Unprotect gives a plaintext for each ciphertext, also where the padding was wrong (cred.Decrypter says how), and its time does not
// depend on it. It fails only as everybody can foresee: no key that the hash names (an error that wraps sdk.ErrNoCredential), a
// ciphertext of another size than the modulus or not below it (one that wraps sdk.ErrInvalid).
type Protector interface {
	Protect(ctx context.Context, host Host, p Protect) (Protected, error)
	Unprotect(ctx context.Context, host Host, u Unprotect) ([]secret.Bytes, error)
}

// AsProtector returns p as a Protector, or an error that wraps sdk.ErrUnsupported; auth is the setting it was chosen by.
func AsProtector(p Plugin, auth string) (Protector, error) {
	if protector, ok := p.(Protector); ok {
		return protector, nil
	}
	return nil, fmt.Errorf("auth %q does not encrypt: %w", auth, sdk.ErrUnsupported)
}
