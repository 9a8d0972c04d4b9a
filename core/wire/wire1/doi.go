package wire1

// KeyIKE is the transform ID of PROTO_ISAKMP (RFC 2407 section 4.4.2.1).
const KeyIKE uint8 = 1

// Transform IDs of ESP (RFC 2407 section 4.4.4; 12 from RFC 3602, 13 from RFC 3686, 14 to 16 from RFC 4309, 18 to 20 from
// RFC 4106, 22 from RFC 4312, 23 from RFC 4543).
const (
	ESPDES      uint8 = 2
	ESP3DES     uint8 = 3
	ESPCAST     uint8 = 6
	ESPBlowfish uint8 = 7
	ESPNull     uint8 = 11
	ESPAESCBC   uint8 = 12
	ESPAESCTR   uint8 = 13
	ESPAESCCM8  uint8 = 14
	ESPAESCCM12 uint8 = 15
	ESPAESCCM16 uint8 = 16
	ESPAESGCM8  uint8 = 18
	ESPAESGCM12 uint8 = 19
	ESPAESGCM16 uint8 = 20
	ESPCamellia uint8 = 22
	ESPAESGMAC  uint8 = 23
)

// Attribute classes of phase 2 (RFC 2407 section 4.5; AttrESN from RFC 4304).
const (
	AttrSALifeType     uint16 = 1
	AttrSALifeDuration uint16 = 2
	AttrSAGroup        uint16 = 3
	AttrEncapsulation  uint16 = 4
	AttrIntegrity      uint16 = 5
	AttrSAKeyLength    uint16 = 6 // bits
	AttrKeyRounds      uint16 = 7
	AttrESN            uint16 = 11
)

// Values of AttrEncapsulation (RFC 2407 section 4.5; 3 and 4 from RFC 3947 section 5.1, the last two from its drafts).
const (
	EncapsulationTunnel            uint16 = 1
	EncapsulationTransport         uint16 = 2
	EncapsulationUDPTunnel         uint16 = 3
	EncapsulationUDPTransport      uint16 = 4
	EncapsulationUDPTunnelDraft    uint16 = 61443
	EncapsulationUDPTransportDraft uint16 = 61444
)

// Values of AttrIntegrity (RFC 2407 section 4.5; 5 to 7 from RFC 4868, 9 from RFC 3566).
const (
	IntegMD5      uint16 = 1
	IntegSHA      uint16 = 2
	IntegDESMAC   uint16 = 3
	IntegKPDK     uint16 = 4
	IntegSHA256   uint16 = 5
	IntegSHA384   uint16 = 6
	IntegSHA512   uint16 = 7
	IntegRIPEMD   uint16 = 8
	IntegAESXCBC  uint16 = 9
	IntegAES128GM uint16 = 11 // RFC 4543, as the two below
	IntegAES192GM uint16 = 12
	IntegAES256GM uint16 = 13
)

// ESPName returns the name of an ESP transform.
func ESPName(id uint8) string { return nameOf(espNames, "ESP", id) }

var espNames = map[uint8]string{
	1: "ESP_DES_IV64", ESPDES: "ESP_DES", ESP3DES: "ESP_3DES", 4: "ESP_RC5", 5: "ESP_IDEA", ESPCAST: "ESP_CAST", ESPBlowfish: "ESP_BLOWFISH",
	8: "ESP_3IDEA", 9: "ESP_DES_IV32", 10: "ESP_RC4", ESPNull: "ESP_NULL", ESPAESCBC: "ESP_AES-CBC", ESPAESCTR: "ESP_AES-CTR",
	ESPAESCCM8: "ESP_AES-CCM_8", ESPAESCCM12: "ESP_AES-CCM_12", ESPAESCCM16: "ESP_AES-CCM_16", ESPAESGCM8: "ESP_AES-GCM_8",
	ESPAESGCM12: "ESP_AES-GCM_12", ESPAESGCM16: "ESP_AES-GCM_16", 21: "ESP_SEED_CBC", ESPCamellia: "ESP_CAMELLIA", ESPAESGMAC: "ESP_NULL_AUTH_AES-GMAC",
}

// AHName returns the name of an AH transform (RFC 2407 section 4.4.3).
func AHName(id uint8) string { return nameOf(ahNames, "AH", id) }

var ahNames = map[uint8]string{
	2: "AH_MD5", 3: "AH_SHA", 4: "AH_DES", 5: "AH_SHA2-256", 6: "AH_SHA2-384", 7: "AH_SHA2-512", 8: "AH_RIPEMD", 9: "AH_AES-XCBC-MAC",
}

// IPCOMPName returns the name of an IPCOMP transform (RFC 2407 section 4.4.5).
func IPCOMPName(id uint8) string { return nameOf(ipcompNames, "IPCOMP", id) }

var ipcompNames = map[uint8]string{1: "IPCOMP_OUI", 2: "IPCOMP_DEFLATE", 3: "IPCOMP_LZS"}

// SAAttributeName returns the name of an attribute class of phase 2.
func SAAttributeName(t uint16) string { return nameOf(saAttributeNames, "ATTRIBUTE", t) }

var saAttributeNames = map[uint16]string{
	AttrSALifeType: "SA Life Type", AttrSALifeDuration: "SA Life Duration", AttrSAGroup: "Group Description",
	AttrEncapsulation: "Encapsulation Mode", AttrIntegrity: "Authentication Algorithm", AttrSAKeyLength: "Key Length",
	AttrKeyRounds: "Key Rounds", 8: "Compress Dictionary Size", 9: "Compress Private Algorithm", 10: "ECN Tunnel",
	AttrESN: "Extended (64-bit) Sequence Number",
}

// EncapsulationName returns the name of a value of AttrEncapsulation.
func EncapsulationName(v uint16) string { return nameOf(encapsulationNames, "ENCAPSULATION", v) }

var encapsulationNames = map[uint16]string{
	EncapsulationTunnel: "Tunnel", EncapsulationTransport: "Transport", EncapsulationUDPTunnel: "UDP-Encapsulated-Tunnel",
	EncapsulationUDPTransport: "UDP-Encapsulated-Transport", EncapsulationUDPTunnelDraft: "UDP-Encapsulated-Tunnel (draft)",
	EncapsulationUDPTransportDraft: "UDP-Encapsulated-Transport (draft)",
}

// IntegrityName returns the name of a value of AttrIntegrity.
func IntegrityName(v uint16) string { return nameOf(integrityNames, "AUTH", v) }

var integrityNames = map[uint16]string{
	IntegMD5: "HMAC-MD5", IntegSHA: "HMAC-SHA", IntegDESMAC: "DES-MAC", IntegKPDK: "KPDK", IntegSHA256: "HMAC-SHA2-256",
	IntegSHA384: "HMAC-SHA2-384", IntegSHA512: "HMAC-SHA2-512", IntegRIPEMD: "HMAC-RIPEMD", IntegAESXCBC: "AES-XCBC-MAC",
	10: "SIG-RSA", IntegAES128GM: "AES-128-GMAC", IntegAES192GM: "AES-192-GMAC", IntegAES256GM: "AES-256-GMAC",
}

// Values of ReplayStatus (RFC 2407 section 4.6.3.2).
const (
	ReplayDisabled uint32 = 0
	ReplayEnabled  uint32 = 1
)
