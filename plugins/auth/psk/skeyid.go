package psk

import (
	"context"
	"fmt"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// SKEYID implements auth.KeyDeriver: prf(pre-shared key, Ni_b | Nr_b) of RFC 2409 section 5.
func (p *Plugin) SKEYID(ctx context.Context, host auth.Host, s auth.SKEYID) (secret.Bytes, error) {
	question, err := p.AskForSKEYID(s)
	if err != nil {
		return nil, err
	}
	return question.Ask(ctx, host)
}

// AskForSKEYID implements auth.KeyQuestioner.
func (*Plugin) AskForSKEYID(s auth.SKEYID) (auth.Question[secret.Bytes], error) {
	if err := checkAuth(s.Auth); err != nil {
		return auth.Question[secret.Bytes]{}, err
	}
	return ask(query(s.Local, s.Remote), func(values [][]byte) (secret.Bytes, error) {
		return values[0], nil
	}, cred.MAC{Scheme: cred.IKEv1SKEYID, PRF: s.PRF, Data: s.Data}), nil
}

// checkVersion refuses the proofs that IKEv1 makes with signatures.
func checkVersion(v uint8) error {
	if v == 1 {
		return fmt.Errorf("psk: IKEv1 proves a pre-shared key by SKEYID (RFC 2409 section 5), not by a signature: %w", sdk.ErrUnsupported)
	}
	return nil
}
