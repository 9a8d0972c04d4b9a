package ikev1

import (
	"time"

	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is the commit bit (RFC 2408 section 3.1): who sets it in a quick mode says CONNECTED when the SA may be used, under the message
// ID of the quick mode, and the other side waits for that before it sends. We never set it.

// commitWait is how long we wait for CONNECTED: some round trips. The RFC has no end of it, but peers that forget to say so, and those
// that answer the third message of quick mode with a fourth, must not keep the traffic for ever: they have had the third message or the
// keys by then.
const commitWait = 5 * time.Second

// noteCommit notes that the peer has set the commit bit (RFC2408-3.1-6).
func (q *quick) noteCommit(p packet) { q.commit = q.commit || p.Header.Flags&wire1.FlagCommit != 0 }

// awaitConnected puts off the end of a quick mode whose messages are all there until the peer says CONNECTED.
func (q *quick) awaitConnected(then func()) {
	if !q.commit {
		then()
		return
	}
	q.connected = then
	q.busy, q.again = false, q.s.now.Add(commitWait)
}

// peerConnected takes CONNECTED.
func (s *SA) peerConnected(id uint32) {
	if x := s.find(wire1.QuickMode, id); x != nil && x.quick != nil && x.quick.connected != nil {
		x.quick.goOn()
	}
}

// goOn ends a quick mode that waited for CONNECTED.
func (q *quick) goOn() {
	then := q.connected
	q.connected = nil
	then()
}
