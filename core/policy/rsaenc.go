package policy

// Authenticators of sides that prove themselves by decrypting, in IKEv1 alone (RFC 2409 sections 5.2 and 5.3).
const (
	AuthRSAEncryption        = "rsaenc"
	AuthRevisedRSAEncryption = "rsaenc-revised"
)

// Decrypts reports whether the side authenticates itself by decrypting what its public key encrypted.
func (e *Endpoint) Decrypts() bool {
	return e.Auth == AuthRSAEncryption || e.Auth == AuthRevisedRSAEncryption
}

// RSADeviation is a known deviation of a peer from RSA encryption as RFC 2409 has it.
type RSADeviation uint8

// Deviations.
const (
	NoRSADeviation RSADeviation = iota
	// CiscoRSA computes SKEYID from the nonces themselves in place of their hash, and sends no HASH(1).
	CiscoRSA
	// HuaweiRSA begins every payload of the revised mode with an IV of zero, and counts padding with its last octet; no HASH(1).
	HuaweiRSA
)

var rsaDeviationWords = []string{"none", "cisco", "huawei"}

// RSADeviationWords lists the words of the configuration, in the order of the deviations.
func RSADeviationWords() []string { return rsaDeviationWords }

// String returns the word in the configuration.
func (d RSADeviation) String() string { return nth(rsaDeviationWords, d) }
