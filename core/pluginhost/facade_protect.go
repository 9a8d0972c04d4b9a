package pluginhost

import (
	"fmt"

	"github.com/parley-ike/parley/core/machine"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
	"github.com/parley-ike/parley/sdk/secret"
)

func protectRequest(p machine.Protect) *authv1.ProtectRequest {
	r := &authv1.ProtectRequest{Auth: p.Auth, Local: identity(p.Local), Remote: identity(p.Remote), Certificates: p.Certs}
	for _, plain := range p.Plain {
		r.Plain = append(r.Plain, plain)
	}
	return r
}

func unprotectRequest(u machine.Unprotect) *authv1.UnprotectRequest {
	return &authv1.UnprotectRequest{Auth: u.Auth, Local: identity(u.Local), KeyHash: u.KeyHash, Prf: uint32(u.PRF), Cipher: u.Cipher}
}

// decodeProtected wants as many ciphertexts as there were bodies.
func decodeProtected(op machine.Protect, body []byte) (machine.Result, error) {
	var r authv1.ProtectResponse
	if err := unmarshal(body, &r); err != nil {
		return nil, err
	}
	switch {
	case len(r.GetCipher()) != len(op.Plain):
		return nil, fmt.Errorf("%d ciphertexts, want %d", len(r.GetCipher()), len(op.Plain))
	case len(r.GetKey()) == 0 || len(r.GetKey()) > maxData:
		return nil, fmt.Errorf("key of %d octets", len(r.GetKey()))
	case len(r.GetCertificates()) > maxCertificates:
		return nil, fmt.Errorf("%d certificates, limit %d", len(r.GetCertificates()), maxCertificates)
	}
	for _, c := range r.GetCipher() {
		if err := checkLen("ciphertext", c, 0); err != nil {
			return nil, err
		}
	}
	for _, c := range r.GetCertificates() {
		if len(c) == 0 || len(c) > maxData {
			return nil, fmt.Errorf("certificate of %d octets", len(c))
		}
	}
	return machine.Protected{Cipher: r.GetCipher(), Key: r.GetKey(), Certs: r.GetCertificates()}, nil
}

// decodeUnprotected wants as many plaintexts as there were ciphertexts. Each may be empty: a synthetic one has any length.
func decodeUnprotected(op machine.Unprotect, body []byte) (machine.Result, error) {
	var r authv1.UnprotectResponse
	if err := unmarshal(body, &r); err != nil {
		return nil, err
	}
	if len(r.GetPlain()) != len(op.Cipher) {
		return nil, fmt.Errorf("%d plaintexts, want %d", len(r.GetPlain()), len(op.Cipher))
	}
	plain := make([]secret.Bytes, len(op.Cipher))
	for i, p := range r.GetPlain() {
		if len(p) >= len(op.Cipher[i]) {
			return nil, fmt.Errorf("a plaintext of %d octets from a ciphertext of %d", len(p), len(op.Cipher[i]))
		}
		plain[i] = p
	}
	return machine.Unprotected{Plain: plain}, nil
}
