package serve

import (
	"context"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/cred"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
	"github.com/parley-ike/parley/sdk/secret"
)

func credCheckPassword(ctx context.Context, p cred.Passwords, body []byte) ([]byte, error) {
	m, err := decode[credv1.CheckPasswordRequest](body)
	if err != nil {
		return nil, err
	}
	password := secret.Bytes(m.GetPassword())
	defer password.Wipe()
	if len(m.GetUser()) > cred.MaxUser || len(password) > cred.MaxPassword {
		return nil, fmt.Errorf("%w: a user's name of %d octets (limit %d), a password of %d (limit %d)", sdk.ErrInvalid,
			len(m.GetUser()), cred.MaxUser, len(password), cred.MaxPassword)
	}
	if err := p.CheckPassword(ctx, m.GetUser(), password); err != nil {
		return nil, err
	}
	return encode(&credv1.CheckPasswordResponse{})
}

func credOwnPassword(ctx context.Context, p cred.Passwords, body []byte) ([]byte, error) {
	m, err := decode[credv1.OwnPasswordRequest](body)
	if err != nil {
		return nil, err
	}
	password, err := p.OwnPassword(ctx, m.GetUser())
	if err != nil {
		return nil, err
	}
	return encode(&credv1.OwnPasswordResponse{Password: password}, password)
}
