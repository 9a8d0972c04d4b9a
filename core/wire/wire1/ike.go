package wire1

// Attribute classes of phase 1 (RFC 2409 appendix A).
const (
	AttrEncryption   uint16 = 1
	AttrHash         uint16 = 2
	AttrAuthMethod   uint16 = 3
	AttrGroup        uint16 = 4
	AttrGroupType    uint16 = 5
	AttrGroupPrime   uint16 = 6
	AttrLifeType     uint16 = 11
	AttrLifeDuration uint16 = 12
	AttrPRF          uint16 = 13
	AttrKeyLength    uint16 = 14 // bits
)

// Values of AttrEncryption (RFC 2409 appendix A; 7 from RFC 3602, 8 from RFC 4312).
const (
	EncrDESCBC      uint16 = 1
	EncrIDEACBC     uint16 = 2
	EncrBlowfishCBC uint16 = 3
	EncrRC5CBC      uint16 = 4
	Encr3DESCBC     uint16 = 5
	EncrCASTCBC     uint16 = 6
	EncrAESCBC      uint16 = 7
	EncrCamelliaCBC uint16 = 8
)

// Values of AttrHash (RFC 2409 appendix A; 4 to 6 from RFC 4868).
const (
	HashMD5    uint16 = 1
	HashSHA    uint16 = 2
	HashTiger  uint16 = 3
	HashSHA256 uint16 = 4
	HashSHA384 uint16 = 5
	HashSHA512 uint16 = 6
)

// AuthMethod is a value of AttrAuthMethod.
type AuthMethod uint16

// Authentication methods (RFC 2409 appendix A; 9 to 11 from RFC 4754; from 64221 draft-ietf-ipsec-isakmp-hybrid-auth-05;
// from 65001 draft-beaulieu-ike-xauth-02). Init and Resp say who is authenticated extendedly.
const (
	AuthPSK           AuthMethod = 1
	AuthDSS           AuthMethod = 2
	AuthRSASig        AuthMethod = 3
	AuthRSAEnc        AuthMethod = 4
	AuthRSAEncRevised AuthMethod = 5
	AuthECDSA256      AuthMethod = 9
	AuthECDSA384      AuthMethod = 10
	AuthECDSA521      AuthMethod = 11
	AuthHybridInitRSA AuthMethod = 64221
	AuthHybridRespRSA AuthMethod = 64222
	AuthHybridInitDSS AuthMethod = 64223
	AuthHybridRespDSS AuthMethod = 64224
	AuthXAuthInitPSK  AuthMethod = 65001
	AuthXAuthRespPSK  AuthMethod = 65002
	AuthXAuthInitDSS  AuthMethod = 65003
	AuthXAuthRespDSS  AuthMethod = 65004
	AuthXAuthInitRSA  AuthMethod = 65005
	AuthXAuthRespRSA  AuthMethod = 65006
	AuthXAuthInitEnc  AuthMethod = 65007
	AuthXAuthRespEnc  AuthMethod = 65008
	AuthXAuthInitRev  AuthMethod = 65009
	AuthXAuthRespRev  AuthMethod = 65010
	firstXAuthAuth               = AuthXAuthInitPSK
	firstHybridAuth              = AuthHybridInitRSA
	lastHybridAuth               = AuthHybridRespDSS
	lastXAuthAuth                = AuthXAuthRespRev
)

// Values of AttrLifeType and AttrSALifeType (RFC 2409 appendix A, RFC 2407 section 4.5).
const (
	LifeSeconds   = 1
	LifeKilobytes = 2
)

// DefaultLifetime is the lifetime of an IPsec SA in seconds when none is given (RFC 2407 section 4.5).
const DefaultLifetime = 28800

// IsXAuth reports whether extended authentication follows phase 1: with the methods of XAUTH and the hybrid ones.
func (m AuthMethod) IsXAuth() bool {
	return m >= firstXAuthAuth && m <= lastXAuthAuth || m >= firstHybridAuth && m <= lastHybridAuth
}

