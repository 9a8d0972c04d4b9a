package container

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"

	"github.com/parley-ike/parley/sdk/secret"
)

// What a passphrase may cost: some seconds, ten times what tools choose.
const (
	maxIterations = 10_000_000 // of PBKDF2
	maxScrypt     = 1 << 28    // octets of memory, 128 N r
	maxSalt       = 1024       // octets
)

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5958 section 3).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2 is PBES2-params, and pbkdf2Params PBKDF2-params (RFC 8018 appendix A).
type pbes2 struct{ KDF, Cipher pkix.AlgorithmIdentifier }

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLen     int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// scryptParams are those of RFC 7914 section 7.
type scryptParams struct {
	Salt    []byte
	N, R, P int
	KeyLen  int `asn1:"optional"`
}

const (
	oidPBES2  = "1.2.840.113549.1.5.13"
	oidPBKDF2 = "1.2.840.113549.1.5.12"
	oidScrypt = "1.3.6.1.4.1.11591.4.11"
)

// prfs are those of RFC 8018 appendix B.1; without one it is HMAC-SHA-1.
var prfs = map[string]func() hash.Hash{
	"": sha1.New, "1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.8": sha256.New224, "1.2.840.113549.2.9": sha256.New,
	"1.2.840.113549.2.10": sha512.New384, "1.2.840.113549.2.11": sha512.New,
}

// ciphers are those of RFC 8018 appendix B.2 that are not broken: AES-128, -192 and -256 and triple DES, in CBC mode.
var ciphers = map[string]struct {
	keyLen int
	open   func([]byte) (cipher.Block, error)
}{
	"2.16.840.1.101.3.4.1.2": {16, aes.NewCipher}, "2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher}, "1.2.840.113549.3.7": {24, des.NewTripleDESCipher},
}

var errWrong = fmt.Errorf("its key does not open: the %w is wrong, or the file is damaged", ErrPassphrase)

func isEncrypted(der []byte) bool {
	var k encryptedKey
	rest, err := asn1.Unmarshal(der, &k)
	return err == nil && len(rest) == 0 && len(k.Data) > 0
}

func (c *Content) addEncrypted(der []byte, passphrase secret.Bytes) error {
	if len(passphrase) == 0 {
		return fmt.Errorf("its key is encrypted and there is no %w: write it into a file of its own, chmod 600 it, and name it with passphrase = \"FILE\"", ErrPassphrase)
	}
	plain, err := decrypt(der, passphrase)
	if err != nil {
		return err
	}
	defer plain.Wipe()
	if c.addKey(plain) != nil {
		return errWrong
	}
	return nil
}

// decrypt is RFC 8018 section 6.2.2.
func decrypt(der []byte, passphrase secret.Bytes) (secret.Bytes, error) {
	var k encryptedKey
	if rest, err := asn1.Unmarshal(der, &k); err != nil || len(rest) > 0 {
		return nil, errors.New("its encrypted key is damaged")
	}
	if oid := k.Algorithm.Algorithm.String(); oid != oidPBES2 {
		return nil, fmt.Errorf("its key is encrypted by an old method (%s): encrypt it anew with openssl pkcs8 -topk8 -in FILE -out NEW", oid)
	}
	var p pbes2
	if _, err := asn1.Unmarshal(k.Algorithm.Parameters.FullBytes, &p); err != nil {
		return nil, errors.New("the parameters of its encryption are damaged")
	}
	method, ok := ciphers[p.Cipher.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("its key is encrypted with the cipher %v: encrypt it anew with openssl pkcs8 -topk8 -v2 aes256 -in FILE -out NEW", p.Cipher.Algorithm)
	}
	key, err := derive(p.KDF, passphrase, method.keyLen)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	block, err := method.open(key)
	if err != nil {
		return nil, err
	}
	var iv []byte
	if _, err := asn1.Unmarshal(p.Cipher.Parameters.FullBytes, &iv); err != nil || len(iv) != block.BlockSize() {
		return nil, errors.New("the initialisation vector of its encryption is damaged")
	}
	return unpad(block, iv, k.Data)
}

// unpad decrypts and takes the padding away (RFC 8018 section 6.1.1 step 4).
func unpad(block cipher.Block, iv, data []byte) (secret.Bytes, error) {
	size := block.BlockSize()
	if len(data) == 0 || len(data)%size != 0 {
		return nil, errors.New("its encrypted key is cut off")
	}
	plain := make(secret.Bytes, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > size {
		plain.Wipe()
		return nil, errWrong
	}
	return plain[:len(plain)-pad], nil
}

func derive(kdf pkix.AlgorithmIdentifier, passphrase secret.Bytes, size int) (secret.Bytes, error) {
	switch oid := kdf.Algorithm.String(); oid {
	case oidPBKDF2:
		return derivePBKDF2(kdf.Parameters.FullBytes, passphrase, size)
	case oidScrypt:
		return deriveScrypt(kdf.Parameters.FullBytes, passphrase, size)
	default:
		return nil, fmt.Errorf("the key of its encryption is derived by %s: encrypt it anew with openssl pkcs8 -topk8 -in FILE -out NEW", oid)
	}
}

func derivePBKDF2(params []byte, passphrase secret.Bytes, size int) (secret.Bytes, error) {
	var p pbkdf2Params
	if _, err := asn1.Unmarshal(params, &p); err != nil || len(p.Salt) == 0 || len(p.Salt) > maxSalt || p.KeyLen != 0 && p.KeyLen != size {
		return nil, errors.New("the parameters of PBKDF2 are damaged")
	}
	prf, ok := prfs[oidText(p.PRF.Algorithm)]
	switch {
	case !ok:
		return nil, fmt.Errorf("PBKDF2 with the function %v is not known", p.PRF.Algorithm)
	case p.Iterations < 1 || p.Iterations > maxIterations:
		return nil, fmt.Errorf("PBKDF2 with %d iterations: 1 to %d are allowed", p.Iterations, maxIterations)
	}
	return pbkdf2.Key(prf, string(passphrase), p.Salt, p.Iterations, size)
}

// oidText is "" for none.
func oidText(oid asn1.ObjectIdentifier) string {
	if len(oid) == 0 {
		return ""
	}
	return oid.String()
}

func deriveScrypt(params []byte, passphrase secret.Bytes, size int) (secret.Bytes, error) {
	var p scryptParams
	if _, err := asn1.Unmarshal(params, &p); err != nil || len(p.Salt) > maxSalt || p.KeyLen != 0 && p.KeyLen != size {
		return nil, errors.New("the parameters of scrypt are damaged")
	}
	if p.N < 2 || p.R < 1 || p.P < 1 || p.P > 16 || p.R > 1024 || p.N > maxScrypt/128/p.R {
		return nil, fmt.Errorf("scrypt with N %d, r %d, p %d: at most %d octets and 16 passes are allowed", p.N, p.R, p.P, maxScrypt)
	}
	key, err := scrypt.Key(passphrase, p.Salt, p.N, p.R, p.P, size)
	if err != nil {
		return nil, errors.New("the parameters of scrypt are damaged")
	}
	return key, nil
}
