package ikev1

import (
	"bytes"
	"fmt"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/policy"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
	"github.com/parley-ike/parley/sdk/secret"
)

// This file is authentication by public key encryption: the identity and the nonce of each side are hidden from all but the other, who
// proves itself by a HASH that takes both nonces (RFC 2409 section 5.2). In the revised mode RSA hides the nonce alone, and a cipher
// under a key of the nonce all payloads behind it (section 5.3):
//
//	HDR, KE, [HASH(1),] <IDii>, <Ni>      -->        HDR, [HASH(1),] <Ni>, KE, IDii, [CERT] under Ke_i  -->
//	                                      <--  HDR, KE, <IDir>, <Nr>, or HDR, <Nr>, KE, IDir under Ke_r
//	HDR*, HASH_I                          -->
//	                                      <--  HDR*, HASH_R
//
// What a peer encrypts badly comes out of the credential store as something else, never as an error (machine.Unprotect). So must it
// stay here: a nonce is taken as it is, whatever its length, and that it was none shows when the peer's HASH is wrong, as a wrong nonce
// does. An identity that is nobody's is answered by silence, as one that was not decrypted. Otherwise this side would decrypt for
// strangers (Bleichenbacher 1998; "The Dangers of Key Reuse", USENIX Security 2018).

// decrypts reports whether the method that was chosen is public key encryption.
func (s *SA) decrypts() bool {
	return s.base() == wire1.AuthRSAEnc || s.base() == wire1.AuthRSAEncRevised
}

// proofs returns how one side proves itself to the other.
func (s *SA) proofs(from role) proofs {
	ours := (from == fromInitiator) == s.initiator
	switch {
	case ours && s.weSign(), !ours && s.peerSigns():
		return bySigning
	case s.decrypts():
		return byDecrypting
	}
	return byHash
}

// hide encrypts what we send along with a nonce of ours and goes on with the payloads, in the order of RFC 2409 sections 5.2 and 5.3.
func (x *phase1) hide(nonce []byte, then func([]wire1.Payload)) {
	s := x.s
	peer := s.remoteID
	if peer.IsAny() { // as initiator
		peer = s.conn.Remote.Identity
	}
	op := machine.Protect{Auth: s.conn.Remote.Auth, Local: opIdentity(s.conn.Local.Identity), Remote: opIdentity(peer), Certs: x.peerCerts}
	if s.base() == wire1.AuthRSAEnc {
		op.Plain = append(op.Plain, wire1.Body(s.ourID()))
	}
	op.Plain = append(op.Plain, nonce)
	x.busy = true
	ask(s, op, 0, func(r machine.Protected, err *machine.CallError) {
		switch {
		case err != nil:
			x.unhidden(peer, err)
		case s.base() == wire1.AuthRSAEnc:
			then(append(append([]wire1.Payload{wire1.KE{Data: x.public}}, x.keyHash(r)...), rawPayload(wire1.TypeID, r.Cipher[0]), wire1.Nonce{Data: r.Cipher[1]}))
		default:
			behind := append([]wire1.Payload{wire1.KE{Data: x.public}, s.ourID()}, s.decryptionCert(r)...)
			x.hideBehind(nonce, append(x.keyHash(r), wire1.Nonce{Data: r.Cipher[0]}), append(behind, s.natDetection()...), then)
		}
	})
}

// unhidden ends phase 1 because nothing can be encrypted for the peer.
func (x *phase1) unhidden(peer policy.Identity, err *machine.CallError) {
	f := pluginFailure(fmt.Sprintf("nothing can be encrypted for %v", peer), err)
	if err.Kind == machine.NoCredential {
		f.cause = event.CauseNoCredential
	}
	x.s.authFailed(f)
	x.s.fail(f)
}

// keyHash is HASH(1), by which the initiator of main mode says whose key it has used (RFC 2409 section 5.2). In aggressive mode
// the hash is not yet negotiated, and the peers with deviations do not expect it.
func (x *phase1) keyHash(r machine.Protected) []wire1.Payload {
	s := x.s
	p, ok := suite.LookupPRF(s.suite.PRF)
	if !ok || !s.initiator || x.kind != wire1.MainMode || s.conn.RSADeviation != policy.NoRSADeviation {
		return nil
	}
	return []wire1.Payload{wire1.Hash{Data: p.Digest(r.Key)}}
}

// decryptionCert is the certificate that the initiator gives the responder to encrypt to (RFC 2409 section 5.3).
func (s *SA) decryptionCert(r machine.Protected) []wire1.Payload {
	if !s.initiator || len(r.Certs) == 0 || s.conn.Local.SendCert == policy.CertificateNever {
		return nil
	}
	return []wire1.Payload{wire1.Cert{Encoding: wire1.CertX509KE, Data: r.Certs[0]}}
}

// hideBehind encrypts the payloads behind the nonce: all of them, whatever they are (RFC 2409 section 5.3).
func (x *phase1) hideBehind(nonce []byte, front, behind []wire1.Payload, then func([]wire1.Payload)) {
	c, err := x.bodyCipher(x.s.initiator, nonce)
	if err != nil {
		x.s.fail(failure{cause: event.CauseUnsupported, by: byUs, reason: err.Error()})
		return
	}
	for _, p := range behind {
		front = append(front, rawPayload(p.Type(), c.Seal(wire1.Body(p))))
	}
	then(front)
}

