package policy

import "crypto/sha1"

// AuthSignature is the authenticator of a side that signs with a private key, whose public half is in a certificate or is
// known by itself (RFC 7296 section 2.15, RFC 7427).
const AuthSignature = "signature"

// Signs reports whether the side authenticates itself by a signature.
func (e *Endpoint) Signs() bool { return e.Auth == AuthSignature }

// SendCertificate says when our certificates go to the peer.
type SendCertificate uint8

// Choices of SendCertificate.
const (
	CertificateAlways  SendCertificate = iota // safe: a peer that did not ask may need it all the same (RFC7296-3.6-1)
	CertificateIfAsked                        // only when the peer sent a CERTREQ
	CertificateNever                          // the peer has it already
)

var sendCertificateWords = []string{"always", "if-asked", "never"}

// SendCertificateWords lists the words of the configuration, in the order of the choices.
func SendCertificateWords() []string { return sendCertificateWords }

// String returns the word in the configuration.
func (c SendCertificate) String() string { return nth(sendCertificateWords, c) }

// Anchor names a certification authority that we trust: the SHA-1 hash of its SubjectPublicKeyInfo in DER. The hash is a
// name and protects nothing (RFC 7296 section 3.7).
type Anchor [sha1.Size]byte

// AnchorOf returns the name of an authority with a public key, a SubjectPublicKeyInfo in DER.
func AnchorOf(publicKey []byte) Anchor { return sha1.Sum(publicKey) }
