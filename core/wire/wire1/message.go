package wire1

import (
	"bytes"

	"github.com/parley-ike/parley/core/wire"
)

// Version is the major version that this package speaks; its minor version is 0 (RFC 2408 section 3.1).
const Version = 1

// knownFlags are the flags with a meaning; others are never set and refused on receipt (RFC 2408 sections 3.1 and 5.2).
const knownFlags = FlagEncryption | FlagCommit | FlagAuthOnly

// Parse decodes one message, which is all of packet. Of an encrypted message it yields the header and Cipher. Errors are
// of type *Error. packet is not kept.
func Parse(packet []byte) (Message, error) {
	h, err := parseHeader(packet)
	if err != nil {
		return Message{}, err
	}
	body := bytes.Clone(packet[wire.HeaderLen:])
	// A fragment is of the message as it was sent, and stands in clear whatever the flag says.
	if h.Flags&FlagEncryption != 0 && h.NextPayload != TypeFragment {
		return Message{Header: h, Cipher: body}, nil
	}
	ps, err := parseChain(h.NextPayload, body, plainPadding)
	if err != nil {
		return Message{}, err
	}
	return Message{Header: h, Payloads: ps}, nil
}

// ParsePayloads decodes what stood encrypted after a header whose NextPayload is first. Any padding may follow the last
// payload: RFC 2409 appendix B wants zeros, and peers of the installed base send counts and random octets. Errors are of
// type *Error, with offsets as in the message. plain is not kept.
func ParsePayloads(first wire.PayloadType, plain []byte) ([]Payload, error) {
	if len(plain) > MaxMessage {
		return nil, &Error{Payload: first, Offset: MaxMessage, Rule: ruleMessageSize, Notify: UnequalPayloadLengths}
	}
	return parseChain(first, bytes.Clone(plain), anyPadding)
}

const (
	ruleMessageSize = "a message has at most 65535 octets (RFC 9329 section 3)"
	ruleReserved    = "RESERVED is zero (RFC 2408 sections 2.5.2 and 5.3)"
)

// parseHeader decodes the header and checks what RFC 2408 section 5.2 says of its fields, but for cookies and message ID,
// which need an SA.
func parseHeader(packet []byte) (wire.Header, error) {
	h, err := wire.ParseHeader(packet)
	switch {
	case err != nil:
		// Without a header there is no SA to answer for.
		return h, &Error{Rule: "a message has at least the 28 octets of its header (RFC 2408 section 3.1)"}
	case h.Major != Version:
		return h, &Error{Offset: 17, Rule: "the major version is 1 (RFC 2408 section 3.1)", Notify: InvalidMajorVersion}
	case h.Minor != 0:
		return h, &Error{Offset: 17, Rule: "the minor version is 0 (RFC 2408 section 3.1)", Notify: InvalidMinorVersion}
	case h.Flags&^knownFlags != 0:
		return h, &Error{Offset: 19, Rule: "flags without a meaning are zero (RFC 2408 section 3.1)", Notify: InvalidFlags}
	case uint64(h.Length) != uint64(len(packet)):
		return h, &Error{Offset: 24, Rule: "length is that of the whole message (RFC 2408 section 5.1)", Notify: UnequalPayloadLengths}
	case len(packet) > MaxMessage:
		return h, &Error{Offset: 24, Rule: ruleMessageSize, Notify: UnequalPayloadLengths}
	}
	return h, nil
}

