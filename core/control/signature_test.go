package control_test

import (
	"strings"
	"testing"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/control"
)

// distrusted is an attempt of a peer whose signature does not convince us; the reason is that of a store or an authenticator.
func distrusted(reason string) story {
	reason = "the proof of fqdn:west.example.net does not convince us: " + reason
	return story{uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		event.AuthFailed{Side: "remote", Method: "Digital Signature", LocalID: "fqdn:east.example.net", RemoteID: west, Cause: event.CauseAuthentication, Reason: reason},
		failedBy("us", known(asked(), west), failSite.auth, event.CauseAuthentication, "AUTHENTICATION_FAILED", reason),
	}}
}

// signatures are attempts with auth = "signature" on both sides, named after the verdict's code.
var signatures = map[string]story{
	"certificate_expired":       distrusted("signature: cred/file: the certificate of CN=west expired on 2026-01-01 00:00:00 UTC, and it is 2026-11-21 01:53:33 UTC: it needs a new one: refused"),
	"certificate_not_yet_valid": distrusted("signature: cred/file: the certificate of CN=west is not valid before 2027-01-01 00:00:00 UTC, and it is 2026-11-21 01:53:33 UTC: are the clocks right? refused"),
	"untrusted_issuer":          distrusted("signature: fqdn:west.example.net: cred/file: no authority here vouches for the certificate of CN=west, issued by CN=Other CA: no credential: refused"),
	"certificate_identity":      distrusted("signature: cred/file: the peer says that it is fqdn:west.example.net, but its certificate is for fqdn:north.example.net, dn:CN=north: refused"),
	"no_certificate":            distrusted("signature: fqdn:west.example.net: the peer sent no certificate, and no public key is configured for it: refused"),
	"wrong_signature":           distrusted("signature: fqdn:west.example.net: the signature (Ed25519) is not by the Ed25519 key that its certificate or configuration names: refused"),
	"untrusted":                 distrusted("acme: the card does not like it: refused"),
	"no_private_key": {uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		failedBy("us", known(initiated(), west), failSite.auth, event.CauseNoCredential, "", "we cannot prove that we are fqdn:east.example.net: signature: private key of fqdn:east.example.net: cred/file: none: no credential"),
	}},
	"auth_refused": {uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		failedBy("peer", known(initiated(), west), failSite.auth, event.CauseAuthentication, "AUTHENTICATION_FAILED", "the peer refused to authenticate us as fqdn:east.example.net"),
	}},
	"certificate_encoding": {uid1, "west", []event.Event{
		event.IKEInitiated{IKE: initiated()},
		event.AuthFailed{Side: "remote", Method: "Digital Signature", RemoteID: west, Cause: event.CauseUnsupported, Reason: "the peer sent its certificate in encoding 201: let it send X.509 certificates themselves (encoding 4)"},
		failedBy("us", known(initiated(), west), failSite.auth, event.CauseUnsupported, "AUTHENTICATION_FAILED", "the peer sent its certificate in encoding 201: let it send X.509 certificates themselves (encoding 4)"),
	}},
	"auth_method": {uid1, "west", []event.Event{
		event.IKEInitiated{IKE: asked()},
		failedBy("us", known(asked(), west), failSite.auth, event.CauseUnsupported, "AUTHENTICATION_FAILED", "the authenticator does not know the peer's authentication method: signature: fqdn:west.example.net authenticates with AUTH method 2 (pre-shared key) where the connection wants a signature: set the peer to a certificate or public key, or auth of the remote to the peer's method: unsupported"),
	}},
}

func TestWhatIsWrongWithASignatureIsExplained(t *testing.T) {
	t.Parallel()
	for code, one := range signatures {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			c := snapshot(t)
			conn, _ := c.Policy.Connection("west")
			conn.Local.Auth, conn.Remote.Auth = "signature", "signature"
			e := explain(t, c, "west", []story{one})
			if e.Code != code {
				t.Errorf("code %q, want %q", e.Code, code)
			}
			var out strings.Builder
			if err := control.WriteExplanation(&out, e, nil); err != nil {
				t.Fatal(err)
			}
			golden(t, "signature_"+code+".txt", out.String())
		})
	}
}
