package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire"
)

// decryptions counts those that reached a plugin, and how many were put off.
func (b *bench) decryptions(p *fakes1) (done, busy int) {
	for _, r := range b.requests {
		if _, is := r.Call.Op.(machine.Unprotect); is {
			done++
		}
	}
	for _, m := range p.made {
		for _, in := range m.inputs {
			if r, is := in.(machine.Reply); is && r.Err != nil && r.Err.Kind == machine.Overloaded {
				busy++
			}
		}
	}
	return done, busy
}

// asksToDecrypt makes a half-open SA of a source ask for a decryption of two values.
func (b *bench) asksToDecrypt(p *fakes1, from netip.AddrPort, cookie uint64) {
	b.loop(first1(from, cookie, identityProtection))
	ours := p.made[len(p.made)-1].birth.SPI
	b.loop(isakmp(from, wire.Header{InitiatorSPI: cookie, ResponderSPI: ours, Exchange: identityProtection}, "decrypt"))
}

// What strangers have us decrypt is bounded for one source and for all; what is above is told, answered as overload, and comes through
// when time has passed. Peers that are authenticated are not counted.
func TestDecryptionsForStrangersAreBounded(t *testing.T) {
	t.Parallel()
	b, p := newBench1(t, Limits{IKEv1SourceRate: 100, RSADecryptions: 3, SourceRSADecryptions: 2})
	other := netip.MustParseAddrPort("198.51.100.77:500")
	for i := range uint64(5) { // two seconds' worth of two values are two handshakes
		b.asksToDecrypt(p, them, 10+i)
	}
	if done, busy := b.decryptions(p); done != 2 || busy != 3 {
		t.Fatalf("one source: %d decryptions, %d put off", done, busy)
	}
	b.asksToDecrypt(p, other, 20)
	b.asksToDecrypt(p, other, 21)
	if done, busy := b.decryptions(p); done != 3 || busy != 4 {
		t.Fatalf("all sources: %d decryptions, %d put off", done, busy)
	}
	b.loop(isakmp(other, wire.Header{InitiatorSPI: 21, ResponderSPI: p.made[6].birth.SPI, Exchange: identityProtection}, "auth"),
		isakmp(other, wire.Header{InitiatorSPI: 21, ResponderSPI: p.made[6].birth.SPI, Exchange: identityProtection}, "decrypt"))
	if done, _ := b.decryptions(p); done != 4 {
		t.Errorf("%d decryptions with that of an authenticated peer", done)
	}
	b.now = b.now.Add(2 * time.Second)
	b.asksToDecrypt(p, them, 30)
	if done, _ := b.decryptions(p); done != 5 {
		t.Errorf("%d decryptions after two seconds", done)
	}
	told := uint64(0)
	for _, r := range b.records {
		if e, is := r.Event.(event.RateLimited); is {
			told += e.Count
		}
	}
	if told != 4 {
		t.Errorf("%d refusals are told", told)
	}
}