// parseChain decodes payloads that are parts of b, which follows the header. It reads b twice, because counting first is
// cheaper than growing.
func parseChain(first wire.PayloadType, b []byte, padding func([]byte) bool) ([]Payload, error) {
	n, err := countPayloads(first, b, padding)
	if err != nil || n == 0 {
		return nil, err
	}
	ps := make([]Payload, 0, n)
	chain := wire.NewChain(first, b, wire.HeaderLen)
	for range n {
		raw, _ := chain.Next()
		p, err := parsePayload(raw)
		if err != nil {
			return nil, err
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// countPayloads walks the chain and checks generic headers (RFC 2408 section 5.3) and what follows the last payload.
func countPayloads(first wire.PayloadType, b []byte, padding func([]byte) bool) (int, error) {
	chain := wire.NewChain(first, b, wire.HeaderLen)
	n := 0
	for raw, ok := chain.Next(); ok; raw, ok = chain.Next() {
		n++
		switch {
		case n > MaxPayloads:
			return 0, &Error{Offset: raw.Offset, Payload: raw.Type, Rule: "a message has at most 128 payloads", Notify: PayloadMalformed}
		case b[raw.Offset-wire.HeaderLen+1] != 0:
			return 0, &Error{Offset: raw.Offset + 1, Payload: raw.Type, Rule: ruleReserved, Notify: PayloadMalformed}
		case raw.Type == TypeProposal || raw.Type == TypeTransform:
			return 0, &Error{Offset: raw.Offset, Payload: raw.Type, Rule: "proposals and transforms stand inside an SA payload (RFC 2408 section 3.4)", Notify: InvalidPayloadType}
		}
	}
	rest := chain.Rest()
	if err := chain.Finish(); err != nil {
		return 0, syntaxError(chain.Current(), err)
	}
	if !padding(rest) {
		return 0, &Error{Offset: wire.HeaderLen + len(b) - len(rest), Payload: chain.Current(),
			Rule: "at most 3 octets of zeros follow the last payload (RFC 2408 section 3.6)", Notify: UnequalPayloadLengths}
	}
	return n, nil
}

func anyPadding([]byte) bool { return true }

func plainPadding(b []byte) bool {
	return len(b) <= maxPadding && len(bytes.Trim(b, "\x00")) == 0
}

func parsePayload(raw wire.RawPayload) (Payload, error) {
	r := wire.NewReader(raw.Body, raw.Offset+wire.PayloadHeaderLen)
	p := parseBody(raw.Type, &r)
	if err := r.Finish(); err != nil {
		return nil, syntaxError(raw.Type, err)
	}
	return p, nil
}

func parseBody(t wire.PayloadType, r *wire.Reader) Payload {
	switch t {
	case TypeSA:
		return parseSA(r)
	case TypeKE:
		return KE{r.Rest()}
	case TypeID:
		return parseID(r)
	case TypeCert:
		return parseCert(r)
	case TypeCertReq:
		return parseCertReq(r)
	case TypeHash:
		return Hash{r.Rest()}
	case TypeSig:
		return Sig{r.Rest()}
	case TypeNonce:
		return parseNonce(r)
	case TypeNotify:
		return parseNotify(r)
	case TypeDelete:
		return parseDelete(r)
	case TypeVendorID:
		return VendorID{r.Rest()}
	case TypeConfig:
		return parseConfig(r)
	case TypeNATD, TypeNATDDraft:
		return NATD{Draft: t == TypeNATDDraft, Hash: r.Rest()}
	case TypeNATOA, TypeNATOADraft:
		return parseNATOA(t == TypeNATOADraft, r)
	case TypeFragment:
		return parseFragment(r)
	}
	return Unknown{Number: t, Body: r.Rest()}
}

// parseReserved reads n octets that are to be zero.
func parseReserved(r *wire.Reader, n int) {
	at := r.Offset()
	for _, c := range r.Bytes(n) {
		if c != 0 {
			r.Fail(at, ruleReserved)
		}
	}
}

// Append encodes the message at the end of b. It fills in the header's Length and, when there is no Cipher, NextPayload;
// the rest of the header is sent as it is.
func (m Message) Append(b []byte) []byte {
	start := len(b)
	h := m.Header
	if m.Cipher == nil {
		h.NextPayload = FirstType(m.Payloads)
	}
	b = append(AppendPayloads(h.Append(b), m.Payloads), m.Cipher...)
	h.Length = uint32(len(b) - start)
	h.Append(b[:start]) // again over the same octets, now that the length is known
	return b
}

// AppendPayloads encodes a chain of payloads at the end of b.
func AppendPayloads(b []byte, ps []Payload) []byte {
	for i, p := range ps {
		start := len(b)
		var length wire.Length16
		b, length = wire.OpenLength16(append(b, byte(FirstType(ps[i+1:])), 0), start)
		b = p.append(b)
		length.Close(b)
	}
	return b
}

// FirstType returns the type that announces ps: that of the first payload, TypeNone when there is none.
func FirstType(ps []Payload) wire.PayloadType {
	if len(ps) == 0 {
		return TypeNone
	}
	return ps[0].Type()
}

// Body returns the encoded payload without its generic header, in new memory: RFC 2409's <P>_b, which for a decoded payload
// is what was sent.
func Body(p Payload) []byte { return p.append(nil) }

// Get returns the first payload of the Go type T.
func Get[T Payload](ps []Payload) (T, bool) {
	for _, p := range ps {
		if t, ok := p.(T); ok {
			return t, true
		}
	}
	var none T
	return none, false
}

// All returns the payloads of the Go type T in their order.
func All[T Payload](ps []Payload) (all []T) {
	for _, p := range ps {
		if t, ok := p.(T); ok {
			all = append(all, t)
		}
	}
	return all
}