// bodyCipher returns the cipher of the revised mode for what one side sends.
func (x *phase1) bodyCipher(ofInitiator bool, nonce secret.Bytes) (*suite.BodyCipher, error) {
	s := x.s
	padding := suite.RevisedRFC
	if s.conn.RSADeviation == policy.HuaweiRSA {
		padding = suite.RevisedHuawei
	}
	cookie := s.cookieR
	if ofInitiator {
		cookie = s.cookieI
	}
	return suite.NewBodyCipher(s.suite, nonce, cookie, padding)
}

// rawPayload is a payload whose body is given in octets.
func rawPayload(t wire.PayloadType, body []byte) wire1.Payload {
	return wire1.Unknown{Number: t, Body: body}
}

// reveal decrypts a message and goes on with it as if it had come in clear, or with false when it makes no sense.
func (x *phase1) reveal(p packet, then func(packet, bool)) {
	s := x.s
	id, _ := wire1.Get[wire1.ID](p.Payloads)
	nonce, _ := wire1.Get[wire1.Nonce](p.Payloads)
	op := machine.Unprotect{Auth: s.conn.Local.Auth, PRF: uint16(s.suite.PRF), Cipher: [][]byte{nonce.Data}}
	if s.base() == wire1.AuthRSAEnc {
		op.Cipher = append(op.Cipher, wire1.Body(id))
	}
	if s.certain() {
		op.Local = opIdentity(s.conn.Local.Identity)
	}
	if hash, ok := wire1.Get[wire1.Hash](p.Payloads); ok && !s.initiator {
		op.KeyHash = hash.Data
	}
	x.busy = true
	ask(s, op, 0, func(r machine.Unprotected, err *machine.CallError) {
		switch {
		case err != nil:
			f := pluginFailure("what the peer encrypted could not be decrypted", err)
			s.authFailed(f)
			s.fail(f)
		case s.base() == wire1.AuthRSAEnc:
			then(p.with(r.Plain[0], func(q wire1.Payload) (wire1.Payload, bool) { return revealedID(q, r.Plain[1]), true }))
		default:
			x.revealBehind(p, r.Plain[0], then)
		}
	})
}

// revealedID takes the place of an encrypted identity. Octets that are none, which are one case of many, give an identity of no type.
func revealedID(p wire1.Payload, body []byte) wire1.Payload {
	if p.Type() != wire1.TypeID {
		return p
	}
	id, err := wire1.ParseID(body)
	if err != nil {
		return wire1.ID{}
	}
	return id
}

// revealBehind decrypts the payloads behind the nonce.
func (x *phase1) revealBehind(p packet, nonce secret.Bytes, then func(packet, bool)) {
	c, err := x.bodyCipher(!x.s.initiator, nonce)
	if err != nil {
		x.s.fail(failure{cause: event.CauseUnsupported, by: byUs, reason: err.Error()})
		return
	}
	behind := false
	then(p.with(nonce, func(q wire1.Payload) (wire1.Payload, bool) {
		if !behind || q.Type() == wire1.TypeHash { // HASH_R of aggressive mode is of the payloads, and stands in clear
			behind = behind || q.Type() == wire1.TypeNonce
			return q, true
		}
		body, ok := c.Open(wire1.Body(q))
		return rawPayload(q.Type(), body), ok
	}))
}

// with returns the message with its payloads exchanged and decoded anew, and with the nonce in clear. The nonce has any length.
func (p packet) with(nonce secret.Bytes, change func(wire1.Payload) (wire1.Payload, bool)) (packet, bool) {
	out := p
	out.Payloads = nil
	for _, q := range p.Payloads {
		q, ok := change(q)
		if !ok {
			return p, false
		}
		if raw, is := q.(wire1.Unknown); is {
			one, err := wire1.ParsePayloads(raw.Number, wire1.AppendPayloads(nil, []wire1.Payload{raw}))
			if err != nil {
				return p, false
			}
			q = one[0]
		}
		if q.Type() == wire1.TypeNonce {
			q = wire1.Nonce{Data: bytes.Clone(nonce)}
		}
		out.Payloads = append(out.Payloads, q)
	}
	nonce.Wipe()
	return out, true
}

// encryptedSKEYID derives the keys from both nonces, which nobody else knows (RFC 2409 section 5).
func (x *phase1) encryptedSKEYID(then func()) {
	s := x.s
	id, err := suite.SKEYIDEncryption(s.suite.PRF, x.ni, x.nr, s.cookieI, s.cookieR, s.conn.RSADeviation == policy.CiscoRSA)
	x.short = !wire1.Nonce{Data: x.peersNonce()}.Plain()
	x.derive(id, err, then)
	clear(x.ni)
	clear(x.nr)
}

// peersNonce is the one that came from the peer.
func (x *phase1) peersNonce() []byte {
	if x.s.initiator {
		return x.nr
	}
	return x.ni
}
