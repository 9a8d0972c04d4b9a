// Package sdk holds what plugins of every kind share: the errors whose kind the core acts on.
package sdk

import "errors"

// Errors that a plugin wraps, so that the core knows what a failure means. Any other error is an internal failure of
// the plugin. The text of an error reaches logs and events: it must not hold a secret.
var (
	ErrUnavailable  = errors.New("unavailable")   // try again: the token is away, the device resets
	ErrOverloaded   = errors.New("overloaded")    // try again: too many calls in flight
	ErrRefused      = errors.New("refused")       // authentication failed: wrong key, wrong signature
	ErrNoCredential = errors.New("no credential") // no key for this identity
	ErrUnsupported  = errors.New("unsupported")   // this plugin or device cannot do it
	ErrInvalid      = errors.New("invalid")       // an argument of the peer is unacceptable
)
