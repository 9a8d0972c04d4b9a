package codec

import (
	"github.com/parley-ike/parley/sdk/auth"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
)

// FromSKEYID returns the message for s.
func FromSKEYID(s auth.SKEYID) *authv1.SKEYIDRequest {
	return &authv1.SKEYIDRequest{
		Auth: s.Auth, Local: FromIdentity(s.Local), Remote: FromIdentity(s.Remote), Prf: uint32(s.PRF), Data: s.Data,
	}
}

// ToSKEYID is the reverse of FromSKEYID.
func ToSKEYID(s *authv1.SKEYIDRequest) (auth.SKEYID, error) {
	var n narrower
	return auth.SKEYID{
		Auth: s.GetAuth(), Local: n.identity(s.GetLocal()), Remote: n.identity(s.GetRemote()), PRF: n.u16("prf", s.GetPrf()),
		Data: s.GetData(),
	}, n.err
}
