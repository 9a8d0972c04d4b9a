package engine

import (
	"net/netip"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
)

// Protocol is IKEv2 under one configuration.
type Protocol interface {
	Version
	// Inspect reads a first message without keeping anything. An error says that the message is malformed.
	Inspect(packet []byte) (First, error)
	// CookieReply returns the answer that demands a cookie (RFC 7296 section 2.6).
	CookieReply(key CookieKey, f First, remote netip.AddrPort) []byte
	// VerifyCookie reports whether the cookie in f is what CookieReply asked of this address with this key.
	VerifyCookie(key CookieKey, f First, remote netip.AddrPort) bool
	// InvalidMajorVersion and InvalidSPI return the unprotected answers to a request of a higher major version and to one
	// for an SA that does not exist (RFC 7296 section 1.5), nil for none.
	InvalidMajorVersion(packet []byte) []byte
	InvalidSPI(packet []byte) []byte
}

// Birth is what every machine starts from.
type Birth struct {
	SPI           uint64 // ours
	Seed          [32]byte
	Local, Remote netip.AddrPort
}

// First is what matters of a first message. The slices are parts of the packet.
type First struct {
	SPI    uint64 // the initiator's
	Nonce  []byte
	Cookie []byte // nil without one
}

// Endpoints are the outer ends of a connection, as configured.
type Endpoints struct {
	Local, Remote netip.Addr // zero: not known
	Host          string     // DNS name of the remote end, when Remote is zero
}

// Sender takes datagrams to send. Send keeps b until Flush and never waits; each shard has its own.
type Sender interface {
	Send(local, remote netip.AddrPort, b []byte)
	Flush()
}

// Caller takes calls to plugins. Submit must not wait, keep the slice, or answer before it returns; every request that is
// not cancelled is answered through Engine.Deliver exactly once, if need be with an error. Requests with the same non-zero
// Key are performed in order. Both methods are called from all shards.
type Caller interface {
	Submit(batch []machine.Request)
	Cancel(o machine.Owner, t machine.Ticket)
}

// Publisher takes facts; it never waits. The bus is one.
type Publisher interface{ Publish(r event.Record) }
