package ikev1

import (
	"errors"

	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/suite"
	"github.com/parley-ike/parley/core/wire"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is how messages are protected: encrypted with SKEYID_e, each with an IV that follows from the message before it (RFC
// 2409 appendix B), and from phase 2 on with a hash in front of all else (RFC 2409 section 5.5).

// errNotOpened is the cause when a message was not encrypted with our keys.
var errNotOpened = errors.New("ikev1: what is decrypted makes no sense")

// errHash is the cause when the hash of a message is wrong, or there is none.
var errHash = errors.New("ikev1: the hash is wrong")

// header returns the header of a message of ours (RFC2408-3.1-1, RFC2408-3.1-3).
func (s *SA) header(exch wire.ExchangeType, id uint32) wire.Header {
	return wire.Header{InitiatorSPI: s.cookieI, ResponderSPI: s.cookieR, Major: 1, Exchange: exch, MessageID: id}
}

// open returns a message and what it says. The running IV stays: that moves on when the message is taken.
func (s *SA) open(x *exchange, h wire.Header, d machine.Datagram) (packet, error) {
	p := packet{Datagram: d, iv: x.iv, sealed: h.Flags&wire1.FlagEncryption != 0}
	var err error
	if p.Message, err = wire1.Parse(d.Bytes); err != nil || !p.sealed {
		return p, err
	}
	if s.cipher == nil {
		return p, errNotOpened
	}
	plain, next, err := s.cipher.Open(p.Cipher, x.iv)
	if err != nil {
		return p, errNotOpened
	}
	if p.Payloads, err = wire1.ParsePayloads(h.NextPayload, plain); err != nil {
		return p, errNotOpened
	}
	p.iv = next
	return p, nil
}

// seal returns an encrypted message and moves the running IV of its exchange on.
func (s *SA) seal(x *exchange, ps []wire1.Payload) []byte {
	var b []byte
	b, x.iv = s.cipher.Seal(s.header(x.kind, x.id), ps, x.iv)
	return b
}

// exchangeIV is the first IV of an exchange after phase 1, or beside it: it follows from the last block of phase 1 (RFC 2409 appendix
// B).
func (s *SA) exchangeIV(id uint32) suite.IV {
	last := s.lastIV
	if !s.state.secured() {
		last = s.phase1.iv
	}
	return s.cipher.ExchangeIV(last, id)
}

// hashed returns payloads with HASH(1) in front (RFC 2409 sections 5.5 to 5.7).
func (s *SA) hashed(id uint32, ps []wire1.Payload) []wire1.Payload {
	return append([]wire1.Payload{wire1.Hash{Data: s.keys.Hash1(id, wire1.AppendPayloads(nil, ps))}}, ps...)
}

// checkHash compares the hash in front of a message with what it has to be over the payloads behind it, which are encoded to the very
// octets that they were decoded from (package wire1).
func checkHash(p packet, want func(rest []byte) []byte) error {
	if len(p.Payloads) == 0 {
		return errHash
	}
	first, ok := p.Payloads[0].(wire1.Hash)
	if !ok || !suite.EqualHash(first.Data, want(wire1.AppendPayloads(nil, p.Payloads[1:]))) {
		return errHash
	}
	return nil
}

// openPhase2 returns a message whose HASH(1) is right.
func (s *SA) openPhase2(x *exchange, h wire.Header, d machine.Datagram) (packet, bool) {
	p, err := s.open(x, h, d)
	if err == nil {
		err = checkHash(p, func(rest []byte) []byte { return s.keys.Hash1(x.id, rest) })
	}
	if err != nil {
		s.countForgery(d)
		return p, false
	}
	return p, true
}

// cookies returns both cookies, which are the SPI of an ISAKMP SA (RFC 2408 section 2.4).
func (s *SA) cookies() []byte { return wire1.CookieSPI(s.cookieI, s.cookieR) }
