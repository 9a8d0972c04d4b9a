package auth

import (
	"context"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/secret"
)

// SKEYID is a request for the key that an IKEv1 exchange with pre-shared keys begins with: prf(pre-shared key, Data), RFC 2409
// section 5.
type SKEYID struct {
	Auth          string // the connection's setting, "psk"
	Local, Remote Identity
	PRF           uint16 // IANA transform ID
	Data          []byte // Ni_b | Nr_b
}

// KeyDeriver is implemented by plugins whose way of authentication gives IKEv1's SKEYID from a long-term secret. Whoever does not
// know the secret cannot compute SKEYID, and that alone authenticates: there is no Sign or Verify for it.
type KeyDeriver interface {
	SKEYID(ctx context.Context, host Host, s SKEYID) (secret.Bytes, error)
}

// KeyQuestioner is a Questioner that is a KeyDeriver as well.
type KeyQuestioner interface {
	KeyDeriver
	AskForSKEYID(SKEYID) (Question[secret.Bytes], error)
}

// DeriveSKEYID asks p for SKEYID, an error that wraps sdk.ErrUnsupported when it is no KeyDeriver.
func DeriveSKEYID(ctx context.Context, p Plugin, host Host, s SKEYID) (secret.Bytes, error) {
	if d, ok := p.(KeyDeriver); ok {
		return d.SKEYID(ctx, host, s)
	}
	return nil, ErrNoSKEYID(s.Auth)
}

// ErrNoSKEYID says that a way of authentication has no SKEYID of its own; it wraps sdk.ErrUnsupported.
func ErrNoSKEYID(auth string) error {
	return fmt.Errorf("auth %q gives no SKEYID for IKEv1: %w", auth, sdk.ErrUnsupported)
}
