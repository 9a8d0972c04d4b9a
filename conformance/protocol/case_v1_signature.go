package protocol

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"time"

	"github.com/parley-ike/parley/conformance/interop/lab"
	"github.com/parley-ike/parley/conformance/protocol/peer"
	"github.com/parley-ike/parley/conformance/protocol/peer1"
)

// Main mode with RSA signatures (RFC 2409 section 5.1, RFC 2408 sections 3.9, 3.10, 5.9, 5.10 and 5.12).
var v1SignatureCases = []Case{
	{IDs: ids("RFC2408-1.5.3-2", "RFC2408-3.9-1", "RFC2408-3.10-1", "RFC2408-3.10-3", "RFC2408-3.10-5", "RFC2408-5.9-1", "RFC2408-5.9-2", "RFC2408-5.10-1", "RFC2408-5.12-1", "RFC2409-5.1-1", "RFC2409-5-9"),
		Title: "By RSA signatures six messages make an ISAKMP SA: the daemon asks for a certificate, and sends its own with a bare PKCS #1 signature.", Run: signs1, Settings: signing},
	{IDs: ids("RFC2408-1.5.3-2", "RFC2408-3.10-3", "RFC2409-5.1-1", "RFC2408-5.12-1", "RFC2408-5.9-1"), Title: "Called by the daemon, main mode with RSA signatures makes an ISAKMP SA, too.", Run: signs1ByDaemon, Settings: signing},
	{IDs: ids("RFC2408-5.12-2", "RFC2408-5.9-2", "RFC2407-4.6.2.1-1", "RFC2409-5.1-1"),
		Title: "A wrong signature, one with an OID, no certificate, or that of another identity or authority makes no SA.", Run: wrongSignatures1, Settings: signing},
	{IDs: ids("RFC2408-5.10-2", "RFC2408-3.10-2"), Title: "Certificate requests of other types and authorities, several at once and malformed ones do no harm.", Run: oddRequests, Settings: signing},
}

// rsaHolder makes an RSA key and its certificate.
func rsaHolder(name string, by *lab.Authority) (lab.Holder, error) {
	issuing.Lock()
	defer issuing.Unlock()
	return by.Issue(name, lab.RSA2048, time.Hour, time.Hour)
}

// signer makes an SA that authenticates by RSA signatures, with our key and certificate.
func (t *T) signer(by *lab.Authority, name string) (*ISAKMP, lab.Holder) {
	h, err := rsaHolder(name, by)
	t.must(err)
	sa := t.newISAKMP(usual1)
	sa.ours.Transforms[0].Attributes[3].Value = rsaSignatures
	return sa, h
}

const rsaSignatures = 3 // an authentication method (RFC 2409 appendix A)

// signature is our SIG payload: HASH_I or HASH_R encrypted as PKCS #1 has it, without an OID unless a hash is named.
func (sa *ISAKMP) signature(h lab.Holder, named crypto.Hash) peer.Payload {
	key, err := x509.ParsePKCS8PrivateKey(der(h.Key))
	sa.t.must(err)
	sig, err := rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), named, sa.Proof(sa.Initiator, sa.id.Payload().Body))
	sa.t.must(err)
	return peer.Payload{Type: peer1.TypeSig, Body: sig}
}

// swapAsking does the key exchange of main mode, and asks for a certificate.
func (sa *ISAKMP) swapAsking(more ...peer.Payload) peer.Message {
	sa.accepted(sa.bid(sa.propose()))
	m := sa.bid(sa.message(peer1.MainMode, 0, append(sa.exchange(), more...)...))
	sa.t.kinds1(m, peer1.TypeKE, peer1.TypeNonce, peer1.TypeCertReq)
	sa.keyed(m)
	sa.Keyed(sa.secret)
	return m
}

// anyCA asks for a certificate of whichever authority.
var anyCA = peer.Payload{Type: peer1.TypeCertReq, Body: []byte{certX509}}

func certificate1(h lab.Holder) peer.Payload {
	return peer.Payload{Type: peer1.TypeCert, Body: append([]byte{certX509}, der(h.Cert)...)}
}

