package wire2

import (
	"errors"
	"fmt"

	"github.com/parley-ike/parley/core/wire"
)

// Error says why a message cannot be decoded.
type Error struct {
	Offset  int              // of the offending octet, from the start of the message or, for inner payloads, of the first one
	Payload wire.PayloadType // where it is, or after which; TypeNone is the header
	Rule    string           // what is required, with its source
	// Notify is what to tell the peer, 0 for nothing. INVALID_SYNTAX may be sent only when the message was
	// authentic, and then protected (RFC 7296 section 3.10.1).
	Notify NotifyType
}

func (e *Error) Error() string {
	where := "header"
	if e.Payload != TypeNone {
		where = PayloadName(e.Payload) + " payload"
	}
	return fmt.Sprintf("wire2: at octet %d (%s) this rule is broken: %s", e.Offset, where, e.Rule)
}

// syntaxError dresses what package wire found. INVALID_SYNTAX answers whatever no other notify covers (RFC 7296
// section 3.10.1).
func syntaxError(t wire.PayloadType, err error) error {
	e := &Error{Payload: t, Rule: err.Error(), Notify: InvalidSyntax}
	if syntax, ok := errors.AsType[*wire.SyntaxError](err); ok {
		e.Offset, e.Rule = syntax.Offset, syntax.Rule
	}
	if t == TypeSKF {
		e.Notify = 0 // a bad fragment is discarded silently (RFC 7383 section 2.6)
	}
	return e
}
