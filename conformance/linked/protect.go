package linked

import (
	"context"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/sdk/auth"
)

// protect performs the operations of public key encryption.
func (p *Plugins) protect(ctx context.Context, op machine.Op) (machine.Result, error) {
	switch op := op.(type) {
	case machine.Protect:
		a, err := p.protector(op.Auth)
		if err != nil {
			return nil, err
		}
		r, err := a.Protect(ctx, p.Cred, auth.Protect{Auth: op.Auth, Local: auth.Identity(op.Local), Remote: auth.Identity(op.Remote),
			Certs: op.Certs, Plain: op.Plain})
		return machine.Protected(r), err
	default:
		u := op.(machine.Unprotect)
		a, err := p.protector(u.Auth)
		if err != nil {
			return nil, err
		}
		plain, err := a.Unprotect(ctx, p.Cred, auth.Unprotect{Auth: u.Auth, Local: auth.Identity(u.Local), KeyHash: u.KeyHash, PRF: u.PRF, Cipher: u.Cipher})
		return machine.Unprotected{Plain: plain}, err
	}
}

func (p *Plugins) protector(name string) (auth.Protector, error) {
	a, err := p.authenticator(name)
	if err != nil {
		return nil, err
	}
	return auth.AsProtector(a, name)
}
