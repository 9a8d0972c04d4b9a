package pluginhost

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/parley-ike/parley/core/machine"
	basev1 "github.com/parley-ike/parley/sdk/proto/parley/plugin/base/v1"
)

// RejectError says why a plugin is not in use: what happened, and how to mend it.
type RejectError struct {
	Name, Path     string
	Reason, Remedy string
}

// Error implements error.
func (e *RejectError) Error() string {
	return fmt.Sprintf("pluginhost: plugin %q (%s): %s; %s", e.Name, e.Path, e.Reason, e.Remedy)
}

const maxText = 512 // of a plugin, in errors, events and status

// clean bounds text that a plugin chose and keeps it on one line.
func clean(text string) string {
	text = oneLine(text)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}

// oneLine replaces what could forge a line of a log or control a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
}

var errorKinds = map[basev1.Error_Kind]machine.ErrorKind{
	basev1.Error_UNAVAILABLE:   machine.Unavailable,
	basev1.Error_OVERLOADED:    machine.Overloaded,
	basev1.Error_REFUSED:       machine.Refused,
	basev1.Error_NO_CREDENTIAL: machine.NoCredential,
	basev1.Error_UNSUPPORTED:   machine.Unsupported,
	basev1.Error_INVALID:       machine.Invalid,
}

// callError is the error of a reply; a kind that we do not know is internal.
func callError(plugin string, e *basev1.Error) *machine.CallError {
	kind, ok := errorKinds[e.GetKind()]
	if !ok {
		kind = machine.Internal
	}
	return &machine.CallError{Kind: kind, Text: fmt.Sprintf("plugin %s: %s", plugin, clean(e.GetText()))}
}

// protoError is the reverse of callError, for answers to plugins.
func protoError(e *machine.CallError) *basev1.Error {
	for kind, ours := range errorKinds {
		if ours == e.Kind {
			return &basev1.Error{Kind: kind, Text: e.Text}
		}
	}
	return &basev1.Error{Kind: basev1.Error_INTERNAL, Text: e.Text}
}

func failure(kind machine.ErrorKind, format string, args ...any) *machine.CallError {
	return &machine.CallError{Kind: kind, Text: fmt.Sprintf(format, args...)}
}
