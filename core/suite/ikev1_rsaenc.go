package suite

import (
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/sdk/secret"
)

// SKEYIDEncryption returns SKEYID for authentication with public key encryption: prf(hash(Ni_b | Nr_b), CKY-I | CKY-R) (RFC
// 2409 section 5). With bare it is prf(Ni_b | Nr_b, CKY-I | CKY-R), a Cisco router's deviation.
func SKEYIDEncryption(prf PRFID, ni, nr secret.Bytes, cookieI, cookieR uint64, bare bool) (secret.Bytes, error) {
	p, err := lookupPRF(prf)
	if err != nil {
		return nil, err
	}
	key := append(ni.Clone(), nr...)
	defer key.Wipe()
	if !bare {
		digest := p.Digest(key)
		defer clear(digest)
		return p.Sum(digest, wire1.CookieSPI(cookieI, cookieR)), nil
	}
	return p.Sum(key, wire1.CookieSPI(cookieI, cookieR)), nil
}
