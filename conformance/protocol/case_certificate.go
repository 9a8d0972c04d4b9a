package protocol

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// signing is a daemon that authenticates itself by its certificate, and peers by theirs.
var signing = Settings{Certified: true}

// Authentication by certificates (RFC 7296 sections 2.15, 3.6, 3.7; RFC 7427; RFC 4754), with ECDSA on P-256.
var certificateCases = []Case{
	{IDs: ids("RFC7296-3.6-1", "RFC7296-3.6-4", "RFC7296-3.7-2", "RFC7296-1.2-1"), Title: "The daemon asks for certificates of its authority, accepts one, and sends its own, that of the signing key first.", Run: certified, Settings: signing},
	{IDs: ids("RFC7296-3.6-2", "RFC7296-3.6-4"), Title: "A chain of four certificates is accepted, those after the first in any order.", Run: chainOfFour, Settings: signing},
	{IDs: ids("RFC7296-1.2-2", "RFC7296-2.21.2-1"), Title: "A wrong signature, or a certificate that proves nothing, gets nothing but AUTHENTICATION_FAILED.", Run: wrongSignatures, Settings: signing},
	{IDs: ids("RFC7296-3.6-6"), Title: "A certificate by hash and URL is not fetched, and gets AUTHENTICATION_FAILED.", Run: byURL, Settings: signing},
}

const (
	signatureHashAlgorithms = 16431 // RFC 7427 section 4
	digitalSignature        = 14    // AUTH method, RFC 7427 section 3
	ecdsa256                = 9     // RFC 4754
	certX509, certHashURL   = 4, 12 // encodings, RFC 7296 section 3.6
)

// ecdsaWithSHA256 is the AlgorithmIdentifier of RFC 7427 appendix A.3.2, with its length.
var ecdsaWithSHA256 = []byte{12, 0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2}

// authority is what daemons and peers trust.
var authority = sync.OnceValues(func() (*lab.Authority, error) { return lab.NewAuthority("Protocol Test CA", lab.P256) })

var issuing sync.Mutex // an authority does one thing at a time

// holder makes a key and its certificate.
func holder(name string, by *lab.Authority) (lab.Holder, error) {
	issuing.Lock()
	defer issuing.Unlock()
	return by.Issue(name, lab.P256, time.Hour, time.Hour)
}

func (t *T) authority() *lab.Authority {
	ca, err := authority()
	t.must(err)
	return ca
}

// own makes a key and a certificate for our identity.
func (t *T) own(by *lab.Authority) lab.Holder {
	h, err := holder(t.PeerID.Data, by)
	t.must(err)
	return h
}

// der is the content of a PEM block.
func der(text string) []byte {
	block, _ := pem.Decode([]byte(text))
	return block.Bytes
}

func certPayload(encoding uint8, data []byte) peer.Payload {
	return peer.Payload{Type: peer.TypeCert, Body: append([]byte{encoding}, data...)}
}

// beginSigning does IKE_SA_INIT as one that knows RFC 7427, and looks at what the daemon asks for.
func (t *T) beginSigning(knows bool) *SA {
	sa := t.newSA(usual)
	m := sa.hello()
	if knows {
		m.Payloads = append(m.Payloads, peer.NotifyPayload(signatureHashAlgorithms, 0, 2, 0, 3, 0, 4))
	}
	answer := sa.greet(m)
	sa.agree(answer)
	ca, err := x509.ParseCertificate(der(t.authority().PEM()))
	t.must(err)
	name := sha1.Sum(ca.RawSubjectPublicKeyInfo)
	if want := append([]byte{certX509}, name[:]...); !bytes.Equal(answer.Body(peer.TypeCertReq), want) {
		t.Errorf("CERTREQ is %x, want %x", answer.Body(peer.TypeCertReq), want)
	}
	if n, ok := answer.Notify(signatureHashAlgorithms); !ok || len(n.Data) < 2 || len(n.Data)%2 != 0 || bytes.Contains(n.Data, []byte{0, 1}) {
		t.Errorf("SIGNATURE_HASH_ALGORITHMS is %x (%t)", n.Data, ok)
	}
	return sa
}

// signed is the AUTH payload by a key.
func (sa *SA) signed(key string) peer.Payload {
	private, err := x509.ParsePKCS8PrivateKey(der(key))
	sa.t.must(err)
	digest := sha256.Sum256(sa.Octets(true, sa.id.Body()))
	sig, err := private.(crypto.Signer).Sign(rand.Reader, digest[:], crypto.SHA256)
	sa.t.must(err)
	return peer.AuthPayload(digitalSignature, slices.Concat(ecdsaWithSHA256, sig))
}

// signedProofs are IDi, certificates, CERTREQ, IDr and AUTH.
func (sa *SA) signedProofs(key string, certs ...peer.Payload) []peer.Payload {
	ps := append([]peer.Payload{{Type: peer.TypeIDi, Body: sa.id.Body()}}, certs...)
	ps = append(ps, peer.Payload{Type: peer.TypeCertReq, Body: append([]byte{certX509}, peer.Random(20)...)})
	return append(ps, peer.Payload{Type: peer.TypeIDr, Body: FQDN(DaemonID).Body()}, sa.signed(key))
}

