package ikev2

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// This file is about what signatures need beside AUTH: certificates, requests for them, and hash algorithms. Connections with
// pre-shared keys on both sides send and read none of it.

const (
	// certX509Signature is the encoding of a certificate in DER (RFC 7296 section 3.6). Hash-and-URL is not announced
	// (HTTP_CERT_LOOKUP_SUPPORTED) and not fetched: a stranger would choose where our requests go.
	certX509Signature = 4
	// maxPeerCerts bounds the chain of a peer. Four must be accepted (RFC7296-3.6-2); chains with cross-signed authorities
	// have some more.
	maxPeerCerts = 10
	// maxAnchors bounds the authorities that a CERTREQ of ours names: those in IKE_SA_INIT must fit one packet on every path.
	maxAnchors = 32
	// maxIssuers bounds the authorities of a peer's CERTREQ that are looked at.
	maxIssuers = 256
	// maxPeerHashes bounds the hash algorithms of a peer that are looked at. IANA lists fewer than ten.
	maxPeerHashes = 32
	// authorityLen is the size of an authority's name, a SHA-1 hash (RFC 7296 section 3.7).
	authorityLen = 20
)

// signatureHashes are those that we accept in signatures: SHA2-256, SHA2-384, SHA2-512 (RFC 7427 section 7) and Identity
// (RFC 8420 section 2). SHA-1 is left out (RFC 8247 section 3.2).
var signatureHashes = []uint16{2, 3, 4, 5}

// hashNotify announces which hashes a peer that signs may use (RFC 7427 section 4).
func hashNotify(from ...*policy.Connection) []wire2.Payload {
	if !slices.ContainsFunc(from, peerSigns) {
		return nil
	}
	var data []byte
	for _, h := range signatureHashes {
		data = binary.BigEndian.AppendUint16(data, h)
	}
	return []wire2.Payload{wire2.Notify{Kind: wire2.SignatureHashAlgorithms, Data: data}}
}

func peerSigns(c *policy.Connection) bool { return c.Remote.Signs() }

// certRequest asks for a certificate of an authority that we trust (RFC 7296 section 3.7), when one of the connections that may
// be meant wants the peer to sign.
func (s *SA) certRequest(from ...*policy.Connection) []wire2.Payload {
	anchors := s.env.Policy.Anchors
	if len(anchors) == 0 || !slices.ContainsFunc(from, peerSigns) {
		return nil
	}
	r := wire2.CertReq{Encoding: certX509Signature}
	for _, a := range anchors[:min(len(anchors), maxAnchors)] {
		r.Authorities = append(r.Authorities, a[:]...)
	}
	return []wire2.Payload{r}
}

// terms are what a peer says about our signature.
type terms struct {
	asked   bool     // for a certificate
	issuers [][]byte // by one of these; a suggestion (RFC 7296 section 3.7)
	hashes  []uint16 // that it accepts, nil when it knows no RFC 7427
}

// termsFor reads the peer's IKE_SA_INIT message, which names its hashes, and the message that may have its CERTREQ: the same one
// for an initiator (auth is nil), IKE_AUTH for a responder.
func (s *SA) termsFor(auth []wire2.Payload) (t terms) {
	if !s.conn.Local.Signs() {
		return t
	}
	m, err := wire2.Parse(s.peerInit)
	if err != nil {
		return t
	}
	asking := m.Payloads
	if auth != nil {
		asking = auth
	}
	t.hashes = hashesIn(m.Payloads)
	for _, p := range asking {
		if r, ok := p.(wire2.CertReq); ok && r.Encoding == certX509Signature {
			t.asked = true
			t.issuers = append(t.issuers, authorities(r)...)
		}
	}
	t.issuers = t.issuers[:min(len(t.issuers), maxIssuers)]
	return t
}

// hashesIn returns the hash algorithms of a SIGNATURE_HASH_ALGORITHMS notify, nil for none (RFC 7427 section 4).
func hashesIn(ps []wire2.Payload) (list []uint16) {
	n, _ := wire2.GetNotify(ps, wire2.SignatureHashAlgorithms)
	for d := n.Data; len(d) >= 2 && len(list) < maxPeerHashes; d = d[2:] {
		list = append(list, binary.BigEndian.Uint16(d))
	}
	return list
}

// authorities takes a CERTREQ apart; what is no whole hash at its end is left out.
func authorities(r wire2.CertReq) (list [][]byte) {
	for d := r.Authorities; len(d) >= authorityLen && len(list) < maxIssuers; d = d[authorityLen:] {
		list = append(list, d[:authorityLen])
	}
	return list
}

// ownCerts returns our CERT payloads, the certificate of the signing key first (RFC7296-3.6-4).
func (s *SA) ownCerts(r machine.Signed, asked bool) (ps []wire2.Payload) {
	if how := s.conn.Local.SendCert; how == policy.CertificateNever || how == policy.CertificateIfAsked && !asked {
		return nil
	}
	for _, c := range r.Certs {
		ps = append(ps, wire2.Cert{Encoding: certX509Signature, Data: c})
	}
	return ps
}

// certificates returns the peer's X.509 certificates in order, the end certificate first (RFC 7296 section 3.6).
func certificates(ps []wire2.Payload) (certs [][]byte) {
	for _, p := range ps {
		if c, ok := p.(wire2.Cert); ok && c.Encoding == certX509Signature {
			certs = append(certs, c.Data)
		}
	}
	return certs
}

// oddCertificates objects to certificates that we cannot judge: too many, or none in a form that we read.
func oddCertificates(ps []wire2.Payload) *failure {
	certs := certificates(ps)
	if len(certs) > maxPeerCerts {
		return &failure{cause: event.CauseAuthentication, notify: wire2.AuthenticationFailed, by: byUs, reason: fmt.Sprintf(
			"the peer sent %d certificates, and at most %d are accepted: let it send its own and the authorities between that and a root",
			len(certs), maxPeerCerts)}
	}
	c, sent := wire2.Get[wire2.Cert](ps)
	if sent && len(certs) == 0 {
		return &failure{cause: event.CauseUnsupported, notify: wire2.AuthenticationFailed, by: byUs, reason: fmt.Sprintf(
			"the peer sent its certificate in encoding %d%s: let it send X.509 certificates themselves (encoding %d)",
			c.Encoding, encodingNames[c.Encoding], certX509Signature)}
	}
	return nil
}

// encodingNames are those of RFC 7296 section 3.6 that peers may have configured in place of ours.
var encodingNames = map[uint8]string{1: " (PKCS #7)", 11: " (raw RSA key)", 12: " (hash and URL)", 13: " (hash and URL of a bundle)", 15: " (raw public key)"}
