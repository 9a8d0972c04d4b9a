package control

import (
	"fmt"
	"strings"

	"github.com/parley-ike/parley/bus/event"
)

// This file explains authentication by signatures. The reason comes from an authenticator and a credential store and is shown as
// it is; by its words we find what to change. A reason in other words gets a general remedy.

// doubt is a way in which a peer's signature does not convince us.
type doubt struct {
	words string // of the reason
	code  string
	key   string // of the setting to look at; "PEER" stands for the peer's identity
	what  string // to do
}

// doubts are in the order in which they are looked for.
var doubts = []doubt{
	{"expired on", "certificate_expired", "", "have the peer renew its certificate, and see that the clock of this machine is right"},
	{"is not valid before", "certificate_not_yet_valid", "", "see that the clocks of both machines are right"},
	{"no authority here vouches", "untrusted_issuer", "credentials", "if that authority is to be trusted, add credentials { ca \"NAME\" { file = \"FILE\" } } with its certificate"},
	{"but its certificate is for", "certificate_identity", "remote.identity", "expect the peer by an identity of its certificate, and have it call itself so, or have it get a certificate for this one"},
	{"sent no certificate", "no_certificate", "remote.auth", "have the peer send its certificate (strongSwan: send_cert = always), or add credentials { public_key %q { file = \"PEER.pub\" } }"},
	{"another public key", "other_public_key", "credentials.public_key.PEER", "put the public key that the peer has now into the file"},
	{"is not by the", "wrong_signature", "remote.auth", "see that the peer signs with the private key that belongs to its certificate"},
	{"is too weak", "weak_key", "credentials", "have the peer make a larger key"},
	{"certificates, and at most", "too_many_certificates", "", "have the peer send its own certificate and those between it and a root"},
}

// notConvinced: what the peer shows for its identity is not enough.
func (t *tale) notConvinced(e event.IKEFailed) {
	reason := plainReason(e.Reason)
	for _, d := range doubts {
		if !strings.Contains(e.Reason, d.words) {
			continue
		}
		t.verdict(d.code, "the peer's proof does not convince us: %s", reason)
		what := d.what
		if strings.Contains(what, "%q") {
			what = fmt.Sprintf(what, t.peerID())
		}
		t.remedy(t.keyOf(d.key), "%s", what)
		return
	}
	t.verdict("untrusted", "the peer's proof does not convince us: %s", reason)
	t.remedy(t.setting("remote.auth"), "compare what the peer signs with, and what credentials trusts, with this reason")
}

// keyOf is the key of a setting of credentials, or of the connection.
func (t *tale) keyOf(key string) string {
	switch {
	case key == "":
		return ""
	case strings.HasPrefix(key, "credentials"):
		return strings.ReplaceAll(key, "PEER", t.peerID())
	}
	return t.setting(key)
}

// plainReason leaves out who said it, and the kinds of error at its end.
func plainReason(reason string) string {
	for _, before := range []string{"does not convince us: ", "authentication method: ", "we cannot prove that we are "} {
		if _, after, ok := strings.Cut(reason, before); ok {
			reason = after
		}
	}
	if _, after, ok := strings.Cut(reason, "cred/file: "); ok {
		reason = after
	}
	for _, program := range []string{"plugin signature: ", "plugin auth: ", "signature: ", "psk: "} {
		reason = strings.TrimPrefix(reason, program)
	}
	for _, kind := range []string{"refused", "no credential", "unsupported"} {
		reason = strings.TrimSuffix(strings.TrimSuffix(reason, kind), ": ")
	}
	return strings.TrimSpace(reason)
}

// noPrivateKey: we cannot sign.
func (t *tale) noPrivateKey(e event.IKEFailed) {
	us := orDash(t.a.ike.LocalID)
	t.verdict("no_private_key", "we have no private key to prove that we are %s: %s", us, plainReason(e.Reason))
	t.remedy("credentials.certificate."+us, "mend the certificate and key of %s, or add credentials { certificate %q { file = \"NAME.pem\"  key = \"NAME.key\" } }", us, us)
}

// signatureRefused: a peer that does not accept ours does not say why (RFC 7296 section 2.21.2).
func (t *tale) signatureRefused() {
	us := orDash(t.a.ike.LocalID)
	t.verdict("auth_refused", "the peer refused to authenticate us by our signature: it may not trust the issuer of our certificate, or not for %s", us)
	t.remedy("credentials.certificate."+us, "have the peer trust the authority that issued our certificate, or our public key")
	t.remedy(t.setting("local.identity"), "or call us by an identity that stands in our certificate, and have the peer expect it")
	if id := t.conn.remoteID; t.a.initiator() && id != "" && id != "any" {
		t.remedy(t.setting("remote.identity"), "or have the peer call itself %s, which we asked for", id)
	}
	t.note("AUTHENTICATION_FAILED answers whatever was wrong, on purpose (RFC 7296 section 2.21.2); the peer's log knows which it was")
}

// otherMethod: the peer authenticates itself by another method than the connection wants.
func (t *tale) otherMethod(e event.IKEFailed) {
	t.verdict("auth_method", "%s", plainReason(e.Reason))
	t.remedy(t.setting("remote.auth"), "set auth to what the peer uses, \"psk\" or \"signature\", or change the peer")
}

// isMethod reports whether a failure is about the method of AUTH.
func isMethod(e event.IKEFailed) bool {
	return e.Cause == event.CauseUnsupported && strings.Contains(e.Reason, "with AUTH method")
}

// oddEncoding: the peer shows a certificate in a form that we do not read (RFC 7296 section 3.6).
func (t *tale) oddEncoding(e event.IKEFailed) {
	t.verdict("certificate_encoding", "%s", plainReason(e.Reason))
	t.remedy(t.setting("remote.identity"), "have the peer get an X.509 certificate for %s, by which it calls itself: some peers, such as OpenIKED, send a bare key when they have none for it", orDash(t.claimed()))
}

// isEncoding reports whether a failure is about the form of a certificate.
func isEncoding(e event.IKEFailed) bool {
	return e.Cause == event.CauseUnsupported && strings.Contains(e.Reason, "its certificate in encoding")
}
