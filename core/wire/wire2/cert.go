package wire2

import "github.com/parley-ike/parley/core/wire"

// Type returns TypeCert.
func (Cert) Type() wire.PayloadType { return TypeCert }

// Type returns TypeCertReq.
func (CertReq) Type() wire.PayloadType { return TypeCertReq }

func parseCert(r *wire.Reader) Cert {
	// Cert Encoding (1), Certificate Data: RFC 7296 section 3.6.
	return Cert{Encoding: r.U8(), Data: r.Rest()}
}

func (c Cert) append(b []byte) []byte { return append(append(b, c.Encoding), c.Data...) }

func parseCertReq(r *wire.Reader) CertReq {
	// Cert Encoding (1), Certification Authority: RFC 7296 section 3.7. The hashes have 20 octets each for the
	// encodings that RFC 7296 defines and any form for others, so they are not taken apart here.
	return CertReq{Encoding: r.U8(), Authorities: r.Rest()}
}

func (c CertReq) append(b []byte) []byte { return append(append(b, c.Encoding), c.Authorities...) }
