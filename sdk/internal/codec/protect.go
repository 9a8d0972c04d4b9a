package codec

import (
	"github.com/parley-ike/parley/sdk/auth"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
	"github.com/parley-ike/parley/sdk/secret"
)

// FromProtect returns the message for p, which shares the plaintexts.
func FromProtect(p auth.Protect) *authv1.ProtectRequest {
	return &authv1.ProtectRequest{
		Auth: p.Auth, Local: FromIdentity(p.Local), Remote: FromIdentity(p.Remote), Certificates: p.Certs, Plain: FromSecrets(p.Plain),
	}
}

// ToProtect is the reverse of FromProtect.
func ToProtect(p *authv1.ProtectRequest) (auth.Protect, error) {
	var n narrower
	return auth.Protect{
		Auth: p.GetAuth(), Local: n.identity(p.GetLocal()), Remote: n.identity(p.GetRemote()), Certs: p.GetCertificates(), Plain: ToSecrets(p.GetPlain()),
	}, n.err
}

// FromProtected returns the message for p.
func FromProtected(p auth.Protected) *authv1.ProtectResponse {
	return &authv1.ProtectResponse{Cipher: p.Cipher, Key: p.Key, Certificates: p.Certs}
}

// ToProtected is the reverse of FromProtected.
func ToProtected(p *authv1.ProtectResponse) auth.Protected {
	return auth.Protected{Cipher: p.GetCipher(), Key: p.GetKey(), Certs: p.GetCertificates()}
}

// FromUnprotect returns the message for u.
func FromUnprotect(u auth.Unprotect) *authv1.UnprotectRequest {
	return &authv1.UnprotectRequest{
		Auth: u.Auth, Local: FromIdentity(u.Local), KeyHash: u.KeyHash, Prf: uint32(u.PRF), Cipher: u.Cipher,
	}
}

// ToUnprotect is the reverse of FromUnprotect.
func ToUnprotect(u *authv1.UnprotectRequest) (auth.Unprotect, error) {
	var n narrower
	return auth.Unprotect{
		Auth: u.GetAuth(), Local: n.identity(u.GetLocal()), KeyHash: u.GetKeyHash(), PRF: n.u16("prf", u.GetPrf()), Cipher: u.GetCipher(),
	}, n.err
}

// FromSecrets returns the same octets as a message has them.
func FromSecrets(secrets []secret.Bytes) (out [][]byte) {
	for _, s := range secrets {
		out = append(out, s)
	}
	return out
}

// ToSecrets is the reverse of FromSecrets.
func ToSecrets(octets [][]byte) (out []secret.Bytes) {
	for _, o := range octets {
		out = append(out, o)
	}
	return out
}
