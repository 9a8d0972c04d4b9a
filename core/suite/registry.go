package suite

import (
	"crypto/cipher"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"slices"
)

// EncrID is an encryption algorithm: a transform ID of type 1 (RFC 7296 section 3.3.2).
type EncrID uint16

// Encryption algorithms. EncrNone marks an unset field; EncrNull has a number and no implementation.
const (
	EncrNone             EncrID = 0
	Encr3DES             EncrID = 3 // RFC 2451; weak: its blocks of 64 bits repeat after some gigabytes
	EncrNull             EncrID = 11
	EncrAESCBC           EncrID = 12 // RFC 3602
	EncrAESGCM16         EncrID = 20 // RFC 4106, RFC 5282
	EncrChaCha20Poly1305 EncrID = 28 // RFC 7634
)

// PRFID is a pseudorandom function: a transform ID of type 2 (RFC 7296 section 3.3.2).
type PRFID uint16

// Pseudorandom functions. PRFNone marks an unset field.
const (
	PRFNone       PRFID = 0
	PRFHMACSHA1   PRFID = 2 // RFC 2104
	PRFHMACSHA256 PRFID = 5 // RFC 4868, as the two below
	PRFHMACSHA384 PRFID = 6
	PRFHMACSHA512 PRFID = 7
)

// IntegID is an integrity algorithm: a transform ID of type 3 (RFC 7296 section 3.3.2).
type IntegID uint16

// Integrity algorithms. IntegNone goes with an encryption algorithm that authenticates by itself (RFC 5282 section 8).
const (
	IntegNone           IntegID = 0
	IntegHMACSHA1_96    IntegID = 2  // RFC 2404
	IntegHMACSHA256_128 IntegID = 12 // RFC 4868, as the two below
	IntegHMACSHA384_192 IntegID = 13
	IntegHMACSHA512_256 IntegID = 14
)

// KEID is a key exchange method: a transform ID of type 4 (RFC 7296 section 3.3.2, RFC 9370).
type KEID uint16

// Key exchange methods. KENone means that no key exchange takes place.
const (
	KENone         KEID = 0
	KEMODP1024     KEID = 2 // RFC 7296 appendix B
	KEMODP1536     KEID = 5 // RFC 3526, as those up to 8192
	KEMODP2048     KEID = 14
	KEMODP3072     KEID = 15
	KEMODP4096     KEID = 16
	KEMODP6144     KEID = 17
	KEMODP8192     KEID = 18
	KEECP256       KEID = 19 // RFC 5903, as the two below
	KEECP384       KEID = 20
	KEECP521       KEID = 21
	KEBrainpool256 KEID = 28 // RFC 6954, as the two below
	KEBrainpool384 KEID = 29
	KEBrainpool512 KEID = 30
	KECurve25519   KEID = 31 // RFC 8031, as the one below
	KECurve448     KEID = 32
	KEMLKEM512     KEID = 35 // draft-ietf-ipsecme-ikev2-mlkem, as the two below
	KEMLKEM768     KEID = 36
	KEMLKEM1024    KEID = 37
)

// Encryption is a row of the table of encryption algorithms. Lengths are in octets.
type Encryption struct {
	ID          EncrID
	Name        string // as IANA has it, such as "ENCR_AES_GCM_16"
	AEAD        bool   // authenticates too: goes without an integrity algorithm
	KeyBits     []int  // legal values of the key length attribute; nil: the key is fixed and there is no attribute
	FixedKeyLen int    // when KeyBits is nil
	SaltLen     int    // taken from the keying material after the key
	IVLen       int    // explicit, in every message
	BlockLen    int    // what an Encrypted payload is padded to (ESP pads to 4 at least)
	ICVLen      int    // AEAD only; otherwise the integrity algorithm has it

	tokens   []string // preferred first; %d stands for the key bits
	newAEAD  func(key []byte) (cipher.AEAD, error)
	newBlock func(key []byte) (cipher.Block, error)
}

// PRF is a row of the table of pseudorandom functions. Lengths are in octets.
type PRF struct {
	ID     PRFID
	Name   string // as IANA has it, such as "PRF_HMAC_SHA2_256"
	KeyLen int    // the preferred key length, that of SK_d, SK_pi and SK_pr (RFC 7296 section 2.13)
	OutLen int

	tokens  []string
	newMAC  func(key []byte) hash.Hash
	newHash func() hash.Hash // beneath the HMAC: what IKEv1 negotiates (RFC 2409 section 4)
}

// Integrity is a row of the table of integrity algorithms. Lengths are in octets.
type Integrity struct {
	ID     IntegID
	Name   string // as IANA has it, such as "AUTH_HMAC_SHA2_256_128"
	KeyLen int
	ICVLen int // what is sent of the MAC

	tokens []string
	newMAC func(key []byte) hash.Hash
}

// KeyExchange is a row of the table of key exchange methods. Plugins perform them; the core knows their names.
type KeyExchange struct {
	ID    KEID
	Name  string // such as "CURVE25519"
	Token string // the preferred token, such as "x25519"

	aliases []string
}

var aesKeyBits = []int{128, 192, 256}

var encryptions = []Encryption{
	{ID: EncrAESGCM16, Name: "ENCR_AES_GCM_16", AEAD: true, KeyBits: aesKeyBits, SaltLen: 4, IVLen: 8, BlockLen: 1, ICVLen: 16,
		tokens: []string{"aes%dgcm16", "aes%dgcm"}, newAEAD: newAESGCM},
	{ID: EncrChaCha20Poly1305, Name: "ENCR_CHACHA20_POLY1305", AEAD: true, FixedKeyLen: 32, SaltLen: 4, IVLen: 8, BlockLen: 1, ICVLen: 16,
		tokens: []string{"chacha20poly1305"}, newAEAD: newChaCha20Poly1305},
	{ID: EncrAESCBC, Name: "ENCR_AES_CBC", KeyBits: aesKeyBits, IVLen: 16, BlockLen: 16,
		tokens: []string{"aes%d", "aes%dcbc"}, newBlock: newAESCBC},
	{ID: Encr3DES, Name: "ENCR_3DES", FixedKeyLen: 24, IVLen: 8, BlockLen: 8, tokens: []string{"3des"}, newBlock: newTripleDES},
}

