package suite

import "fmt"

// The tables below name the transforms that peers offer and this package lacks, so that an explanation of a failed
// negotiation can call them by their IANA names.

var encrNames = map[EncrID]string{
	EncrNone: "NONE", EncrNull: "ENCR_NULL",
	1: "ENCR_DES_IV64", 2: "ENCR_DES", 4: "ENCR_RC5", 5: "ENCR_IDEA", 6: "ENCR_CAST", 7: "ENCR_BLOWFISH",
	8: "ENCR_3IDEA", 9: "ENCR_DES_IV32",
	13: "ENCR_AES_CTR", 14: "ENCR_AES_CCM_8", 15: "ENCR_AES_CCM_12", 16: "ENCR_AES_CCM_16",
	18: "ENCR_AES_GCM_8", 19: "ENCR_AES_GCM_12", 21: "ENCR_NULL_AUTH_AES_GMAC",
	23: "ENCR_CAMELLIA_CBC", 24: "ENCR_CAMELLIA_CTR", 25: "ENCR_CAMELLIA_CCM_8", 26: "ENCR_CAMELLIA_CCM_12", 27: "ENCR_CAMELLIA_CCM_16",
	29: "ENCR_AES_CCM_8_IIV", 30: "ENCR_AES_GCM_16_IIV", 31: "ENCR_CHACHA20_POLY1305_IIV",
}

var prfNames = map[PRFID]string{
	PRFNone: "NONE",
	1:       "PRF_HMAC_MD5", 3: "PRF_HMAC_TIGER", 4: "PRF_AES128_XCBC", 8: "PRF_AES128_CMAC",
}

var integNames = map[IntegID]string{
	IntegNone: "NONE",
	1:         "AUTH_HMAC_MD5_96", 3: "AUTH_DES_MAC", 4: "AUTH_KPDK_MD5", 5: "AUTH_AES_XCBC_96", 6: "AUTH_HMAC_MD5_128",
	7: "AUTH_HMAC_SHA1_160", 8: "AUTH_AES_CMAC_96", 9: "AUTH_AES_128_GMAC", 10: "AUTH_AES_192_GMAC", 11: "AUTH_AES_256_GMAC",
}

var keNames = map[KEID]string{
	KENone: "NONE",
	1:      "MODP_768", 22: "MODP_1024_160", 23: "MODP_2048_224", 24: "MODP_2048_256", 25: "ECP_192", 26: "ECP_224",
	27: "BRAINPOOL_224", 33: "GOST3410_2012_256", 34: "GOST3410_2012_512",
}

// String returns the IANA name, or ENCR_ and the number where there is none here.
func (id EncrID) String() string {
	if e, ok := LookupEncryption(id); ok {
		return e.Name
	}
	return nameOr(encrNames, id, "ENCR")
}

// String returns the IANA name, or PRF_ and the number where there is none here.
func (id PRFID) String() string {
	if p, ok := LookupPRF(id); ok {
		return p.Name
	}
	return nameOr(prfNames, id, "PRF")
}

// String returns the IANA name, or AUTH_ and the number where there is none here.
func (id IntegID) String() string {
	if i, ok := LookupIntegrity(id); ok {
		return i.Name
	}
	return nameOr(integNames, id, "AUTH")
}

// String returns the method's short name, or KE_ and the number where there is none here.
func (id KEID) String() string {
	if k, ok := LookupKE(id); ok {
		return k.Name
	}
	return nameOr(keNames, id, "KE")
}

func nameOr[ID ~uint16](names map[ID]string, id ID, kind string) string {
	if name, ok := names[id]; ok {
		return name
	}
	return fmt.Sprintf("%s_%d", kind, uint16(id))
}
