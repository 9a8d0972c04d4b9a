package ikev2

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire2"
	"github.com/parley-ike/parley/sdk/secret"
)

// This file is what a responder does before it spends state on a packet: it is stateless, and reads no more than it needs.

const (
	// maxCookie is the longest cookie in octets (RFC 7296 section 2.6).
	maxCookie = 64
	// maxInit bounds the first message in octets, because a half-open SA keeps it for AUTH. RFC 7296 section 2 wants 3000;
	// the largest key exchange value that peers send here, ML-KEM-1024, has 1568.
	maxInit = 8192
	// minInit is the least size of a first message in octets. Those of honest peers have 128 and more, with a proposal, a key
	// exchange value and a nonce; a demand for a cookie has 69, so that nobody can use us to multiply what he sends to a third
	// party.
	minInit = 72
	// maxInitPayloads bounds how far InspectInit walks: a first request has SA, KE, Ni, a cookie, and some dozens of
	// notifies and vendor IDs at most.
	maxInitPayloads = 64
)

// ErrNotInit is the cause when a packet cannot begin an IKE SA.
var ErrNotInit = errors.New("ikev2: not an IKE_SA_INIT request")

// Init is what a responder needs to know of an IKE_SA_INIT request before it decides to spend state on it.
type Init struct {
	InitiatorSPI uint64
	Nonce        []byte // 16 to 256 octets, part of the packet
	Cookie       []byte // part of the packet; nil for none or one of a wrong size, which counts as none (RFC 7296 section 2.6)
}

// InspectInit reads an IKE_SA_INIT request just far enough to check a cookie. The payloads it does not need are stepped
// over, so that a packet that passes may still be malformed. It allocates nothing and its errors wrap ErrNotInit.
func InspectInit(packet []byte) (Init, error) {
	h, err := wire.ParseHeader(packet)
	if err != nil || !beginsSA(h) || uint64(h.Length) != uint64(len(packet)) || len(packet) < minInit || len(packet) > maxInit {
		return Init{}, ErrNotInit
	}
	in := Init{InitiatorSPI: h.InitiatorSPI}
	chain := wire.NewChain(h.NextPayload, packet[wire.HeaderLen:], wire.HeaderLen)
	for range maxInitPayloads {
		p, ok := chain.Next()
		if !ok {
			break
		}
		in.take(p)
	}
	if chain.Finish() != nil || in.Nonce == nil {
		return Init{}, ErrNotInit
	}
	return in, nil
}

// beginsSA reports whether a header is that of a first message (RFC 7296 sections 2.2, 2.6 and 3.1).
func beginsSA(h wire.Header) bool {
	return h.Major == 2 && h.Exchange == wire2.IKESAInit && h.Flags&wire.FlagInitiator != 0 && h.Flags&wire.FlagResponse == 0 &&
		h.InitiatorSPI != 0 && h.ResponderSPI == 0 && h.MessageID == 0
}

// take remembers the nonce and the cookie.
func (in *Init) take(p wire.RawPayload) {
	switch {
	case p.Type == wire2.TypeNonce && len(p.Body) >= wire2.MinNonce && len(p.Body) <= wire2.MaxNonce:
		in.Nonce = p.Body
	case p.Type == wire2.TypeNotify && in.Cookie == nil:
		in.Cookie = cookieOf(p.Body)
	}
}

// cookieOf returns the data of a COOKIE notify: Protocol ID (1), SPI Size (1), type (2), SPI, data (RFC 7296 section 3.10).
func cookieOf(notify []byte) []byte {
	const head = 4
	if len(notify) < head || wire2.NotifyType(binary.BigEndian.Uint16(notify[2:])) != wire2.Cookie {
		return nil
	}
	data := notify[head:]
	if spi := int(notify[1]); spi < len(data) && len(data)-spi <= maxCookie {
		return data[spi:]
	}
	return nil
}

// cookieLen is the size of our cookies: a version and a hash.
const cookieLen = 1 + sha256.Size

