package suite

import (
	"slices"

	"github.com/parley-ike/parley/sdk/secret"
)

// SignedOctets returns what an AUTH payload signs: the sender's first message as it was sent, the other side's nonce, and
// prf(SK_p, RestOfIDPayload), where idBody is the body of the sender's ID payload (RFC 7296 section 2.15). prf is that of
// the IKE SA, which DeriveIKE has accepted; for any other the result is nil.
func SignedOctets(prf PRFID, message, otherNonce []byte, skP secret.Bytes, idBody []byte) []byte {
	p, ok := LookupPRF(prf)
	if !ok {
		return nil
	}
	return slices.Concat(message, otherNonce, p.Sum(skP, idBody))
}
