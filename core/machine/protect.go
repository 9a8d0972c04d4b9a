package machine

import "github.com/parley-ike/parley/sdk/secret"

// Protect asks an authenticator to encrypt bodies of payloads for the peer with its public key (RFC 2409 sections 5.2 and 5.3).
// The symmetric encryption of section 5.3 is the core's. Answer: Protected.
type Protect struct {
	Auth          string // the connection's setting, "rsaenc"; chooses the plugin
	Local, Remote Identity
	Certs         [][]byte       // the peer's as it sent them, DER; none: the public key that is configured for Remote
	Plain         []secret.Bytes // each encrypted by itself; one RSA block holds it
}

// Protected carries a ciphertext for each body.
type Protected struct {
	Cipher [][]byte
	Key    []byte   // the peer's certificate or public key that was used, DER: what HASH(1) of section 5.2 covers
	Certs  [][]byte // ours for the peer to encrypt to, DER, the end certificate first; none with a bare key
}

// Unprotect asks an authenticator to decrypt bodies of payloads with our private key. Answer: Unprotected.
//
// A ciphertext whose padding is wrong gives a plaintext all the same, of a length and with octets that nobody can predict
// (implicit rejection). The exchange goes on with it and fails at the peer's HASH: whoever tells the two apart sooner, by an error, an
// answer less, or time, decrypts for strangers.
type Unprotect struct {
	Auth    string
	Local   Identity // type 0: any of ours
	KeyHash []byte   // HASH(1), the hash of our certificate or public key that the peer has used; nil: our first
	PRF     uint16   // IKEv2 transform ID, naming the hash of HASH(1)
	Cipher  [][]byte
}

// Unprotected carries a plaintext for each body.
type Unprotected struct{ Plain []secret.Bytes }

func (Protect) op()         {}
func (Unprotect) op()       {}
func (Protected) result()   {}
func (Unprotected) result() {}

func wipeAll(secrets []secret.Bytes) {
	for _, s := range secrets {
		s.Wipe()
	}
}
