package codec

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/parley-ike/parley/sdk"
	"github.com/parley-ike/parley/sdk/proto/link"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// kinds pairs the errors of the SDK with the kinds of messages. A context's end counts as unavailable: ask again.
var kinds = []struct {
	err  error
	kind basev1.Error_Kind
}{
	{sdk.ErrUnavailable, basev1.Error_UNAVAILABLE},
	{sdk.ErrOverloaded, basev1.Error_OVERLOADED},
	{sdk.ErrRefused, basev1.Error_REFUSED},
	{sdk.ErrNoCredential, basev1.Error_NO_CREDENTIAL},
	{sdk.ErrUnsupported, basev1.Error_UNSUPPORTED},
	{sdk.ErrInvalid, basev1.Error_INVALID},
	{context.DeadlineExceeded, basev1.Error_UNAVAILABLE},
	{context.Canceled, basev1.Error_UNAVAILABLE},
}

// FromError returns the message for err; an error that wraps none of the SDK's is internal.
func FromError(err error) *basev1.Error {
	text := strings.ToValidUTF8(err.Error(), "?")
	if len(text) > link.MaxErrorText {
		text = strings.ToValidUTF8(text[:link.MaxErrorText], "")
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return &basev1.Error{Kind: k.kind, Text: text}
		}
	}
	return &basev1.Error{Kind: basev1.Error_INTERNAL, Text: text}
}

// ToError returns the error of a message; it wraps the SDK's error of that kind, or none when it is internal.
func ToError(e *basev1.Error) error {
	for _, k := range kinds {
		if k.kind == e.GetKind() {
			return &remoteError{text: e.GetText(), kind: k.err}
		}
	}
	return fmt.Errorf("internal error of the other side: %s", e.GetText())
}

// remoteError has the other side's text, which already names its kind.
type remoteError struct {
	text string
	kind error
}

func (e *remoteError) Error() string {
	if strings.Contains(e.text, e.kind.Error()) {
		return e.text
	}
	return e.kind.Error() + ": " + e.text
}

func (e *remoteError) Unwrap() error { return e.kind }
