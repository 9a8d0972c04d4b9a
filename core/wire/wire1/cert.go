package wire1

import "github.com/parley-ike/parley/core/wire"

// CertEncoding says what a certificate or a request for one contains (RFC 2408 section 3.9).
type CertEncoding uint8

// Certificate encodings (RFC 2408 section 3.9).
const (
	CertPKCS7         CertEncoding = 1
	CertPGP           CertEncoding = 2
	CertDNSKey        CertEncoding = 3
	CertX509Signature CertEncoding = 4
	CertX509KE        CertEncoding = 5
	CertKerberos      CertEncoding = 6
	CertCRL           CertEncoding = 7
	CertARL           CertEncoding = 8
	CertSPKI          CertEncoding = 9
	CertX509Attribute CertEncoding = 10
)

// Type returns TypeCert.
func (Cert) Type() wire.PayloadType { return TypeCert }

// Type returns TypeCertReq.
func (CertReq) Type() wire.PayloadType { return TypeCertReq }

func parseCert(r *wire.Reader) Cert {
	// Cert Encoding (1), Certificate Data: RFC 2408 section 3.9.
	return Cert{Encoding: CertEncoding(r.U8()), Data: r.Rest()}
}

func (c Cert) append(b []byte) []byte { return append(append(b, byte(c.Encoding)), c.Data...) }

func parseCertReq(r *wire.Reader) CertReq {
	// Cert. Type (1), Certificate Authority: RFC 2408 section 3.10.
	return CertReq{Encoding: CertEncoding(r.U8()), Authority: r.Rest()}
}

func (c CertReq) append(b []byte) []byte { return append(append(b, byte(c.Encoding)), c.Authority...) }
