package serve

import (
	"context"

	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/internal/codec"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
)

func authProtect(ctx context.Context, p auth.Plugin, host auth.Host, body []byte) ([]byte, error) {
	r, err := decode[authv1.ProtectRequest](body)
	if err != nil {
		return nil, err
	}
	request, err := codec.ToProtect(r)
	if err != nil {
		return nil, err
	}
	protector, err := auth.AsProtector(p, request.Auth)
	if err != nil {
		return nil, err
	}
	protected, err := protector.Protect(ctx, host, request)
	if err != nil {
		return nil, err
	}
	return encode(codec.FromProtected(protected))
}

func authUnprotect(ctx context.Context, p auth.Plugin, host auth.Host, body []byte) ([]byte, error) {
	r, err := decode[authv1.UnprotectRequest](body)
	if err != nil {
		return nil, err
	}
	request, err := codec.ToUnprotect(r)
	if err != nil {
		return nil, err
	}
	protector, err := auth.AsProtector(p, request.Auth)
	if err != nil {
		return nil, err
	}
	plain, err := protector.Unprotect(ctx, host, request)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range plain {
			s.Wipe() // the body has it
		}
	}()
	return encode(&authv1.UnprotectResponse{Plain: codec.FromSecrets(plain)})
}
