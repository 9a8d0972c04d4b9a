package peer1

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-ike/parley/conformance/protocol/peer"
)

// Version is major version 1, minor version 0 (RFC 2408 section 3.1).
const Version = 0x10

// Exchange types (RFC 2408 section 3.1, RFC 2409 appendix A).
const (
	Base          = 1
	MainMode      = 2
	AuthOnly      = 3
	Aggressive    = 4
	Informational = 5
	QuickMode     = 32
	NewGroupMode  = 33
)

// Flags of the header (RFC 2408 section 3.1).
const (
	FlagEncryption = 1
	FlagCommit     = 2
	FlagAuthOnly   = 4
)

// Payload types (RFC 2408 section 3.1, RFC 3947 sections 3.2 and 5.2).
const (
	TypeSA        = 1
	TypeProposal  = 2
	TypeTransform = 3
	TypeKE        = 4
	TypeID        = 5
	TypeCert      = 6
	TypeCertReq   = 7
	TypeHash      = 8
	TypeSig       = 9
	TypeNonce     = 10
	TypeNotify    = 11
	TypeDelete    = 12
	TypeVendor    = 13
	TypeNATD      = 20
	TypeNATOA     = 21
)

var payloadNames = map[uint8]string{TypeSA: "SA", TypeKE: "KE", TypeID: "ID", TypeCert: "CERT", TypeCertReq: "CR", TypeHash: "HASH", TypeSig: "SIG",
	TypeNonce: "NONCE", TypeDelete: "D", TypeVendor: "VID", TypeNATD: "NAT-D", TypeNATOA: "NAT-OA"}

// Name names a payload, a notify with its type.
func Name(p peer.Payload) string {
	if n, err := ParseNotify(p.Body); p.Type == TypeNotify && err == nil {
		return fmt.Sprintf("N(%d)", n.Kind)
	}
	if name := payloadNames[p.Type]; name != "" {
		return name
	}
	return fmt.Sprintf("payload %d", p.Type)
}

// Describe lists what a failing test wants to see of a message.
func Describe(m peer.Message) string {
	s := fmt.Sprintf("IKEv1 exchange %d flags %#02x id %08x:", m.Exchange, m.Flags, m.ID)
	for _, p := range m.Payloads {
		s += " " + Name(p)
	}
	return s
}

const (
	headerLen  = 28
	genericLen = 4
)

// Encrypted reports whether what follows the header of a message is encrypted.
func Encrypted(m peer.Message) bool { return m.Flags&FlagEncryption != 0 }

// Decode reads a message in clear; of an encrypted one it reads the header.
func Decode(b []byte) (peer.Message, error) {
	m, err := peer.Header(b)
	if err != nil {
		return m, err
	}
	if length := binary.BigEndian.Uint32(b[24:]); int(length) != len(b) {
		return m, fmt.Errorf("peer1: the length field says %d, the datagram has %d octets", length, len(b))
	}
	if Encrypted(m) {
		return m, nil
	}
	var rest []byte
	m.Payloads, rest, err = parseChain(b[16], b[headerLen:])
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("peer1: %d octets follow the last payload", len(rest))
	}
	return m, err
}

// parseChain reads payloads; rest is what follows the last.
func parseChain(kind uint8, b []byte) (ps []peer.Payload, rest []byte, err error) {
	for kind != 0 {
		if len(b) < genericLen {
			return ps, b, fmt.Errorf("peer1: payload %d is cut off", kind)
		}
		length := int(binary.BigEndian.Uint16(b[2:]))
		if length < genericLen || length > len(b) {
			return ps, b, fmt.Errorf("peer1: payload %d says its length is %d, %d octets are left", kind, length, len(b))
		}
		ps = append(ps, peer.Payload{Type: kind, Flags: b[1], Body: b[genericLen:length]})
		kind, b = b[0], b[length:]
	}
	return ps, b, nil
}

// phase1 reports whether an exchange makes an ISAKMP SA.
func phase1(exchange uint8) bool { return exchange == MainMode || exchange == Aggressive }

// Faults lists what is wrong with the form of a message that a correct sender sent, in clear or opened: versions, flags, cookies and
// message ID (RFC 2408 section 3.1), reserved fields (section 2.5.2), and the bodies of its payloads.
func Faults(m peer.Message) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if m.Version != Version {
		fault("version %#02x", m.Version)
	}
	if m.Flags&^(FlagEncryption|FlagCommit|FlagAuthOnly) != 0 || m.Flags&FlagCommit != 0 && phase1(m.Exchange) {
		fault("flags %#02x", m.Flags)
	}
	if m.SPIi == 0 {
		fault("the initiator's cookie is zero")
	}
	known := slices.Contains([]uint8{MainMode, Aggressive, Informational, QuickMode}, m.Exchange)
	if !known || phase1(m.Exchange) != (m.ID == 0) && (m.Exchange != Informational || Encrypted(m)) {
		fault("exchange %d with message ID %d", m.Exchange, m.ID)
	}
	for _, p := range m.Payloads {
		if p.Flags != 0 {
			fault("%s: RESERVED is %#02x", Name(p), p.Flags)
		}
		if err := wellFormed(p); err != nil {
			fault("%s: %v", Name(p), err)
		}
		if p.Type == TypeVendor && !phase1(m.Exchange) {
			fault("a vendor ID outside of phase 1")
		}
	}
	return faults
}

// wellFormed judges the body of a payload.
func wellFormed(p peer.Payload) error {
	switch p.Type {
	case TypeSA:
		_, err := ParseSA(p.Body)
		return err
	case TypeID:
		_, err := ParseID(p.Body)
		return err
	case TypeNonce:
		if len(p.Body) < 8 || len(p.Body) > 256 { // RFC 2409 section 5
			return fmt.Errorf("%d octets", len(p.Body))
		}
	case TypeNotify:
		n, err := ParseNotify(p.Body)
		if err == nil && n.DOI != DOI {
			err = fmt.Errorf("its DOI is %d", n.DOI)
		}
		return err
	case TypeDelete:
		_, err := ParseDelete(p.Body)
		return err
	case TypeNATOA:
		if len(p.Body) < 4 || [3]byte(p.Body[1:]) != [3]byte{} {
			return errors.New("RESERVED is not zero")
		}
	}
	return nil
}
