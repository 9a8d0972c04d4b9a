// Package event holds the facts that Parley publishes: one struct per type, in the past tense, each with a stable
// numeric code. It is a leaf: it imports nothing of ours and does nothing.
//
// No key, nonce or password can be in an event: no field has such a type. Text that a peer chose (identities, vendor
// IDs, notify data) is bounded by the emitter and escaped by each renderer.
package event

import (
	"encoding/hex"
	"time"
)

// Severity grades an event.
type Severity uint8

// Severities, from the least to the gravest.
const (
	Debug Severity = iota
	Info
	Notice
	Warning
	Error
	Critical
)

// String returns the lower-case name.
func (s Severity) String() string {
	names := [...]string{"debug", "info", "notice", "warning", "error", "critical"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// Outcome says whether what an event tells of succeeded.
type Outcome string

// Outcomes.
const (
	Success Outcome = "success"
	Failure Outcome = "failure"
	Unknown Outcome = "unknown"
)

// Kind is what all events of one type share.
type Kind struct {
	Code     int    // stable for ever, see catalogue.go
	Name     string // "ike_sa.established": object and event
	Severity Severity
	Outcome  Outcome
}

// Event is one fact. Implementations are structs of plain data that encoding/json can render.
type Event interface {
	Kind() Kind
}

// UID names an SA for ever (UUIDv7, RFC 9562 section 5.7); it is never reused.
type UID [16]byte

// String returns the canonical form with dashes; the zero UID is the empty string.
func (u UID) String() string {
	if u == (UID{}) {
		return ""
	}
	b := make([]byte, 36)
	hex.Encode(b, u[:4])
	b[8] = '-'
	hex.Encode(b[9:], u[4:6])
	b[13] = '-'
	hex.Encode(b[14:], u[6:8])
	b[18] = '-'
	hex.Encode(b[19:], u[8:10])
	b[23] = '-'
	hex.Encode(b[24:], u[10:])
	return string(b)
}

// MarshalText implements encoding.TextMarshaler.
func (u UID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// Subject is what an event is about. Empty fields do not apply.
type Subject struct {
	IKE  UID    // the IKE SA
	Conn string // the connection's name, "" while it is not known
}

// Record is an event on the bus, stamped by its emitter.
type Record struct {
	Sequence   uint64    // of the node, set by the bus: total order, without holes
	SASequence uint64    // of the IKE SA, 1 and up without holes; 0 when the event concerns no SA
	Time       time.Time // wall clock
	Subject    Subject
	Event      Event
}
