package ikev2

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// signer is a fake authenticator "signature": a proof is a hash of the name of the first certificate and of the octets.
type signer struct {
	chain  [][]byte
	key    string // "" for the one that belongs to the first certificate
	method uint8  // 0: 14 when the peer knows RFC 7427, else 1
}

// makeSigner reads what nodes say of signatures: auth and peer-auth, anchors, chain, key, method, send-cert.
func (p *player) makeSigner(n *node, get func(key, or string) string) {
	p.t.Helper()
	n.conn.Local.Auth, n.conn.Remote.Auth = get("auth", "psk"), get("peer-auth", "psk")
	if i := slices.Index(policy.SendCertificateWords(), get("send-cert", "always")); i >= 0 {
		n.conn.Local.SendCert = policy.SendCertificate(i)
	}
	for _, name := range strings.FieldsFunc(get("anchors", ""), isComma) {
		n.env.Policy.Anchors = append(n.env.Policy.Anchors, policy.AnchorOf([]byte(name)))
	}
	for _, name := range strings.FieldsFunc(get("chain", ""), isComma) {
		n.signer.chain = append(n.signer.chain, []byte(name))
	}
	method, _ := strconv.Atoi(get("method", "0"))
	n.signer.key, n.signer.method = get("key", ""), uint8(method)
}

func isComma(r rune) bool { return r == ',' }

func (s *signer) proof(key, octets []byte) []byte {
	sum := sha256.Sum256(slices.Concat(key, octets))
	return sum[:]
}

func (s *signer) sign(op machine.Sign) (machine.Result, *machine.CallError) {
	if len(s.chain) == 0 {
		return nil, &machine.CallError{Kind: machine.NoCredential, Text: "signature: no private key"}
	}
	key := s.chain[0]
	if s.key != "" {
		key = []byte(s.key)
	}
	method := s.method
	switch {
	case method != 0:
	case len(op.PeerHashes) > 0:
		method = uint8(wire2.AuthDigitalSignature)
	default:
		method = uint8(wire2.AuthRSASignature)
	}
	return machine.Signed{Method: method, Data: s.proof(key, op.Octets), Certs: s.chain}, nil
}

func (s *signer) verify(op machine.Verify) (machine.Result, *machine.CallError) {
	switch {
	case op.Method != uint8(wire2.AuthRSASignature) && op.Method != uint8(wire2.AuthDigitalSignature):
		return nil, &machine.CallError{Kind: machine.Unsupported, Text: fmt.Sprintf("signature: method %d", op.Method)}
	case len(op.Certs) == 0:
		return nil, &machine.CallError{Kind: machine.Refused, Text: "signature: the peer sent no certificate"}
	case !bytes.Equal(s.proof(op.Certs[0], op.Octets), op.Data):
		return nil, &machine.CallError{Kind: machine.Refused, Text: "signature: wrong"}
	}
	return machine.Verified{Remote: op.Remote}, nil
}

func renderSign(op machine.Sign) string {
	return fmt.Sprintf("Sign %s as %s to %s%s", op.Auth, op.Local.Data, op.Remote.Data, renderTerms(op))
}

func renderTerms(op machine.Sign) (text string) {
	if op.PeerHashes != nil {
		text += fmt.Sprintf(" hashes %v", op.PeerHashes)
	}
	if op.Issuers != nil {
		text += fmt.Sprintf(" issuers %.4x", op.Issuers)
	}
	return text
}

func renderCertReq(r wire2.CertReq) string {
	return fmt.Sprintf("CERTREQ(%d %.4x)", r.Encoding, authorities(r))
}

// RFC7296-1.2-1, RFC7296-3.6-1, -4: certificates that there are travel, in order; those in forms that we do not read are left out.
func TestCertificatesTravelInOrder(t *testing.T) {
	t.Parallel()
	s := &SA{conn: &policy.Connection{}}
	r := machine.Signed{Method: 14, Data: []byte("s"), Certs: [][]byte{[]byte("end"), []byte("ca")}}
	ps := append(s.ownCerts(r, false), wire2.Cert{Encoding: 12, Data: []byte("a URL")})
	if got := certificates(ps); len(got) != 2 || string(got[0]) != "end" || string(got[1]) != "ca" {
		t.Errorf("certificates %q", got)
	}
}

func TestCertificatesAreSentAsTheConnectionSays(t *testing.T) {
	t.Parallel()
	r := machine.Signed{Certs: [][]byte{[]byte("end")}}
	for how, want := range map[policy.SendCertificate][2]int{
		policy.CertificateAlways: {1, 1}, policy.CertificateIfAsked: {0, 1}, policy.CertificateNever: {0, 0},
	} {
		s := &SA{conn: &policy.Connection{Local: policy.Endpoint{SendCert: how}}}
		if got := [2]int{len(s.ownCerts(r, false)), len(s.ownCerts(r, true))}; got != want {
			t.Errorf("%v: %v certificates unasked and asked, want %v", how, got, want)
		}
	}
}

