package file

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// prfs are the hashes of the HMAC PRFs by IANA transform ID: PRF_HMAC_SHA1, SHA2_256, SHA2_384 and SHA2_512.
var prfs = map[uint16]func() hash.Hash{2: sha1.New, 5: sha256.New, 6: sha512.New384, 7: sha512.New}

// keyPad is that of RFC 7296 section 2.15, 17 octets without a terminator.
const keyPad = "Key Pad for IKEv2"

// keys are a pre-shared key and what is derived from it.
type keys struct {
	psk   secret.Bytes
	inner map[uint16]secret.Bytes // prf(psk, keyPad) by PRF, made on first use
}

// mac is prf(prf(psk, keyPad), data) for IKEv2 (RFC 7296 section 2.15), prf(psk, data) for IKEv1's SKEYID (RFC 2409 section 5).
func (k *keys) mac(m cred.MAC) ([]byte, error) {
	if err := supported(m); err != nil {
		return nil, err
	}
	h := prfs[m.PRF]
	if m.Scheme == cred.IKEv1SKEYID {
		return sum(h, k.psk, m.Data), nil
	}
	inner, ok := k.inner[m.PRF]
	if !ok {
		inner = sum(h, k.psk, []byte(keyPad))
		if k.inner == nil {
			k.inner = make(map[uint16]secret.Bytes, 1)
		}
		k.inner[m.PRF] = inner
	}
	return sum(h, inner, m.Data), nil
}

func supported(m cred.MAC) error {
	if m.Scheme != cred.IKEv2Auth && m.Scheme != cred.IKEv1SKEYID {
		return fmt.Errorf("cred/file: scheme %d: %w: this store does %d (IKEv2 AUTH) and %d (IKEv1 SKEYID)", m.Scheme, sdk.ErrUnsupported,
			cred.IKEv2Auth, cred.IKEv1SKEYID)
	}
	if prfs[m.PRF] == nil {
		return fmt.Errorf("cred/file: PRF %d: %w: this store does 2, 5, 6 and 7 (HMAC with SHA-1, SHA2-256, -384, -512)", m.PRF, sdk.ErrUnsupported)
	}
	return nil
}

func sum(h func() hash.Hash, key, data []byte) []byte {
	mac := hmac.New(h, key)
	mac.Write(data)
	return mac.Sum(nil)
}

func (k *keys) wipe() {
	k.psk.Wipe()
	for _, inner := range k.inner {
		inner.Wipe()
	}
	*k = keys{}
}
