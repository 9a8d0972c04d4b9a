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
		case basev1.Op_OP_AUTH_SKEYID:
			return authSKEYID(ctx, p, host, body)
		case basev1.Op_OP_AUTH_PROTECT:
			return authProtect(ctx, p, host, body)
		case basev1.Op_OP_AUTH_UNPROTECT:
			return authUnprotect(ctx, p, host, body)
		}
		return nil, unknownOp("auth", op)
	}
}

// asker performs one operation of an auth.Questioner as far as its question; the conclusion is the body of the response.
type asker func(op basev1.Op, body []byte) (auth.Question[[]byte], error)

func newAsker(p auth.Questioner) asker {
	return func(op basev1.Op, body []byte) (auth.Question[[]byte], error) {
		switch op {
		case basev1.Op_OP_AUTH_SIGN:
			return askToSign(p, body)
		case basev1.Op_OP_AUTH_VERIFY:
			return askToVerify(p, body)
		case basev1.Op_OP_AUTH_AUTHENTICATE:
			return askToAuthenticate(p, body)
		case basev1.Op_OP_AUTH_SKEYID:
			return askForSKEYID(p, body)
		}
		return auth.Question[[]byte]{}, unknownOp("auth", op)
	}
}

func askToSign(p auth.Questioner, body []byte) (auth.Question[[]byte], error) {
	s, err := decodeSign(body)
	if err != nil {
		return auth.Question[[]byte]{}, err
	}
	question, err := p.AskToSign(s)
	return concluding(question, encodeSigned), err
}

func askToVerify(p auth.Questioner, body []byte) (auth.Question[[]byte], error) {
	v, err := decodeVerify(body)
	if err != nil {
		return auth.Question[[]byte]{}, err
	}
	question, err := p.AskToVerify(v)
	return concluding(question, encodeVerified), err
}

func askToAuthenticate(p auth.Questioner, body []byte) (auth.Question[[]byte], error) {
	v, s, err := decodeAuthenticate(body)
	if err != nil {
		return auth.Question[[]byte]{}, err
	}
	question, err := p.AskToAuthenticate(v, s)
	return concluding(question, encodeAuthenticated), err
}

// concluding is a question whose conclusion is encoded.
func concluding[T any](q auth.Question[T], encode func(T) ([]byte, error)) auth.Question[[]byte] {
	return auth.Question[[]byte]{Query: q.Query, MACs: q.MACs, Conclude: func(values [][]byte, err error) ([]byte, error) {
		result, err := q.Conclude(values, err)
		if err != nil {
			return nil, err
		}
		return encode(result)
	}}
}

func authSign(ctx context.Context, p auth.Plugin, host auth.Host, body []byte) ([]byte, error) {
	s, err := decodeSign(body)
	if err != nil {
		return nil, err
	}
	signed, err := p.Sign(ctx, host, s)
	if err != nil {
		return nil, err
	}
	return encodeSigned(signed)
}

func authVerify(ctx context.Context, p auth.Plugin, host auth.Host, body []byte) ([]byte, error) {
	v, err := decodeVerify(body)
	if err != nil {
		return nil, err
	}
	remote, err := p.Verify(ctx, host, v)
	if err != nil {
		return nil, err
	}
	return encodeVerified(remote)
}

func authAuthenticate(ctx context.Context, p auth.Plugin, host auth.Host, body []byte) ([]byte, error) {
	v, s, err := decodeAuthenticate(body)
	if err != nil {
		return nil, err
	}
	both, err := authenticate(ctx, p, host, v, s)
	if err != nil {
		return nil, err
	}
	return encodeAuthenticated(both)
}

// authenticate signs only after the peer's proof was found good.
func authenticate(ctx context.Context, p auth.Plugin, host auth.Host, v auth.Verify, s auth.Sign) (both auth.Authenticated, err error) {
	if fused, ok := p.(auth.Authenticator); ok {
		both.Remote, both.Signed, err = fused.Authenticate(ctx, host, v, s)
		return both, err
	}
	if both.Remote, err = p.Verify(ctx, host, v); err != nil {
		return auth.Authenticated{}, err
	}
	both.Signed, err = p.Sign(ctx, host, s)
	return both, err
}

func decodeSign(body []byte) (auth.Sign, error) {
	r, err := decode[authv1.SignRequest](body)
	if err != nil {
		return auth.Sign{}, err
	}
	return codec.ToSign(r)
}

func decodeVerify(body []byte) (auth.Verify, error) {
	r, err := decode[authv1.VerifyRequest](body)
	if err != nil {
		return auth.Verify{}, err
	}
	return codec.ToVerify(r)
}

func decodeAuthenticate(body []byte) (auth.Verify, auth.Sign, error) {
	r, err := decode[authv1.AuthenticateRequest](body)
	if err != nil {
		return auth.Verify{}, auth.Sign{}, err
	}
	v, err := codec.ToVerify(r.GetVerify())
	if err != nil {
		return auth.Verify{}, auth.Sign{}, err
	}
	s, err := codec.ToSign(r.GetSign())
	return v, s, err
}

func encodeSigned(s auth.Signed) ([]byte, error) { return encode(codec.FromSigned(s)) }

func encodeVerified(who auth.Identity) ([]byte, error) {
	return encode(&authv1.VerifyResponse{Remote: codec.FromIdentity(who)})
}

func encodeAuthenticated(a auth.Authenticated) ([]byte, error) {
	return encode(&authv1.AuthenticateResponse{
		Verified: &authv1.VerifyResponse{Remote: codec.FromIdentity(a.Remote)}, Signed: codec.FromSigned(a.Signed),
	})
}
