package wire2

import (
	"bytes"

	"github.com/parley-ike/parley/core/wire"
)

// version is the major version that this package speaks (RFC 7296 section 3.1).
const version = 2

// knownFlags are the flags with a meaning; the others are cleared when sending and ignored on receipt (RFC 7296
// section 3.1).
const knownFlags = wire.FlagInitiator | wire.FlagVersion | wire.FlagResponse

// Parse decodes one message, which is all of packet. A protected message ends in SK or SKF, the last of Payloads.
// Errors are of type *Error. packet is not kept.
func Parse(packet []byte) (Message, error) {
	h, err := parseHeader(packet)
	if err != nil {
		return Message{}, err
	}
	body := bytes.Clone(packet[wire.HeaderLen:])
	ps, err := parseChain(h.NextPayload, body, wire.HeaderLen)
	if err != nil {
		return Message{}, err
	}
	return Message{Header: h, Payloads: ps}, nil
}

// ParsePayloads decodes the payloads of a message without its header, such as those inside an Encrypted payload, of
// which the first has the type first. It refuses SK and SKF: an Encrypted payload contains no other (RFC 7296 section
// 3.1). Errors are of type *Error, with offsets into b. b is not kept.
func ParsePayloads(first wire.PayloadType, b []byte) ([]Payload, error) {
	if len(b) > MaxMessage {
		return nil, &Error{Payload: first, Offset: MaxMessage, Rule: ruleMessageSize, Notify: InvalidSyntax}
	}
	ps, err := parseChain(first, bytes.Clone(b), 0)
	if err != nil {
		return nil, err
	}
	if n := len(ps); n > 0 && isEncrypted(ps[n-1].Type()) {
		return nil, &Error{Payload: ps[n-1].Type(), Rule: "an encrypted payload contains no other (RFC 7296 section 3.1)", Notify: InvalidSyntax}
	}
	return ps, nil
}

const ruleMessageSize = "a message has at most 65535 octets (RFC 9329 section 3)"

// parseHeader decodes the header and compares it with the packet. The minor version is not looked at (RFC 7296 section
// 2.5), nor are the SPIs.
func parseHeader(packet []byte) (wire.Header, error) {
	h, err := wire.ParseHeader(packet)
	switch {
	case err != nil:
		// Without a header there is no SA to answer for.
		return h, &Error{Rule: "a message has at least the 28 octets of its header (RFC 7296 section 3.1)"}
	case h.Major > version:
		return h, &Error{Offset: 17, Rule: "the major version is 2 (RFC 7296 section 2.5)", Notify: InvalidMajorVersion}
	case h.Major < version:
		return h, &Error{Offset: 17, Rule: "the major version is 2; older ones are not IKEv2 (RFC 7296 section 3.1)"}
	case uint64(h.Length) != uint64(len(packet)):
		return h, &Error{Offset: 24, Rule: "length is that of the whole message (RFC 7296 section 3.1)", Notify: InvalidSyntax}
	case len(packet) > MaxMessage:
		return h, &Error{Offset: 24, Rule: ruleMessageSize, Notify: InvalidSyntax}
	}
	h.Flags &= knownFlags
	return h, nil
}

