package peer

import (
	"encoding/binary"
	"slices"
)

// SA is one IKE SA.
type SA struct {
	Suite        Suite
	Initiator    bool // the peer is the original initiator
	SPIi, SPIr   uint64
	Ni, Nr       []byte
	Init1, Init2 []byte // the octets of the two messages that AUTH covers
	Keys         Keys
	Own          uint32 // message ID of our next request
	Theirs       uint32 // message ID of the daemon's next request
}

// Agreed derives the keys from the secret of the key exchange.
func (sa *SA) Agreed(secret []byte) {
	sa.Keys = sa.Suite.derive(prf(slices.Concat(sa.Ni, sa.Nr), secret), sa.Ni, sa.Nr, sa.SPIi, sa.SPIr)
}

// Rekeyed derives the keys of the SA that replaces old, from the nonces and SPIs of the new one (RFC 7296 section 2.18).
func (sa *SA) Rekeyed(old *SA, secret []byte) {
	sa.Keys = sa.Suite.derive(prf(old.Keys.D, secret, sa.Ni, sa.Nr), sa.Ni, sa.Nr, sa.SPIi, sa.SPIr)
}

// ChildKeys returns KEYMAT of a child SA (RFC 7296 section 2.17); secret is nil without a key exchange of its own.
func (sa *SA) ChildKeys(secret, ni, nr []byte, n int) []byte {
	return prfPlus(sa.Keys.D, slices.Concat(secret, ni, nr), n)
}

// Request returns a request of ours with the next message ID, which it takes.
func (sa *SA) Request(exchange uint8, ps ...Payload) Message {
	m := Message{SPIi: sa.SPIi, SPIr: sa.SPIr, Exchange: exchange, Flags: sa.flag(), ID: sa.Own, Payloads: ps}
	sa.Own++
	return m
}

// Reply returns a response of ours to a request.
func (sa *SA) Reply(to Message, ps ...Payload) Message {
	return Message{SPIi: sa.SPIi, SPIr: sa.SPIr, Exchange: to.Exchange, Flags: FlagResponse | sa.flag(), ID: to.ID, Payloads: ps}
}

func (sa *SA) flag() uint8 {
	if sa.Initiator {
		return FlagInitiator
	}
	return 0
}

// Proof returns the AUTH data of one side for a pre-shared key; id is the body of its ID payload (RFC 7296 section 2.15).
func (sa *SA) Proof(initiator bool, psk string, id []byte) []byte {
	return prf(prf([]byte(psk), []byte("Key Pad for IKEv2")), sa.Octets(initiator, id))
}

// Octets returns what the AUTH payload of a side covers (RFC 7296 section 2.15).
func (sa *SA) Octets(initiator bool, id []byte) []byte {
	if initiator {
		return slices.Concat(sa.Init1, sa.Nr, prf(sa.Keys.Pi, id))
	}
	return slices.Concat(sa.Init2, sa.Ni, prf(sa.Keys.Pr, id))
}

// SPI returns four random octets that are no reserved SPI of ESP (RFC 4303 section 2.1).
func SPI() []byte { return append([]byte{0xc0}, Random(3)...) }

// SPI64 returns a random SPI of an IKE SA.
func SPI64() uint64 { return binary.BigEndian.Uint64(Random(8)) | 1 }

// Octets64 returns an SPI of an IKE SA as a proposal carries it.
func Octets64(spi uint64) []byte { return binary.BigEndian.AppendUint64(nil, spi) }
