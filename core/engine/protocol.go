package engine

import (
	"net/netip"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/journal"
	"github.com/parley-ike/parley/core/machine"
)

// Protocol is what the engine needs to know of a protocol and its configuration. It is immutable; a new configuration is
// a new Protocol. IKEv2 implements it.
type Protocol interface {
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
	// Endpoints returns where a connection is.
	Endpoints(conn string) (Endpoints, error)
	// NewInitiator returns a machine that waits for the command Initiate. The connection exists.
	NewInitiator(b Birth, conn string) (machine.Machine, error)
	// NewResponder returns a machine that waits for its first Datagram.
	NewResponder(b Birth) machine.Machine
	// Header describes a machine, so that it can be rebuilt from a journal; conn is "" for a responder.
	Header(b Birth, conn string) (journal.Header, error)
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