var prfs = []PRF{
	{ID: PRFHMACSHA256, Name: "PRF_HMAC_SHA2_256", KeyLen: 32, OutLen: 32, tokens: []string{"prfsha256"}, newMAC: newHMACSHA256, newHash: sha256.New},
	{ID: PRFHMACSHA384, Name: "PRF_HMAC_SHA2_384", KeyLen: 48, OutLen: 48, tokens: []string{"prfsha384"}, newMAC: newHMACSHA384, newHash: sha512.New384},
	{ID: PRFHMACSHA512, Name: "PRF_HMAC_SHA2_512", KeyLen: 64, OutLen: 64, tokens: []string{"prfsha512"}, newMAC: newHMACSHA512, newHash: sha512.New},
	{ID: PRFHMACSHA1, Name: "PRF_HMAC_SHA1", KeyLen: 20, OutLen: 20, tokens: []string{"prfsha1"}, newMAC: newHMACSHA1, newHash: sha1.New},
}

var integrities = []Integrity{
	{ID: IntegHMACSHA256_128, Name: "AUTH_HMAC_SHA2_256_128", KeyLen: 32, ICVLen: 16, tokens: []string{"sha256"}, newMAC: newHMACSHA256},
	{ID: IntegHMACSHA384_192, Name: "AUTH_HMAC_SHA2_384_192", KeyLen: 48, ICVLen: 24, tokens: []string{"sha384"}, newMAC: newHMACSHA384},
	{ID: IntegHMACSHA512_256, Name: "AUTH_HMAC_SHA2_512_256", KeyLen: 64, ICVLen: 32, tokens: []string{"sha512"}, newMAC: newHMACSHA512},
	{ID: IntegHMACSHA1_96, Name: "AUTH_HMAC_SHA1_96", KeyLen: 20, ICVLen: 12, tokens: []string{"sha1"}, newMAC: newHMACSHA1},
}

var keyExchanges = []KeyExchange{
	{ID: KECurve25519, Name: "CURVE25519", Token: "x25519", aliases: []string{"curve25519"}},
	{ID: KECurve448, Name: "CURVE448", Token: "x448", aliases: []string{"curve448"}},
	{ID: KEECP256, Name: "ECP_256", Token: "ecp256"},
	{ID: KEECP384, Name: "ECP_384", Token: "ecp384"},
	{ID: KEECP521, Name: "ECP_521", Token: "ecp521"},
	{ID: KEMODP2048, Name: "MODP_2048", Token: "modp2048"},
	{ID: KEMODP3072, Name: "MODP_3072", Token: "modp3072"},
	{ID: KEMODP4096, Name: "MODP_4096", Token: "modp4096"},
	{ID: KEMODP6144, Name: "MODP_6144", Token: "modp6144"},
	{ID: KEMODP8192, Name: "MODP_8192", Token: "modp8192"},
	{ID: KEMODP1536, Name: "MODP_1536", Token: "modp1536"},
	{ID: KEMODP1024, Name: "MODP_1024", Token: "modp1024"},
	{ID: KEBrainpool256, Name: "BRAINPOOL_256", Token: "brainpool256"},
	{ID: KEBrainpool384, Name: "BRAINPOOL_384", Token: "brainpool384"},
	{ID: KEBrainpool512, Name: "BRAINPOOL_512", Token: "brainpool512"},
	{ID: KEMLKEM512, Name: "ML_KEM_512", Token: "mlkem512"},
	{ID: KEMLKEM768, Name: "ML_KEM_768", Token: "mlkem768"},
	{ID: KEMLKEM1024, Name: "ML_KEM_1024", Token: "mlkem1024"},
}

// LookupEncryption returns the row of an algorithm that this package implements. Rows are shared: do not change them.
func LookupEncryption(id EncrID) (*Encryption, bool) {
	return row(encryptions, func(e *Encryption) bool { return e.ID == id })
}

// LookupPRF is LookupEncryption for pseudorandom functions.
func LookupPRF(id PRFID) (*PRF, bool) { return row(prfs, func(p *PRF) bool { return p.ID == id }) }

// LookupIntegrity is LookupEncryption for integrity algorithms; IntegNone is none.
func LookupIntegrity(id IntegID) (*Integrity, bool) {
	return row(integrities, func(i *Integrity) bool { return i.ID == id })
}

// LookupKE returns the row of a key exchange method that has a name and a token; whether a plugin performs it is
// another question.
func LookupKE(id KEID) (*KeyExchange, bool) {
	return row(keyExchanges, func(k *KeyExchange) bool { return k.ID == id })
}

func row[R any](table []R, is func(*R) bool) (*R, bool) {
	for i := range table {
		if is(&table[i]) {
			return &table[i], true
		}
	}
	return nil, false
}

// KeyLen returns the length of a key of that many bits in octets, the salt not counted, and whether the algorithm
// allows it. Zero bits stand for a fixed key, where the key length attribute is absent (RFC 7296 section 3.3.5).
func (e *Encryption) KeyLen(bits int) (octets int, ok bool) {
	if e.KeyBits == nil {
		return e.FixedKeyLen, bits == 0
	}
	return bits / 8, slices.Contains(e.KeyBits, bits)
}