// RFC 7427 section 4: a list of 16-bit numbers. What is left over at its end is no number, and a list has an end.
func TestHashAlgorithmsAreReadInBounds(t *testing.T) {
	t.Parallel()
	notify := func(data []byte) []wire2.Payload {
		return []wire2.Payload{wire2.Notify{Kind: wire2.SignatureHashAlgorithms, Data: data}}
	}
	if got := hashesIn(notify([]byte{0, 2, 0, 5, 9})); !slices.Equal(got, []uint16{2, 5}) {
		t.Errorf("hashes %v", got)
	}
	if got := hashesIn(notify(make([]byte, 60000))); len(got) != maxPeerHashes {
		t.Errorf("%d hashes", len(got))
	}
	if got := hashesIn(nil); got != nil {
		t.Errorf("hashes %v without a notify", got)
	}
}

// RFC 7427 section 4: who sends no SIGNATURE_HASH_ALGORITHMS does not know the method "Digital Signature"; the authenticator hears of
// no hash then, and falls back to the methods of RFC 7296. A side with a pre-shared key reads nothing of it.
func TestTermsAreReadWhereWeSign(t *testing.T) {
	t.Parallel()
	issuer := bytes.Repeat([]byte{7}, authorityLen)
	ask := []wire2.Payload{wire2.CertReq{Encoding: 4, Authorities: issuer}, wire2.CertReq{Encoding: 13, Authorities: issuer}}
	hashes := wire2.Notify{Kind: wire2.SignatureHashAlgorithms, Data: []byte{0, 2}}
	for name, tt := range map[string]struct {
		auth   string
		init   []byte
		ike    []wire2.Payload
		want   string
		hashes []uint16
	}{
		"an old peer":                      {policy.AuthSignature, firstRequest(), nil, "{false []}", nil},
		"one that knows RFC 7427":          {policy.AuthSignature, firstRequest(hashes), nil, "{false []}", []uint16{2}},
		"one that asks for an authority":   {policy.AuthSignature, firstRequest(hashes), ask, "{true [07]}", []uint16{2}},
		"one that asks in IKE_SA_INIT":     {policy.AuthSignature, firstRequest(ask...), nil, "{true [07]}", nil},
		"we have a pre-shared key":         {policy.DefaultAuth, firstRequest(hashes), ask, "{false []}", nil},
		"one whose message cannot be read": {policy.AuthSignature, nil, nil, "{false []}", nil},
		"one that asks for another form":   {policy.AuthSignature, firstRequest(), ask[1:], "{false []}", nil},
		"one that asks for no authority":   {policy.AuthSignature, firstRequest(), []wire2.Payload{wire2.CertReq{Encoding: 4}}, "{true []}", nil},
	} {
		s := &SA{conn: &policy.Connection{Local: policy.Endpoint{Auth: tt.auth}}, peerInit: tt.init}
		got := s.termsFor(tt.ike)
		if text := fmt.Sprintf("{%v %.1x}", got.asked, got.issuers); text != tt.want || !slices.Equal(got.hashes, tt.hashes) {
			t.Errorf("%s: %s, hashes %v", name, text, got.hashes)
		}
	}
}

// RFC7296-3.7-2: SHA-1 hashes in a row, a suggestion for the store that chooses our certificate.
func TestAuthoritiesAreReadInBounds(t *testing.T) {
	t.Parallel()
	if got := authorities(wire2.CertReq{Authorities: make([]byte, 2*authorityLen+3)}); len(got) != 2 {
		t.Errorf("%d authorities", len(got))
	}
	if got := authorities(wire2.CertReq{Authorities: make([]byte, 60000)}); len(got) != maxIssuers {
		t.Errorf("%d authorities", len(got))
	}
}

// RFC 7296 section 3.6: four certificates at least (RFC7296-3.6-2); not so many that they cost, and no reference to some.
func TestOddCertificatesAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	certs := func(n int, encoding uint8) (ps []wire2.Payload) {
		for range n {
			ps = append(ps, wire2.Cert{Encoding: encoding, Data: []byte("c")})
		}
		return ps
	}
	for name, tt := range map[string]struct {
		ps   []wire2.Payload
		want string
	}{
		"none":                {nil, ""},
		"four":                {certs(4, 4), ""},
		"the limit":           {certs(maxPeerCerts, 4), ""},
		"too many":            {certs(maxPeerCerts+1, 4), "11 certificates, and at most 10"},
		"hash and URL":        {certs(1, 12), "encoding 12 (hash and URL)"},
		"both":                {append(certs(1, 12), certs(1, 4)...), ""},
		"what nobody defined": {certs(1, 99), "encoding 99: let it send"},
	} {
		f := oddCertificates(tt.ps)
		if (f == nil) != (tt.want == "") || f != nil && !strings.Contains(f.reason, tt.want) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// IKE_SA_INIT is never fragmented (RFC 7383 section 2.2): it names no more authorities than fit one packet.
func TestACertificateRequestIsBounded(t *testing.T) {
	t.Parallel()
	conn := &policy.Connection{Remote: policy.Endpoint{Auth: policy.AuthSignature}}
	s := &SA{conn: conn, env: &Env{Policy: &policy.Snapshot{Anchors: make([]policy.Anchor, 500)}}}
	r, ok := wire2.Get[wire2.CertReq](s.certRequest(conn))
	if !ok || len(r.Authorities) != maxAnchors*authorityLen || r.Encoding != 4 {
		t.Errorf("%v, encoding %d, %d octets", ok, r.Encoding, len(r.Authorities))
	}
}
