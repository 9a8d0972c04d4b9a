package engine

import (
	"net/netip"
	"time"

	"github.com/parley-ike/parley/core/machine"
)

// This file bounds what strangers have us decrypt. With RSA encryption (RFC 2409 sections 5.2 and 5.3) a private operation comes before
// anybody is authenticated: a thousand times what a first message costs, and food for who looks for an oracle.

// tooManyDecryptions answers a decryption for a stranger that is above the rates, which is asked again a little later as when a plugin has
// too much to do: who is honest comes through when the flood is over.
func (s *Shard) tooManyDecryptions(now time.Time, e *sa, call machine.Call) bool {
	op, is := call.Op.(machine.Unprotect)
	if !is || !e.from.IsValid() || s.c.Gate.mayDecrypt(now, e.from, len(op.Cipher)) {
		return false
	}
	s.c.Gate.note(now, noteRefused, e.from, "too many RSA decryptions per second for peers that are not authenticated")
	busy := &machine.CallError{Kind: machine.Overloaded, Text: "engine: too many RSA decryptions for strangers: it is asked again later"}
	s.later = append(s.later, func(now time.Time) {
		s.Return(now, machine.Return{Owner: e.owner, Reply: machine.Reply{Ticket: call.Ticket, Err: busy}})
	})
	return true
}

// mayDecrypt reports whether some RSA decryptions for a source are within the rates, and counts them.
func (g *Gate) mayDecrypt(now time.Time, from netip.Addr, count int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.decrypted.has(now, g.limits.RSADecryptions, count-1) {
		return false
	}
	src := g.sources.get(now, prefixOf(from))
	return src.decrypted.spend(now, g.limits.SourceRSADecryptions, count) && g.decrypted.spend(now, g.limits.RSADecryptions, count)
}
