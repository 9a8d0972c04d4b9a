package pluginhost

import (
	"bytes"
	"fmt"

	"github.com/parley-ike/parley/core/machine"
	authv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/auth/v1"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
)

// maxCertificates bounds a chain in an answer.
const maxCertificates = 32

func encodeAuth(op machine.Op) (service, basev1.Op, message) {
	auth := func(name string) service { return service{kind: "auth", name: name} }
	switch op := op.(type) {
	case machine.Sign:
		return auth(op.Auth), basev1.Op_OP_AUTH_SIGN, signRequest(op)
	case machine.Verify:
		return auth(op.Auth), basev1.Op_OP_AUTH_VERIFY, verifyRequest(op)
	case machine.Authenticate:
		// One authenticator does both parts; where the settings differ, the machine asks for them one after the other.
		return auth(op.Verify.Auth), basev1.Op_OP_AUTH_AUTHENTICATE,
			&authv1.AuthenticateRequest{Verify: verifyRequest(op.Verify), Sign: signRequest(op.Sign)}
	case machine.SKEYID:
		return auth(op.Auth), basev1.Op_OP_AUTH_SKEYID, skeyidRequest(op)
	case machine.Protect:
		return auth(op.Auth), basev1.Op_OP_AUTH_PROTECT, protectRequest(op)
	case machine.Unprotect:
		return auth(op.Auth), basev1.Op_OP_AUTH_UNPROTECT, unprotectRequest(op)
	}
	return service{}, 0, nil
}

func signRequest(s machine.Sign) *authv1.SignRequest {
	r := &authv1.SignRequest{Auth: s.Auth, Local: identity(s.Local), Remote: identity(s.Remote), Prf: uint32(s.PRF), Octets: s.Octets,
		Version: uint32(s.Version), Issuers: s.Issuers}
	for _, h := range s.PeerHashes {
		r.PeerHashes = append(r.PeerHashes, uint32(h))
	}
	return r
}

func verifyRequest(v machine.Verify) *authv1.VerifyRequest {
	return &authv1.VerifyRequest{
		Auth: v.Auth, Local: identity(v.Local), Remote: identity(v.Remote), Prf: uint32(v.PRF), Octets: v.Octets,
		Method: uint32(v.Method), Data: v.Data, Certificates: v.Certs, Version: uint32(v.Version),
	}
}

func identity(i machine.Identity) *credv1.Identity {
	return &credv1.Identity{Type: uint32(i.Type), Data: i.Data}
}

func decodeAuth(op machine.Op, body []byte) (machine.Result, error) {
	switch op := op.(type) {
	case machine.SKEYID:
		return decodeSKEYID(body)
	case machine.Protect:
		return decodeProtected(op, body)
	case machine.Unprotect:
		return decodeUnprotected(op, body)
	case machine.Sign:
		var r authv1.SignResponse
		if err := unmarshal(body, &r); err != nil {
			return nil, err
		}
		return signed(&r)
	case machine.Verify:
		var r authv1.VerifyResponse
		if err := unmarshal(body, &r); err != nil {
			return nil, err
		}
		return verified(&r)
	}
	var r authv1.AuthenticateResponse
	if err := unmarshal(body, &r); err != nil {
		return nil, err
	}
	v, err := verified(r.GetVerified())
	if err != nil {
		return nil, err
	}
	s, err := signed(r.GetSigned())
	return machine.Authenticated{Verified: v, Signed: s}, err
}

func signed(r *authv1.SignResponse) (machine.Signed, error) {
	switch {
	case r.GetMethod() == 0 || r.GetMethod() > 255: // RFC 7296 section 3.8: one octet, 0 is reserved
		return machine.Signed{}, fmt.Errorf("authentication method %d", r.GetMethod())
	case len(r.GetData()) == 0 || len(r.GetData()) > maxData:
		return machine.Signed{}, fmt.Errorf("authentication data of %d octets", len(r.GetData()))
	case len(r.GetCertificates()) > maxCertificates:
		return machine.Signed{}, fmt.Errorf("%d certificates, limit %d", len(r.GetCertificates()), maxCertificates)
	}
	for _, c := range r.GetCertificates() {
		if len(c) == 0 || len(c) > maxData {
			return machine.Signed{}, fmt.Errorf("certificate of %d octets", len(c))
		}
	}
	return machine.Signed{Method: uint8(r.GetMethod()), Data: r.GetData(), Certs: r.GetCertificates()}, nil
}

func verified(r *authv1.VerifyResponse) (machine.Verified, error) {
	id := r.GetRemote()
	if id.GetType() == 0 || id.GetType() > 255 || len(id.GetData()) == 0 || len(id.GetData()) > maxData {
		return machine.Verified{}, fmt.Errorf("identity of type %d with %d octets", id.GetType(), len(id.GetData()))
	}
	// The identity outlives the answer, and shall not keep its certificates in memory.
	return machine.Verified{Remote: machine.Identity{Type: uint8(id.GetType()), Data: bytes.Clone(id.GetData())}}, nil
}
