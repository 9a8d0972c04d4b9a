package wire1

import (
	"errors"
	"fmt"

	"github.com/parley-ike/parley/core/wire"
)

// Error says why a message cannot be decoded.
type Error struct {
	Offset  int              // of the offending octet, from the start of the message
	Payload wire.PayloadType // where it is, or after which; TypeNone is the header
	Rule    string           // what is required, with its source
	// Notify is what RFC 2408 section 5 lets us tell the peer, 0 for nothing.
	Notify NotifyType
}

func (e *Error) Error() string {
	where := "header"
	if e.Payload != TypeNone {
		where = PayloadName(e.Payload) + " payload"
	}
	return fmt.Sprintf("wire1: at octet %d (%s) this rule is broken: %s", e.Offset, where, e.Rule)
}

// syntaxError dresses what package wire found.
func syntaxError(t wire.PayloadType, err error) error {
	e := &Error{Payload: t, Rule: err.Error(), Notify: PayloadMalformed}
	if syntax, ok := errors.AsType[*wire.SyntaxError](err); ok {
		e.Offset, e.Rule = syntax.Offset, syntax.Rule
	}
	if t == TypeSA {
		e.Notify = BadProposalSyntax // RFC 2408 section 5.5
	}
	return e
}
