package machine

import "github.com/parley-ike/parley/sdk/secret"

// Export gives away the keys that protect the messages of an IKE SA, so that somebody can decrypt a capture of them. Only
// machines whose environment says so have this effect. The keys belong to the receiver, who wipes them.
type Export struct{ Keys Keys }

// Keys protect the messages of one IKE SA.
type Keys struct {
	Version              uint8 // of IKE
	SPIi, SPIr           uint64
	Encr, KeyBits, Integ uint16       // IANA transform IDs of IKEv2; Integ is 0 for combined-mode ciphers
	EncrI, EncrR         secret.Bytes // with the salt at the end for AEAD ciphers; in IKEv1 EncrI serves both directions
	IntegI, IntegR       secret.Bytes
}

// Wipe overwrites the keys.
func (k *Keys) Wipe() {
	for _, b := range []secret.Bytes{k.EncrI, k.EncrR, k.IntegI, k.IntegR} {
		b.Wipe()
	}
}

func (Export) effect() {}
