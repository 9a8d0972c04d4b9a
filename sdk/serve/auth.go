package serve

import (
	"context"

	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/internal/codec"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

func authHandler(p auth.Plugin) handler {
	return func(ctx context.Context, host auth.Host, op basev1.Op, body []byte) ([]byte, error) {
		switch op {
		case basev1.Op_OP_AUTH_SIGN:
			return authSign(ctx, p, host, body)
		case basev1.Op_OP_AUTH_VERIFY:
			return authVerify(ctx, p, host, body)
		case basev1.Op_OP_AUTH_AUTHENTICATE:
			return authAuthenticate(ctx, p, host, body)
		}
		return nil, unknownOp("auth", op)
	}
}

func authSign(ctx context.Context, p auth.Plugin, host auth.Host, body []byte) ([]byte, error) {
	r, err := decode[authv1.SignRequest](body)
	if err != nil {
		return nil, err
	}
	sign, err := codec.ToSign(r)
	if err != nil {
		return nil, err
	}
	signed, err := p.Sign(ctx, host, sign)
	if err != nil {
		return nil, err
	}
	return encode(codec.FromSigned(signed))
}

func authVerify(ctx context.Context, p auth.Plugin, host auth.Host, body []byte) ([]byte, error) {
	r, err := decode[authv1.VerifyRequest](body)
	if err != nil {
		return nil, err
	}
	verify, err := codec.ToVerify(r)
	if err != nil {
		return nil, err
	}
	remote, err := p.Verify(ctx, host, verify)
	if err != nil {
		return nil, err
	}
	return encode(&authv1.VerifyResponse{Remote: codec.FromIdentity(remote)})
}

func authAuthenticate(ctx context.Context, p auth.Plugin, host auth.Host, body []byte) ([]byte, error) {
	r, err := decode[authv1.AuthenticateRequest](body)
	if err != nil {
		return nil, err
	}
	verify, err := codec.ToVerify(r.GetVerify())
	if err != nil {
		return nil, err
	}
	sign, err := codec.ToSign(r.GetSign())
	if err != nil {
		return nil, err
	}
	remote, signed, err := authenticate(ctx, p, host, verify, sign)
	if err != nil {
		return nil, err
	}
	return encode(&authv1.AuthenticateResponse{
		Verified: &authv1.VerifyResponse{Remote: codec.FromIdentity(remote)}, Signed: codec.FromSigned(signed),
	})
}

// authenticate signs only after the peer's proof was found good.
func authenticate(ctx context.Context, p auth.Plugin, host auth.Host, v auth.Verify, s auth.Sign) (auth.Identity, auth.Signed, error) {
	if fused, ok := p.(auth.Authenticator); ok {
		return fused.Authenticate(ctx, host, v, s)
	}
	remote, err := p.Verify(ctx, host, v)
	if err != nil {
		return auth.Identity{}, auth.Signed{}, err
	}
	signed, err := p.Sign(ctx, host, s)
	return remote, signed, err
}