// cookie returns <version> | SHA-256(Ni | IPi | SPIi | <secret>), as RFC 7296 section 2.6 suggests. The port is left out, because a
// NAT may change it between two packets. An address takes 16 octets, so that no nonce and address look like another nonce and
// another address. It allocates nothing: in a flood this is most of our own work.
func cookie(key secret.Bytes, version uint8, in Init, remote netip.Addr) (c [cookieLen]byte) {
	var room [wire2.MaxNonce + 16 + 8 + 64]byte
	ip := remote.As16()
	b := append(append(room[:0], in.Nonce...), ip[:]...)
	b = append(binary.BigEndian.AppendUint64(b, in.InitiatorSPI), key...)
	sum := sha256.Sum256(b)
	clear(room[:])
	c[0] = version
	copy(c[1:], sum[:])
	return c
}

// CookieReply returns the whole message that asks an initiator for a cookie (RFC 7296 section 2.6). The caller draws key
// at random, of 32 octets, and changes key and version often.
func CookieReply(key secret.Bytes, version uint8, in Init, remote netip.AddrPort) []byte {
	const size = wire.HeaderLen + wire.PayloadHeaderLen + 4 + cookieLen
	h := wire.Header{InitiatorSPI: in.InitiatorSPI, Major: 2, Exchange: wire2.IKESAInit, Flags: wire.FlagResponse,
		NextPayload: wire2.TypeNotify, Length: size}
	c := cookie(key, version, in, remote.Addr())
	b := append(h.Append(make([]byte, 0, size)), 0, 0, 0, size-wire.HeaderLen) // last payload, not critical, length
	b = append(b, 0, 0, byte(wire2.Cookie>>8), byte(wire2.Cookie&0xff))        // no protocol, no SPI, type: RFC 7296 section 3.10
	return append(b, c[:]...)
}

// VerifyCookie reports, in constant time, whether a request carries the cookie that this key and version give. A caller
// that keeps the key before for a while asks once for each.
func VerifyCookie(key secret.Bytes, version uint8, in Init, remote netip.AddrPort) bool {
	c := cookie(key, version, in, remote.Addr())
	return hmac.Equal(in.Cookie, c[:])
}

// InvalidMajorVersionReply returns the unprotected answer to a request of a higher major version: our own version is in
// its header (RFC 7296 sections 1.5 and 2.5). It returns nil when no answer is due. The caller limits the rate.
func InvalidMajorVersionReply(packet []byte) []byte {
	h, err := wire.ParseHeader(packet)
	if err != nil || h.Major <= 2 {
		return nil
	}
	return outsideReply(h, wire2.InvalidMajorVersion)
}

// InvalidSPIReply returns the unprotected answer to a protected request on an IKE SA that we do not know (RFC 7296 sections
// 1.5 and 2.21.4). It returns nil when no answer is due: never to a response, nor to a message in clear, which may be a
// notification whose SPIs are random (section 1.5). The caller limits the rate.
func InvalidSPIReply(packet []byte) []byte {
	h, err := wire.ParseHeader(packet)
	if err != nil || h.Major != 2 || h.Exchange == wire2.IKESAInit || h.ResponderSPI == 0 ||
		h.NextPayload != wire2.TypeSK && h.NextPayload != wire2.TypeSKF {
		return nil
	}
	return outsideReply(h, wire2.InvalidIKESPI)
}

// outsideReply answers a request with a notify outside of any IKE SA: SPIs, message ID and exchange type are copied.
func outsideReply(h wire.Header, kind wire2.NotifyType) []byte {
	if h.Flags&wire.FlagResponse != 0 {
		return nil
	}
	answer := wire.Header{InitiatorSPI: h.InitiatorSPI, ResponderSPI: h.ResponderSPI, Major: 2, Exchange: h.Exchange,
		Flags: wire.FlagResponse | ^h.Flags&wire.FlagInitiator, MessageID: h.MessageID}
	return wire2.Message{Header: answer, Payloads: []wire2.Payload{wire2.Notify{Kind: kind}}}.Append(nil)
}