// verified demands that the daemon's certificate is of our authority and its signature right.
func (sa *ISAKMP) verified(m peer.Message) {
	t := sa.t
	t.kinds1(m, peer1.TypeID, peer1.TypeCert, peer1.TypeSig)
	body := m.Body(peer1.TypeCert)
	cert, err := x509.ParseCertificate(body[1:])
	t.must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(t.authority().PEM()))
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: DaemonID, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); body[0] != certX509 || err != nil {
		t.Errorf("the daemon's certificate, encoding %d: %v", body[0], err)
	}
	if err := rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), 0, sa.Proof(!sa.Initiator, m.Body(peer1.TypeID)), m.Body(peer1.TypeSig)); err != nil {
		t.Errorf("the daemon's signature: %v", err)
	}
}

func signs1(t *T) {
	sa, h := t.signer(t.authority(), t.PeerID.Data)
	m := sa.swapAsking(anyCA)
	if got := m.Body(peer1.TypeCertReq); !bytes.Equal(got, []byte{certX509}) {
		t.Errorf("the daemon asks for %x", got)
	}
	sa.push(sa.message(peer1.MainMode, 0, sa.id.Payload(), certificate1(h), sa.signature(h, 0)))
	sa.verified(sa.phase1())
	sa.child()
	t.counts(1, 1)
}

func signs1ByDaemon(t *T) {
	t.order(Up)
	sa, _ := t.called1()
	h, err := rsaHolder(t.PeerID.Data, t.authority())
	t.must(err)
	sa.method = rsaSignatures
	m := sa.answered(sa.welcome())
	sa.half = peer.NewExchange(sa.Suite.Group)
	sa.GR, sa.Ni = sa.half.Public, m.Body(peer1.TypeNonce)
	sa.keyed(m)
	sa.Keyed(sa.secret)
	t.send(sa.way, sa.message(peer1.MainMode, 0, append(sa.exchange(), anyCA)...).Encode())
	sa.verified(sa.phase1())
	sa.push(sa.message(peer1.MainMode, 0, sa.id.Payload(), certificate1(h), sa.signature(h, 0)))
	q := sa.offered()
	q.answer(q.grant()...)
	q.proved()
	t.counts(1, 1)
}

func wrongSignatures1(t *T) {
	stranger, err := lab.NewAuthority("Somebody Else's CA", lab.P256)
	t.must(err)
	for _, c := range []struct {
		by     *lab.Authority
		name   string
		change func(sa *ISAKMP, h lab.Holder, ps []peer.Payload) []peer.Payload
	}{
		{t.authority(), t.PeerID.Data, func(_ *ISAKMP, _ lab.Holder, ps []peer.Payload) []peer.Payload { ps[2].Body[9] ^= 1; return ps }},
		{t.authority(), t.PeerID.Data, func(_ *ISAKMP, _ lab.Holder, ps []peer.Payload) []peer.Payload { ps[2].Body = nil; return ps }},
		{t.authority(), t.PeerID.Data, func(sa *ISAKMP, h lab.Holder, ps []peer.Payload) []peer.Payload {
			ps[2] = sa.signature(h, crypto.SHA256)
			return ps
		}},
		{t.authority(), t.PeerID.Data, func(_ *ISAKMP, _ lab.Holder, ps []peer.Payload) []peer.Payload { return slices.Delete(ps, 1, 2) }},
		{t.authority(), t.PeerID.Data, func(_ *ISAKMP, _ lab.Holder, ps []peer.Payload) []peer.Payload { ps[1].Body[0] = 11; return ps }},
		{t.authority(), "other.example.net", func(_ *ISAKMP, _ lab.Holder, ps []peer.Payload) []peer.Payload { return ps }},
		{stranger, t.PeerID.Data, func(_ *ISAKMP, _ lab.Holder, ps []peer.Payload) []peer.Payload { return ps }},
	} {
		sa, h := t.signer(c.by, c.name)
		sa.swapAsking()
		ps := c.change(sa, h, []peer.Payload{sa.id.Payload(), certificate1(h), sa.signature(h, 0)})
		sa.push(sa.message(peer1.MainMode, 0, ps...))
		sa.turnedAway()
	}
	t.counts(0, 0)
}

func oddRequests(t *T) {
	sa, h := t.signer(t.authority(), t.PeerID.Data)
	ask := func(encoding uint8, n int) peer.Payload {
		return peer.Payload{Type: peer1.TypeCertReq, Body: append([]byte{encoding}, peer.Random(n)...)}
	}
	sa.swapAsking(ask(0, 0), ask(2, 30), ask(7, 90), ask(certX509, 90), anyCA, anyCA)
	sa.push(sa.message(peer1.MainMode, 0, sa.id.Payload(), certificate1(h), ask(99, 1), sa.signature(h, 0)))
	sa.verified(sa.phase1())
}