// Base returns the method by which phase 1 itself goes when extended authentication follows it, else m. In hybrid authentication one
// side signs, and the other sends what it would have signed (draft-ietf-ipsec-isakmp-hybrid-auth-05 section 4.2).
func (m AuthMethod) Base() AuthMethod {
	switch m {
	case AuthXAuthInitPSK, AuthXAuthRespPSK:
		return AuthPSK
	case AuthXAuthInitRSA, AuthXAuthRespRSA, AuthHybridInitRSA, AuthHybridRespRSA:
		return AuthRSASig
	case AuthXAuthInitDSS, AuthXAuthRespDSS, AuthHybridInitDSS, AuthHybridRespDSS:
		return AuthDSS
	case AuthXAuthInitEnc, AuthXAuthRespEnc:
		return AuthRSAEnc
	case AuthXAuthInitRev, AuthXAuthRespRev:
		return AuthRSAEncRevised
	}
	return m
}

// String returns the RFC's or draft's name.
func (m AuthMethod) String() string { return nameOf(authNames, "AUTH_METHOD", m) }

var authNames = map[AuthMethod]string{
	AuthPSK: "pre-shared key", AuthDSS: "DSS signatures", AuthRSASig: "RSA signatures", AuthRSAEnc: "Encryption with RSA",
	AuthRSAEncRevised: "Revised encryption with RSA", 6: "Encryption with El-Gamal", 7: "Revised encryption with El-Gamal",
	8: "ECDSA signatures", AuthECDSA256: "ECDSA with SHA-256 on the P-256 curve", AuthECDSA384: "ECDSA with SHA-384 on the P-384 curve",
	AuthECDSA521: "ECDSA with SHA-512 on the P-521 curve", AuthHybridInitRSA: "HybridInitRSA", AuthHybridRespRSA: "HybridRespRSA",
	AuthHybridInitDSS: "HybridInitDSS", AuthHybridRespDSS: "HybridRespDSS", AuthXAuthInitPSK: "XAUTHInitPreShared",
	AuthXAuthRespPSK: "XAUTHRespPreShared", AuthXAuthInitDSS: "XAUTHInitDSS", AuthXAuthRespDSS: "XAUTHRespDSS",
	AuthXAuthInitRSA: "XAUTHInitRSA", AuthXAuthRespRSA: "XAUTHRespRSA", AuthXAuthInitEnc: "XAUTHInitRSAEncryption",
	AuthXAuthRespEnc: "XAUTHRespRSAEncryption", AuthXAuthInitRev: "XAUTHInitRSARevisedEncryption", AuthXAuthRespRev: "XAUTHRespRSARevisedEncryption",
}

// AttributeName returns the name of an attribute class of phase 1.
func AttributeName(t uint16) string { return nameOf(attributeNames, "ATTRIBUTE", t) }

var attributeNames = map[uint16]string{
	AttrEncryption: "Encryption Algorithm", AttrHash: "Hash Algorithm", AttrAuthMethod: "Authentication Method",
	AttrGroup: "Group Description", AttrGroupType: "Group Type", AttrGroupPrime: "Group Prime", 7: "Group Generator One",
	8: "Group Generator Two", 9: "Group Curve A", 10: "Group Curve B", AttrLifeType: "Life Type", AttrLifeDuration: "Life Duration",
	AttrPRF: "PRF", AttrKeyLength: "Key Length", 15: "Field Size", 16: "Group Order",
}

// EncryptionName returns the name of a value of AttrEncryption.
func EncryptionName(v uint16) string { return nameOf(encryptionNames, "ENCRYPTION", v) }

var encryptionNames = map[uint16]string{
	EncrDESCBC: "DES-CBC", EncrIDEACBC: "IDEA-CBC", EncrBlowfishCBC: "Blowfish-CBC", EncrRC5CBC: "RC5-R16-B64-CBC",
	Encr3DESCBC: "3DES-CBC", EncrCASTCBC: "CAST-CBC", EncrAESCBC: "AES-CBC", EncrCamelliaCBC: "CAMELLIA-CBC",
}

// HashName returns the name of a value of AttrHash.
func HashName(v uint16) string { return nameOf(hashNames, "HASH", v) }

var hashNames = map[uint16]string{
	HashMD5: "MD5", HashSHA: "SHA", HashTiger: "Tiger", HashSHA256: "SHA2-256", HashSHA384: "SHA2-384", HashSHA512: "SHA2-512",
}
