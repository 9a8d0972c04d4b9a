package codec

import (
	"github.com/parley-ike/parley/sdk/auth"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
)

// FromSign returns the message for s.
func FromSign(s auth.Sign) *authv1.SignRequest {
	return &authv1.SignRequest{
		Auth: s.Auth, Local: FromIdentity(s.Local), Remote: FromIdentity(s.Remote), Prf: uint32(s.PRF), Octets: s.Octets,
		PeerHashes: wide(s.PeerHashes), Version: uint32(s.Version), Issuers: s.Issuers,
	}
}

// ToSign is the reverse of FromSign.
func ToSign(s *authv1.SignRequest) (auth.Sign, error) {
	var n narrower
	return auth.Sign{
		Auth: s.GetAuth(), Local: n.identity(s.GetLocal()), Remote: n.identity(s.GetRemote()), PRF: n.u16("prf", s.GetPrf()),
		Octets: s.GetOctets(), PeerHashes: n.u16s("peer_hashes", s.GetPeerHashes()), Version: n.u8("version", s.GetVersion()),
		Issuers: s.GetIssuers(),
	}, n.err
}

// FromSigned returns the message for s.
func FromSigned(s auth.Signed) *authv1.SignResponse {
	return &authv1.SignResponse{Method: uint32(s.Method), Data: s.Data, Certificates: s.Certs}
}

// ToSigned is the reverse of FromSigned.
func ToSigned(s *authv1.SignResponse) (auth.Signed, error) {
	var n narrower
	return auth.Signed{Method: n.u8("method", s.GetMethod()), Data: s.GetData(), Certs: s.GetCertificates()}, n.err
}

// FromVerify returns the message for v.
func FromVerify(v auth.Verify) *authv1.VerifyRequest {
	return &authv1.VerifyRequest{
		Auth: v.Auth, Local: FromIdentity(v.Local), Remote: FromIdentity(v.Remote), Prf: uint32(v.PRF), Octets: v.Octets,
		Method: uint32(v.Method), Data: v.Data, Certificates: v.Certs, Version: uint32(v.Version),
	}
}

// ToVerify is the reverse of FromVerify.
func ToVerify(v *authv1.VerifyRequest) (auth.Verify, error) {
	var n narrower
	return auth.Verify{
		Auth: v.GetAuth(), Local: n.identity(v.GetLocal()), Remote: n.identity(v.GetRemote()), PRF: n.u16("prf", v.GetPrf()),
		Octets: v.GetOctets(), Method: n.u8("method", v.GetMethod()), Data: v.GetData(), Certs: v.GetCertificates(),
		Version: n.u8("version", v.GetVersion()),
	}, n.err
}
