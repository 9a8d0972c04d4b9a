// Package chain judges a peer's certificates: the chain to a configured authority (RFC 5280 section 6, by crypto/x509), usage and
// identity (RFC 4945). It is pure: time and authorities are given.
//
// Promises: a peer's certificates are bounded in number, size and keys before anything is computed with them. Every reason names what
// differs: both identities, the dates, the issuer. Names of a certificate are shown in printable ASCII and bounded.
//
// Limits: revocation is not looked at; its place is between the chain and the identity, in Judge. An extended key usage for TLS is taken
// for one of IKE, which RFC 4945 section 5.1.3.12 does not foresee, because most authorities for gateways issue nothing else.
package chain
