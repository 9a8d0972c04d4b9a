package ikev2

import (
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// deriveKeys makes the keys of the IKE SA from the shared secret and wipes that (RFC 7296 section 2.14).
func (s *SA) deriveKeys(shared secret.Bytes) error {
	defer shared.Wipe()
	seed, err := suite.SKEYSEED(s.suite.PRF, s.ni, s.nr, shared)
	if err != nil {
		return err
	}
	defer seed.Wipe()
	if s.keys, err = suite.DeriveIKE(s.suite, seed, s.ni, s.nr, s.spii, s.spir); err != nil {
		return err
	}
	s.export(s)
	return s.protect()
}

// protect readies the protection of messages.
func (s *SA) protect() error {
	i, err := suite.NewProtection(s.suite, s.keys.EI, s.keys.AI)
	if err != nil {
		return err
	}
	r, err := suite.NewProtection(s.suite, s.keys.ER, s.keys.AR)
	if err != nil {
		return err
	}
	if s.out, s.in = i, r; !s.initiator {
		s.out, s.in = r, i
	}
	return nil
}

// ikeOffer returns the SA payload with all our proposals, numbered from 1 (RFC 7296 section 3.3).
func ikeOffer(ps []policy.Proposal) wire2.SA {
	var sa wire2.SA
	for i, p := range ps {
		sa.Proposals = append(sa.Proposals, p.Wire(uint8(i+1), wire2.ProtoIKE, nil))
	}
	return sa
}

// offersMethod reports whether a proposal of ours names a key exchange method.
func offersMethod(ps []policy.Proposal, method uint16) bool {
	for _, p := range ps {
		for _, t := range p {
			if t.Type == wire2.TransformKE && t.ID == method {
				return true
			}
		}
	}
	return false
}