// parseChain decodes payloads that are parts of b. It reads b twice, because counting first is cheaper than growing.
func parseChain(first wire.PayloadType, b []byte, base int) ([]Payload, error) {
	n, err := countPayloads(first, b, base)
	if err != nil || n == 0 {
		return nil, err
	}
	ps := make([]Payload, 0, n)
	chain := wire.NewChain(first, b, base)
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

// countPayloads walks the chain and checks its ends: nothing follows the last payload, which an Encrypted payload is
// by its type (RFC 7296 section 3.14, RFC 7383 section 2.5).
func countPayloads(first wire.PayloadType, b []byte, base int) (int, error) {
	chain := wire.NewChain(first, b, base)
	n := 0
	for raw, ok := chain.Next(); ok; raw, ok = chain.Next() {
		if n++; n > MaxPayloads {
			return 0, &Error{Offset: raw.Offset, Payload: raw.Type, Rule: "a message has at most 128 payloads", Notify: InvalidSyntax}
		}
		if isEncrypted(raw.Type) {
			chain.Stop()
		}
	}
	if err := chain.Finish(); err != nil {
		return 0, syntaxError(chain.Current(), err)
	}
	return n, nil
}

func isEncrypted(t wire.PayloadType) bool { return t == TypeSK || t == TypeSKF }

// parsePayload decodes one payload. The critical bit of a type that we know is ignored (RFC 7296 section 3.2).
func parsePayload(raw wire.RawPayload) (Payload, error) {
	r := wire.NewReader(raw.Body, raw.Offset+wire.PayloadHeaderLen)
	p := parseBody(raw, &r)
	if err := r.Finish(); err != nil {
		return nil, syntaxError(raw.Type, err)
	}
	return p, nil
}

func parseBody(raw wire.RawPayload, r *wire.Reader) Payload {
	switch raw.Type {
	case TypeSA:
		return parseSA(r)
	case TypeKE:
		return parseKE(r)
	case TypeIDi:
		return IDi(parseID(r))
	case TypeIDr:
		return IDr(parseID(r))
	case TypeCert:
		return parseCert(r)
	case TypeCertReq:
		return parseCertReq(r)
	case TypeAuth:
		return parseAuth(r)
	case TypeNonce:
		return parseNonce(r)
	case TypeNotify:
		return parseNotify(r)
	case TypeDelete:
		return parseDelete(r)
	case TypeVendorID:
		return parseVendorID(r)
	case TypeTSi:
		return TSi{parseSelectors(r)}
	case TypeTSr:
		return TSr{parseSelectors(r)}
	case TypeSK:
		return parseSK(raw.Next, r)
	case TypeSKF:
		return parseSKF(raw.Next, r)
	case TypeCP:
		return parseCP(r)
	case TypeEAP:
		return parseEAP(r)
	}
	return parseUnknown(raw, r)
}

// Append encodes the message at the end of b. It fills in the header's NextPayload and Length and clears the flags
// without a meaning; the rest of the header is sent as it is.
func (m Message) Append(b []byte) []byte {
	start := len(b)
	h := m.Header
	h.NextPayload = FirstType(m.Payloads)
	h.Flags &= knownFlags
	b = AppendPayloads(h.Append(b), m.Payloads)
	h.Length = uint32(len(b) - start)
	h.Append(b[:start]) // again over the same octets, now that the length is known
	return b
}

// AppendPayloads encodes a chain of payloads at the end of b. An SK or SKF must be the last.
func AppendPayloads(b []byte, ps []Payload) []byte {
	for i, p := range ps {
		start := len(b)
		next, flags := chainFields(p, ps[i+1:])
		var length wire.Length16
		b, length = wire.OpenLength16(append(b, byte(next), flags), start)
		b = p.append(b)
		length.Close(b)
	}
	return b
}

// chainFields returns the first two octets of p's generic header. The critical bit is zero for types defined in RFC
// 7296 (section 3.2), and nobody sends SKF to a peer that has not announced it.
func chainFields(p Payload, following []Payload) (next wire.PayloadType, flags byte) {
	switch p := p.(type) {
	case SK:
		return p.First, 0
	case SKF:
		return p.First, 0
	case Unknown:
		if p.Critical {
			flags = wire.CriticalBit
		}
	}
	return FirstType(following), flags
}

// FirstType returns the type that announces ps: that of the first payload, TypeNone when there is none.
func FirstType(ps []Payload) wire.PayloadType {
	if len(ps) == 0 {
		return TypeNone
	}
	return ps[0].Type()
}

// Body returns the encoded payload without its generic header, in new memory: what AUTH covers of an ID payload
// (RFC 7296 section 2.15).
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
