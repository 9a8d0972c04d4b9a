package codec

import (
	"time"

	"github.com/parley-ike/parley/sdk/cred"
	credv1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/cred/v1"
)

// FromSignRequest returns the message for a request.
func FromSignRequest(s cred.SignRequest) *credv1.SignRequest {
	return &credv1.SignRequest{Ref: s.Ref, Scheme: credv1.SignRequest_Scheme(s.Scheme), Hash: uint32(s.Hash), Data: s.Data}
}

// ToSignRequest is the reverse of FromSignRequest.
func ToSignRequest(s *credv1.SignRequest) (cred.SignRequest, error) {
	var n narrower
	scheme := cred.SignScheme(n.u8("scheme", uint32(s.GetScheme())))
	return cred.SignRequest{Ref: s.GetRef(), Scheme: scheme, Hash: n.u16("hash", s.GetHash()), Data: s.GetData()}, n.err
}

// FromDecryptRequest returns the message for a request.
func FromDecryptRequest(d cred.DecryptRequest) *credv1.DecryptRequest {
	return &credv1.DecryptRequest{Ref: d.Ref, Scheme: credv1.DecryptRequest_Scheme(d.Scheme), Data: d.Data}
}

// ToDecryptRequest is the reverse of FromDecryptRequest.
func ToDecryptRequest(d *credv1.DecryptRequest) (cred.DecryptRequest, error) {
	var n narrower
	scheme := cred.DecryptScheme(n.u8("scheme", uint32(d.GetScheme())))
	return cred.DecryptRequest{Ref: d.GetRef(), Scheme: scheme, Data: d.GetData()}, n.err
}

// FromTrustRequest returns the message for a request.
func FromTrustRequest(t cred.TrustRequest) *credv1.TrustRequest {
	return &credv1.TrustRequest{
		Chain: t.Chain, Purpose: credv1.Query_Purpose(t.Purpose), Identity: FromIdentity(t.Identity), NowSeconds: seconds(t.Now),
	}
}

// ToTrustRequest is the reverse of FromTrustRequest.
func ToTrustRequest(t *credv1.TrustRequest) (cred.TrustRequest, error) {
	var n narrower
	purpose := cred.Purpose(n.u8("purpose", uint32(t.GetPurpose())))
	return cred.TrustRequest{Chain: t.GetChain(), Purpose: purpose, Identity: n.identity(t.GetIdentity()), Now: instant(t.GetNowSeconds())}, n.err
}

// FromVerdict returns the message for a verdict.
func FromVerdict(v cred.Verdict) *credv1.TrustResponse {
	return &credv1.TrustResponse{Public: v.Public, Subject: v.Subject, Issuer: v.Issuer, Anchor: v.Anchor, UntilSeconds: seconds(v.Until)}
}

// ToVerdict is the reverse of FromVerdict.
func ToVerdict(v *credv1.TrustResponse) cred.Verdict {
	return cred.Verdict{
		Public: v.GetPublic(), Subject: v.GetSubject(), Issuer: v.GetIssuer(), Anchor: v.GetAnchor(), Until: instant(v.GetUntilSeconds()),
	}
}

// seconds counts from 1970; the zero time, and what lies before, is 0.
func seconds(t time.Time) uint64 { return uint64(max(0, t.Unix())) }

func instant(seconds uint64) time.Time {
	if seconds == 0 || seconds > maxSeconds {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// maxSeconds is the end of the year 9999, the last instant of a certificate (RFC 5280 section 4.1.2.5).
const maxSeconds = 253402300799
