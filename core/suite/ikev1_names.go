package suite

import "github.com/parley-ike/parley/core/wire/wire1"

// IKEv1 numbers some algorithms differently from IKEv2, whose transform IDs Parley uses inside. These tables translate
// both ways; what is missing from one, IKEv1 cannot say or this package does not implement.

// number pairs an IKEv2 transform ID with IKEv1's number for the same algorithm.
type number[ID, V1 ~uint8 | ~uint16] struct {
	id ID
	v1 V1
}

// ikev1Encryptions: values of the attribute Encryption Algorithm (RFC 2409 appendix A).
var ikev1Encryptions = []number[EncrID, uint16]{{EncrAESCBC, wire1.EncrAESCBC}, {Encr3DES, wire1.Encr3DESCBC}}

// ikev1Hashes: values of the attribute Hash Algorithm (RFC 2409 appendix A). A PRF other than the HMAC of the hash is
// never negotiated.
var ikev1Hashes = []number[PRFID, uint16]{
	{PRFHMACSHA1, wire1.HashSHA}, {PRFHMACSHA256, wire1.HashSHA256}, {PRFHMACSHA384, wire1.HashSHA384}, {PRFHMACSHA512, wire1.HashSHA512},
}

// espTransforms: transform IDs of ESP (RFC 2407 section 4.4.4, RFC 4106 section 9). ESP with ChaCha20-Poly1305 has none.
var espTransforms = []number[EncrID, uint8]{
	{EncrAESCBC, wire1.ESPAESCBC}, {EncrAESGCM16, wire1.ESPAESGCM16}, {encrAESGCM12, wire1.ESPAESGCM12}, {encrAESGCM8, wire1.ESPAESGCM8},
	{Encr3DES, wire1.ESP3DES}, {EncrNull, wire1.ESPNull},
}

// AES-GCM with the short ICVs of RFC 4106: named, so that an offer of them can be explained.
const (
	encrAESGCM8  EncrID = 18
	encrAESGCM12 EncrID = 19
)

// espIntegrities: values of the attribute Authentication Algorithm (RFC 2407 section 4.5, RFC 4868 section 4).
var espIntegrities = []number[IntegID, uint16]{
	{IntegHMACSHA1_96, wire1.IntegSHA}, {IntegHMACSHA256_128, wire1.IntegSHA256}, {IntegHMACSHA384_192, wire1.IntegSHA384}, {IntegHMACSHA512_256, wire1.IntegSHA512},
}

// lastIKEv1Group is the last key exchange method that IKEv1 peers have as a group: the registries of both versions agree up
// to 30, strongSwan uses 31 and 32 as in IKEv2, and a KEM has no place in IKEv1.
const lastIKEv1Group = KECurve448

func idOf[ID, V1 ~uint8 | ~uint16](table []number[ID, V1], v1 V1) (ID, bool) {
	for _, n := range table {
		if n.v1 == v1 {
			return n.id, true
		}
	}
	var none ID
	return none, false
}

func v1Of[ID, V1 ~uint8 | ~uint16](table []number[ID, V1], id ID) (V1, bool) {
	for _, n := range table {
		if n.id == id {
			return n.v1, true
		}
	}
	var none V1
	return none, false
}

// EncrFromIKEv1 returns the algorithm of a value of the attribute Encryption Algorithm.
func EncrFromIKEv1(v uint16) (EncrID, bool) { return idOf(ikev1Encryptions, v) }

// IKEv1 returns the algorithm's value of the attribute Encryption Algorithm.
func (id EncrID) IKEv1() (uint16, bool) { return v1Of(ikev1Encryptions, id) }

// PRFFromIKEv1 returns the HMAC of a value of the attribute Hash Algorithm.
func PRFFromIKEv1(v uint16) (PRFID, bool) { return idOf(ikev1Hashes, v) }

// IKEv1 returns the value of the attribute Hash Algorithm for the hash beneath the HMAC.
func (id PRFID) IKEv1() (uint16, bool) { return v1Of(ikev1Hashes, id) }

// EncrFromESP returns the algorithm of an ESP transform of IKEv1.
func EncrFromESP(id uint8) (EncrID, bool) { return idOf(espTransforms, id) }

// ESP returns the algorithm's transform ID of ESP in IKEv1.
func (id EncrID) ESP() (uint8, bool) { return v1Of(espTransforms, id) }

// IntegFromESP returns the algorithm of a value of the attribute Authentication Algorithm.
func IntegFromESP(v uint16) (IntegID, bool) { return idOf(espIntegrities, v) }

// ESP returns the algorithm's value of the attribute Authentication Algorithm.
func (id IntegID) ESP() (uint16, bool) { return v1Of(espIntegrities, id) }

// KEFromIKEv1 returns the method of a value of the attribute Group Description.
func KEFromIKEv1(group uint16) (KEID, bool) {
	id := KEID(group)
	return id, id != KENone && id <= lastIKEv1Group
}

// IKEv1 returns the method's value of the attribute Group Description.
func (id KEID) IKEv1() (uint16, bool) { return uint16(id), id != KENone && id <= lastIKEv1Group }
