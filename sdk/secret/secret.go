// Package secret holds the one type in which keys, shared secrets and passwords travel.
//
// Every rendering of it (fmt, JSON, text, structured logs) says "[redacted]", comparisons take constant time, and
// Wipe overwrites the bytes where Go lets us. It imports nothing of ours, so that every package may use it.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Bytes is secret data: a private value, a shared secret, a key. The zero value is an empty secret.
type Bytes []byte

// Equal reports in constant time whether b and other hold the same bytes; only their length leaks.
func (b Bytes) Equal(other []byte) bool { return subtle.ConstantTimeCompare(b, other) == 1 }

// Wipe overwrites the bytes with zeros. Copies that others took are not reached.
func (b Bytes) Wipe() { clear(b) }

// Clone returns a copy with memory of its own.
func (b Bytes) Clone() Bytes { return append(Bytes(nil), b...) }

// String implements fmt.Stringer.
func (Bytes) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Bytes) GoString() string { return redacted }

// Format implements fmt.Formatter, so that no verb (%x, %d, %v) shows a byte.
func (Bytes) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements encoding.TextMarshaler and with it JSON.
func (Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }
