package ikev2

import (
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
)

// packet is a received message: as it came, and opened.
type packet struct {
	machine.Datagram
	wire2.Message
	fragments int // in which it came (RFC 7383); 0: whole
	size      int // of the largest IP datagram, when it came in fragments
}

// row admits one kind of message: in one of the states, of one exchange, with all payloads of need and none beyond need
// and may. Unknown payloads are always admitted (RFC 7296 section 2.5).
type row struct {
	in   states
	exch wire.ExchangeType
	need payloads
	may  payloads
	do   func(*SA, packet)
}

type table []row

// requests lists what we answer. The IKE_AUTH row does not need AUTH: a peer that leaves it out asks for EAP (RFC 7296
// section 2.16) and deserves AUTHENTICATION_FAILED, not INVALID_SYNTAX.
var requests = table{
	{in: in(Idle), exch: wire2.IKESAInit, need: pSA | pKE | pNonce, may: pCertReq | pNotify | pVendorID, do: (*SA).answerInit},
	{in: in(HalfOpen), exch: wire2.IKEAuth, need: pIDi | pSA | pTSi | pTSr,
		may: pAuth | pIDr | pCert | pCertReq | pCP | pNotify | pVendorID, do: (*SA).answerAuth},
	{in: in(HalfOpen), exch: wire2.IKEAuth, need: pIDi, // RFC 6023
		may: pAuth | pIDr | pCert | pCertReq | pCP | pNotify | pVendorID, do: (*SA).answerChildlessAuth},
	{in: in(Established, Pending, Rekeyed, Deleting), exch: wire2.Informational,
		may: pNotify | pDelete | pCP | pVendorID, do: (*SA).answerInformational},
	{in: in(Established, Rekeyed, Deleting), exch: wire2.CreateChildSA, need: pSA | pNonce | pTSi | pTSr,
		may: pKE | pNotify | pCP | pVendorID, do: (*SA).answerCreateChild},
	{in: in(Established, Rekeyed, Deleting), exch: wire2.CreateChildSA, need: pSA | pNonce | pKE,
		may: pNotify | pVendorID, do: (*SA).answerRekeyIKE},
}

// responses lists what we expect to our requests. Of two rows for one exchange the first that fits counts.
var responses = table{
	{in: in(InitSent), exch: wire2.IKESAInit, need: pSA | pKE | pNonce, may: pCertReq | pNotify | pVendorID, do: (*SA).initAccepted},
	{in: in(InitSent), exch: wire2.IKESAInit, need: pNotify, may: pVendorID, do: (*SA).initRefused},
	{in: in(AuthSent), exch: wire2.IKEAuth, need: pIDr | pAuth,
		may: pSA | pTSi | pTSr | pCert | pCertReq | pCP | pNotify | pVendorID, do: (*SA).authAccepted},
	{in: in(AuthSent), exch: wire2.IKEAuth, need: pNotify, may: pVendorID, do: (*SA).authRefused},
	{in: in(Established, Rekeyed, Deleting), exch: wire2.Informational,
		may: pNotify | pDelete | pCP | pVendorID, do: (*SA).informed},
	{in: in(Established, Rekeyed, Deleting), exch: wire2.CreateChildSA, need: pSA | pNonce,
		may: pKE | pTSi | pTSr | pNotify | pCP | pVendorID, do: (*SA).informed},
	{in: in(Established, Rekeyed, Deleting), exch: wire2.CreateChildSA, need: pNotify, may: pVendorID, do: (*SA).informed},
}

// match returns the row for a message, nil when none admits it.
func (t table) match(s State, m wire2.Message) *row {
	have, ok := payloadsOf(m.Payloads)
	if !ok {
		return nil
	}
	for i := range t {
		r := &t[i]
		if r.in.has(s) && r.exch == m.Header.Exchange && have&r.need == r.need && have&^(r.need|r.may) == 0 {
			return r
		}
	}
	return nil
}

// payloads is a set of payload types.
type payloads uint32

const (
	pSA payloads = 1 << iota
	pKE
	pIDi
	pIDr
	pCert
	pCertReq
	pAuth
	pNonce
	pNotify
	pDelete
	pVendorID
	pTSi
	pTSr
	pSK
	pCP
	pEAP
	pSKF

	// pMany may stand in a message more than once.
	pMany = pCert | pCertReq | pNotify | pDelete | pVendorID
)

// payloadsOf returns which known payloads are in ps, in whatever order (RFC 7296 section 2.5), and false when one is
// there too often.
func payloadsOf(ps []wire2.Payload) (have payloads, ok bool) {
	for _, p := range ps {
		bit := payloadBit(p.Type())
		if have&bit&^pMany != 0 {
			return 0, false
		}
		have |= bit
	}
	return have, true
}

// payloadBit maps a type to its bit, unknown types to none. The constants follow the order of the IANA numbers from 33.
func payloadBit(t wire.PayloadType) payloads {
	switch {
	case t >= wire2.TypeSA && t <= wire2.TypeEAP:
		return 1 << (t - wire2.TypeSA)
	case t == wire2.TypeSKF:
		return pSKF
	}
	return 0
}

// critical returns the first unknown payload that its sender marked critical (RFC 7296 section 2.5).
func critical(ps []wire2.Payload) (wire.PayloadType, bool) {
	for _, p := range ps {
		if u, ok := p.(wire2.Unknown); ok && u.Critical {
			return u.Number, true
		}
	}
	return 0, false
}
