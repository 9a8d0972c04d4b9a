package serve

import (
	"context"

	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/internal/codec"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
)

func credSign(ctx context.Context, p cred.Signer, body []byte) ([]byte, error) {
	m, err := decode[credv1.SignRequest](body)
	if err != nil {
		return nil, err
	}
	r, err := codec.ToSignRequest(m)
	if err != nil {
		return nil, err
	}
	signature, err := p.Sign(ctx, r)
	if err != nil {
		return nil, err
	}
	return encode(&credv1.SignResponse{Signature: signature})
}

func credDecrypt(ctx context.Context, p cred.Decrypter, body []byte) ([]byte, error) {
	m, err := decode[credv1.DecryptRequest](body)
	if err != nil {
		return nil, err
	}
	r, err := codec.ToDecryptRequest(m)
	if err != nil {
		return nil, err
	}
	plain, err := p.Decrypt(ctx, r)
	if err != nil {
		return nil, err
	}
	return encode(&credv1.DecryptResponse{Plain: plain}, plain)
}

func credTrust(ctx context.Context, p cred.Truster, body []byte) ([]byte, error) {
	m, err := decode[credv1.TrustRequest](body)
	if err != nil {
		return nil, err
	}
	r, err := codec.ToTrustRequest(m)
	if err != nil {
		return nil, err
	}
	verdict, err := p.Trust(ctx, r)
	if err != nil {
		return nil, err
	}
	return encode(codec.FromVerdict(verdict))
}
