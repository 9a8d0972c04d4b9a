// Package codec translates between the Go contracts of the plugin kinds (sdk/ke, auth, cred, sa) and their messages
// (sdk/proto). What comes from the other side is checked: a number that does not fit its field or an address of a wrong
// length is an error that wraps sdk.ErrInvalid.
package codec
