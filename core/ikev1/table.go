package ikev1

import (
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// packet is a received message: as it came, and opened.
type packet struct {
	machine.Datagram
	wire1.Message
	iv     suite.IV // of the message after it; that before it, if it came in clear
	sealed bool     // it was encrypted
}

// row admits one kind of message of phase 1: in one of the states, of one exchange, with all payloads of need and none beyond
// need and may. Vendor IDs, certificates, requests for them and payloads for private use may stand anywhere (RFC 2408
// sections 3.9, 3.10 and 3.16).
type row struct {
	in     states
	from   role // who sends it
	exch   wire.ExchangeType
	method proofs
	cover  cover
	need   payloads
	may    payloads
	do     func(*phase1, packet)
}

// role is a side of phase 1.
type role uint8

const (
	fromInitiator role = iota + 1
	fromResponder
)

// cover says whether a message has to be encrypted.
type cover uint8

const (
	inClear cover = iota
	encrypted
	either // RFC 2409 section 5.4: the last message of aggressive mode
)

// proofs is a set of ways in which the two sides prove themselves, as far as they make a difference to payloads.
type proofs uint8

const (
	anyProof     proofs = 0
	byHash       proofs = 1 << iota // pre-shared keys: HASH_I and HASH_R themselves
	bySigning                       // SIG in place of HASH (RFC 2409 section 5.1)
	byDecrypting                    // HASH, with identities told before (RFC 2409 sections 5.2 and 5.3)
)

// phase1Rows lists the messages of main mode and aggressive mode (RFC 2409 sections 5, 5.1 and 5.4). The hash payloads of NAT
// traversal come with the key exchange, in aggressive mode from the second message on (RFC 3947 section 3.2).
var phase1Rows = []row{
	{in: in(Idle), from: fromInitiator, exch: wire1.MainMode, need: pSA, do: (*phase1).answerProposal},
	{in: in(Proposed), from: fromResponder, exch: wire1.MainMode, need: pSA, do: (*phase1).proposalAnswered},
	{in: in(Answered), from: fromInitiator, exch: wire1.MainMode, method: byHash | bySigning, need: pKE | pNonce, may: pNATD, do: (*phase1).answerExchange},
	{in: in(Exchanging), from: fromResponder, exch: wire1.MainMode, method: byHash | bySigning, need: pKE | pNonce, may: pNATD, do: (*phase1).exchanged},
	{in: in(HalfOpen), from: fromInitiator, exch: wire1.MainMode, cover: encrypted, method: byHash, need: pID | pHash, may: pNotify, do: (*phase1).answerIdentity},
	{in: in(HalfOpen), from: fromInitiator, exch: wire1.MainMode, cover: encrypted, method: bySigning, need: pID | pSig, may: pNotify, do: (*phase1).answerIdentity},
	{in: in(Identifying), from: fromResponder, exch: wire1.MainMode, cover: encrypted, method: byHash, need: pID | pHash, may: pNotify, do: (*phase1).identified},
	{in: in(Identifying), from: fromResponder, exch: wire1.MainMode, cover: encrypted, method: bySigning, need: pID | pSig, may: pNotify, do: (*phase1).identified},

	{in: in(Answered), from: fromInitiator, exch: wire1.MainMode, method: byDecrypting, need: pKE | pNonce | pID, may: pNATD | pHash, do: (*phase1).answerHidden},
	{in: in(Exchanging), from: fromResponder, exch: wire1.MainMode, method: byDecrypting, need: pKE | pNonce | pID, may: pNATD, do: (*phase1).revealedAnswer},
	{in: in(HalfOpen), from: fromInitiator, exch: wire1.MainMode, cover: encrypted, method: byDecrypting, need: pHash, may: pNotify, do: (*phase1).answerDecrypted},
	{in: in(Identifying), from: fromResponder, exch: wire1.MainMode, cover: encrypted, method: byDecrypting, need: pHash, may: pNotify, do: (*phase1).decrypted},

	{in: in(Idle), from: fromInitiator, exch: wire1.Aggressive, need: pSA | pKE | pNonce | pID, may: pHash, do: (*phase1).answerAggressive},
	{in: in(Proposed), from: fromResponder, exch: wire1.Aggressive, method: byHash, need: pSA | pKE | pNonce | pID | pHash, may: pNATD | pNotify, do: (*phase1).aggressiveAnswered},
	{in: in(Proposed), from: fromResponder, exch: wire1.Aggressive, method: bySigning, need: pSA | pKE | pNonce | pID | pSig, may: pNATD | pNotify, do: (*phase1).aggressiveAnswered},
	{in: in(Proposed), from: fromResponder, exch: wire1.Aggressive, method: byDecrypting, need: pSA | pKE | pNonce | pID | pHash, may: pNATD | pNotify, do: (*phase1).aggressiveRevealed},
	{in: in(HalfOpen), from: fromInitiator, exch: wire1.Aggressive, cover: either, method: byHash | byDecrypting, need: pHash, may: pNATD | pNotify, do: (*phase1).answerAggressiveProof},
	{in: in(HalfOpen), from: fromInitiator, exch: wire1.Aggressive, cover: either, method: bySigning, need: pSig, may: pNATD | pNotify, do: (*phase1).answerAggressiveProof},
}

// match returns the row for a message of phase 1, nil when none admits it.
func (x *phase1) match(p packet) *row {
	have, ok := payloadsOf(p.Payloads, x.maxNonce())
	if !ok {
		return nil
	}
	for i := range phase1Rows {
		if r := &phase1Rows[i]; x.fits(r, p.sealed) && r.exch == p.Header.Exchange && r.admits(have) {
			return r
		}
	}
	return nil
}

// maxNonce is how long a nonce may be in octets: more when it is encrypted, which the first message of aggressive mode has yet to tell.
func (x *phase1) maxNonce() int {
	if x.s.decrypts() || x.s.state == Idle {
		return wire1.MaxEncryptedNonce
	}
	return wire1.MaxNonce
}

// fits reports whether a row is about the present state of phase 1.
func (x *phase1) fits(r *row, sealed bool) bool {
	return r.in.has(x.s.state) && (r.from == fromResponder) == x.s.initiator && (r.cover == either || (r.cover == encrypted) == sealed) &&
		(r.method == anyProof || r.method&x.s.proofs(r.from) != 0)
}

func (r *row) admits(have payloads) bool {
	return have&r.need == r.need && have&^(r.need|r.may|pAnywhere) == 0
}

// payloads is a set of payload types.
type payloads uint32

const (
	pSA payloads = 1 << iota
	pKE
	pID
	pCert
	pCertReq
	pHash
	pSig
	pNonce
	pNotify
	pDelete
	pVendorID
	pConfig
	pNATD
	pNATOA
	pOther

	// pMany may stand in a message more than once. Quick mode has two ID payloads; some peers send several SA payloads there, of
	// which RFC 2409 section 5.5 permits any number.
	pMany = pID | pCert | pCertReq | pNotify | pDelete | pVendorID | pNATD | pNATOA | pOther
	// pAnywhere may stand in every message.
	pAnywhere = pCert | pCertReq | pVendorID | pOther
)

// payloadsOf returns which payloads are in ps, and false when one is there too often, or a nonce is too long (RFC2409-5-8).
func payloadsOf(ps []wire1.Payload, maxNonce int) (have payloads, ok bool) {
	ids := 0
	for _, p := range ps {
		bit := payloadBit(p.Type())
		nonce, is := p.(wire1.Nonce)
		if have&bit&^pMany != 0 || is && len(nonce.Data) > maxNonce {
			return 0, false
		}
		if bit == pID {
			ids++
		}
		have |= bit
	}
	return have, ids <= 2
}

var payloadBits = map[wire.PayloadType]payloads{
	wire1.TypeSA: pSA, wire1.TypeKE: pKE, wire1.TypeID: pID, wire1.TypeCert: pCert, wire1.TypeCertReq: pCertReq, wire1.TypeHash: pHash,
	wire1.TypeSig: pSig, wire1.TypeNonce: pNonce, wire1.TypeNotify: pNotify, wire1.TypeDelete: pDelete, wire1.TypeVendorID: pVendorID,
	wire1.TypeConfig: pConfig, wire1.TypeNATD: pNATD, wire1.TypeNATOA: pNATOA,
	wire1.TypeNATDDraft: pNATD, wire1.TypeNATOADraft: pNATOA,
}

func payloadBit(t wire.PayloadType) payloads {
	if bit, known := payloadBits[t]; known {
		return bit
	}
	return pOther
}
