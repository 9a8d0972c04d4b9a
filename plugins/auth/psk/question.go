package psk

import (
	"errors"
	"fmt"

	"github.com/parley-ike/parley/sdk/auth"
	"github.com/parley-ike/parley/sdk/cred"
	"github.com/parley-ike/parley/sdk/secret"
)

// AskToSign implements auth.Questioner.
func (*Plugin) AskToSign(s auth.Sign) (auth.Question[auth.Signed], error) {
	if err := errors.Join(checkAuth(s.Auth), checkVersion(s.Version)); err != nil {
		return auth.Question[auth.Signed]{}, err
	}
	return ask(query(s.Local, s.Remote), func(proofs [][]byte) (auth.Signed, error) {
		return auth.Signed{Method: SharedKeyMIC, Data: proofs[0]}, nil
	}, mac(s.PRF, s.Octets)), nil
}

// AskToVerify implements auth.Questioner.
func (*Plugin) AskToVerify(v auth.Verify) (auth.Question[auth.Identity], error) {
	if err := checkVerify(v); err != nil {
		return auth.Question[auth.Identity]{}, err
	}
	return ask(query(v.Local, v.Remote), func(proofs [][]byte) (auth.Identity, error) {
		return compare(v, proofs[0])
	}, mac(v.PRF, v.Octets)), nil
}

// AskToAuthenticate implements auth.Questioner. Both requests are about one pair of identities.
func (*Plugin) AskToAuthenticate(v auth.Verify, s auth.Sign) (auth.Question[auth.Authenticated], error) {
	if err := errors.Join(checkVerify(v), checkAuth(s.Auth), checkVersion(s.Version)); err != nil {
		return auth.Question[auth.Authenticated]{}, err
	}
	if !same(v.Local, s.Local) || !same(v.Remote, s.Remote) {
		return auth.Question[auth.Authenticated]{}, errors.New("psk: verify and sign name different identities")
	}
	return ask(query(v.Local, v.Remote), func(proofs [][]byte) (auth.Authenticated, error) {
		who, err := compare(v, proofs[0])
		if err != nil {
			// Our proof goes to nobody who did not prove first: the key could be guessed from it offline.
			secret.Bytes(proofs[1]).Wipe()
			return auth.Authenticated{}, err
		}
		return auth.Authenticated{Remote: who, Signed: auth.Signed{Method: SharedKeyMIC, Data: proofs[1]}}, nil
	}, mac(v.PRF, v.Octets), mac(s.PRF, s.Octets)), nil
}

// ask makes a question that checks the shape of the answer: an empty proof must never be compared with anything.
func ask[T any](q cred.Query, conclude func(proofs [][]byte) (T, error), macs ...cred.MAC) auth.Question[T] {
	return auth.Question[T]{Query: q, MACs: macs, Conclude: func(proofs [][]byte, err error) (T, error) {
		if err := check(q, macs, proofs, err); err != nil {
			var none T
			return none, err
		}
		return conclude(proofs)
	}}
}

func check(q cred.Query, macs []cred.MAC, proofs [][]byte, err error) error {
	if err != nil {
		return fmt.Errorf("psk: key for %v with %v: %w", q.Remote, q.Local, err)
	}
	if len(proofs) != len(macs) {
		return fmt.Errorf("psk: the credential store gave %d proofs instead of %d", len(proofs), len(macs))
	}
	for _, proof := range proofs {
		if len(proof) == 0 {
			return errors.New("psk: the credential store gave an empty proof")
		}
	}
	return nil
}
