// Package link is what both ends of a plugin connection share: the constants of the handshake, the carriers that move
// batches of frames, and the sender that makes the batches.
//
// A connection has two parts. The base service (parley.plugin.base.v1.Plugin) is gRPC on a unix socket that
// hashicorp/go-plugin announces; it is for rare calls. The exchange is one bidirectional flow of batches for the life of
// the process, over one of two carriers: Framed on an inherited socket pair where the plugin can, else the gRPC stream
// Exchange. Both carry the same messages.
//
// Limits: a body is at most MaxBody octets, a message at most MaxMessage. Nothing is allocated by a claimed length.
package link