// admittedSigning takes an IKE_AUTH response in which the daemon proves itself by its certificate.
func (sa *SA) admittedSigning(m peer.Message, method uint8) {
	t := sa.t
	t.kinds(m, peer.TypeIDr, peer.TypeCert, peer.TypeAuth, peer.TypeSA, peer.TypeTSi, peer.TypeTSr)
	cert, auth := m.Body(peer.TypeCert), m.Body(peer.TypeAuth)
	leaf, err := x509.ParseCertificate(cert[1:])
	t.must(err)
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if cert[0] != certX509 || !ok || !slices.Contains(leaf.DNSNames, DaemonID) {
		t.Fatalf("the first certificate, of encoding %d, is for %v with a %T", cert[0], leaf.DNSNames, leaf.PublicKey)
	}
	digest := sha256.Sum256(sa.Octets(false, FQDN(DaemonID).Body()))
	good := false
	switch data := auth[4:]; {
	case auth[0] != method:
	case method == ecdsa256:
		good = len(data) == 64 && ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(data[:32]), new(big.Int).SetBytes(data[32:]))
	default:
		sig, ok := bytes.CutPrefix(data, ecdsaWithSHA256)
		good = ok && ecdsa.VerifyASN1(key, digest[:], sig)
	}
	if !good {
		t.Fatalf("AUTH is not by the key of the first certificate: method %d, %x", auth[0], auth[4:])
	}
	sa.takeChild(m)
}

func certified(t *T) {
	us := t.own(t.authority())
	for knows, method := range map[bool]uint8{true: digitalSignature, false: ecdsa256} {
		sa := t.beginSigning(knows)
		proofs := append(sa.signedProofs(us.Key, certPayload(certX509, der(us.Cert))), sa.child()...)
		sa.admittedSigning(sa.ask(sa.Request(peer.IKEAuth, proofs...)), method)
		sa.alive()
	}
}

func chainOfFour(t *T) {
	by := t.authority()
	var between []peer.Payload
	for _, name := range []string{"First", "Second", "Third"} {
		issuing.Lock()
		next, err := by.Below(name)
		issuing.Unlock()
		t.must(err)
		by, between = next, append(between, certPayload(certX509, der(next.PEM())))
	}
	us, sa := t.own(by), t.beginSigning(true)
	certs := append([]peer.Payload{certPayload(certX509, der(us.Cert))}, between...) // who issued it comes last
	sa.admittedSigning(sa.ask(sa.Request(peer.IKEAuth, append(sa.signedProofs(us.Key, certs...), sa.child()...)...)), digitalSignature)
}

func wrongSignatures(t *T) {
	us, other := t.own(t.authority()), t.own(t.authority())
	stranger, err := lab.NewAuthority("A Stranger", lab.P256)
	t.must(err)
	theirs := t.own(stranger)
	somebody, err := holder("somebody.example.net", t.authority())
	t.must(err)
	cert := func(h lab.Holder) peer.Payload { return certPayload(certX509, der(h.Cert)) }
	for name, proofs := range map[string]func(*SA) []peer.Payload{
		"another key":          func(sa *SA) []peer.Payload { return sa.signedProofs(other.Key, cert(us)) },
		"another first":        func(sa *SA) []peer.Payload { return sa.signedProofs(us.Key, cert(other), cert(us)) },
		"an unknown authority": func(sa *SA) []peer.Payload { return sa.signedProofs(theirs.Key, cert(theirs)) },
		"its certificate as well": func(sa *SA) []peer.Payload {
			return sa.signedProofs(theirs.Key, cert(theirs), certPayload(certX509, der(stranger.PEM())))
		},
		"another name":   func(sa *SA) []peer.Payload { return sa.signedProofs(somebody.Key, cert(somebody)) },
		"no certificate": func(sa *SA) []peer.Payload { return sa.signedProofs(us.Key) },
		"no DER":         func(sa *SA) []peer.Payload { return sa.signedProofs(us.Key, certPayload(certX509, peer.Random(700))) },
		"eleven": func(sa *SA) []peer.Payload {
			return sa.signedProofs(us.Key, slices.Repeat([]peer.Payload{cert(us)}, 11)...)
		},
		"an algorithm that lies": func(sa *SA) []peer.Payload { return lying(sa.signedProofs(us.Key, cert(us))) },
		"a pre-shared key":       func(sa *SA) []peer.Payload { return sa.proofs() },
	} {
		t.note("--", name)
		sa := t.beginSigning(true)
		sa.denied(proofs(sa)...)
	}
}

// lying says that AUTH has an AlgorithmIdentifier of 255 octets.
func lying(ps []peer.Payload) []peer.Payload {
	ps[len(ps)-1].Body[4] = 255
	return ps
}

func byURL(t *T) {
	us, sa := t.own(t.authority()), t.beginSigning(true)
	sum := sha1.Sum(der(us.Cert))
	sa.denied(sa.signedProofs(us.Key, certPayload(certHashURL, append(sum[:], "http://192.0.2.99/cert.der"...)))...)
}
